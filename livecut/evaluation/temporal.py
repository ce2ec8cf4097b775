"""A model on moving sequences: what `livecut eval --sequences` does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from livecut.evaluation import metrics
from livecut.evaluation.external import External
from livecut.evaluation.sequences import Sequence, Step
from livecut.frame import Image, as_image
from livecut.segmenter import Segmenter
from livecut.stats import number_table

MOVING = 0.005
"""A frame whose true alpha changed by this share of the picture or more is moving, any other calm:
a seated person's sway is under it."""
AFTER_CUT = 3
"""Frames that count as those after a cut."""
SHARE = 0.5
"""Share of the newest frame in the plain exponential average that livecut is compared with."""


@dataclass(frozen=True)
class Moment:
    """A frame's metrics as in `livecut.evaluation.metrics`, in percent.

    The metrics over time are NaN in a shot's first frame.
    """

    iou: float
    leak: float
    dtssd: float
    flicker: float
    moving: bool
    after_cut: bool


@dataclass(frozen=True)
class TemporalScores:
    """Means over frames, in percent; None where there is no such frame."""

    iou: float
    iou_moving: float | None
    iou_after_cut: float | None
    """IoU of the first `AFTER_CUT` frames after each cut."""
    leak_worst: float
    """Leak of the worst frame."""
    dtssd: float | None
    dtssd_calm: float | None
    flicker: float | None
    flicker_calm: float | None


class Average:
    """A plain exponential average of alpha, which knows neither motion nor cuts."""

    def __init__(self) -> None:
        self._state: NDArray[np.float32] | None = None

    def __call__(self, alpha: Image) -> Image:
        """The average with this alpha (H, W)."""
        if self._state is None:
            self._state = alpha.astype(np.float32)
        cv2.accumulateWeighted(alpha, self._state, SHARE)
        return as_image(cv2.convertScaleAbs(self._state))


def moment(alpha: Image, last_alpha: Image, step: Step, last_mask: Image) -> Moment:
    """The metrics of one frame; of a shot's first, those before are not looked at."""
    mask, first = step.mask, not step.since_cut
    over_time = (alpha, mask, last_alpha, last_mask)
    return Moment(
        100 * metrics.iou(alpha, mask),
        100 * metrics.leak(alpha, mask),
        np.nan if first else 100 * metrics.dtssd(*over_time),
        np.nan if first else 100 * metrics.flicker(*over_time),
        not first and metrics.mad(mask, last_mask) >= MOVING,
        step.shot > 0 and step.since_cut < AFTER_CUT,
    )


def follow(
    sequence: Sequence, steadied: Segmenter | External, single: Segmenter | External
) -> dict[str, list[Moment]]:
    """The moments of one sequence by way: "steadied", "single", and the "average" of single's
    alpha.

    `steadied` is temporal and forgets what was before the sequence, but is told of no cut. Raises
    EngineError.
    """
    steadied.reset()
    average = Average()
    found: dict[str, list[Moment]] = {"steadied": [], "single": [], "average": []}
    last: dict[str, Image] | None = None
    for step in sequence:
        alone = single(step.image)
        alphas = {"steadied": steadied(step.image), "single": alone, "average": average(alone)}
        last = last or {**alphas, "mask": step.mask}
        for way, alpha in alphas.items():
            found[way].append(moment(alpha, last[way], step, last["mask"]))
        last = {**alphas, "mask": step.mask}
    return found


def summarise(moments: Iterable[Moment]) -> TemporalScores:
    """One row of the table."""
    rows = np.array([astuple(m) for m in moments], np.float64)
    iou, leak, dtssd, flicker = rows[:, :4].T
    moving, after_cut = rows[:, 4:].astype(bool).T
    timed = ~np.isnan(dtssd)

    def mean(values: NDArray[np.float64], where: NDArray[np.bool_]) -> float | None:
        return float(values[where].mean()) if where.any() else None

    return TemporalScores(
        float(iou.mean()),
        mean(iou, moving),
        mean(iou, after_cut),
        float(leak.max()),
        mean(dtssd, timed),
        mean(dtssd, timed & ~moving),
        mean(flicker, timed),
        mean(flicker, timed & ~moving),
    )


def table(found: dict[str, TemporalScores]) -> Table:
    """The ways beside each other, in 80 columns."""
    names = ("IoU", "moving", "after cut", "leak", "dtSSD", "calm", "flicker", "calm")
    units = ("%", "IoU %", "IoU %", "worst %", "x 100", "dtSSD", "%", "flicker")
    out = number_table("", *map("\n".join, zip(names, units, strict=True)))
    for way, row in found.items():
        out.add_row(way, *("" if v is None else f"{v:.2f}" for v in astuple(row)))
    return out
