"""A model against labelled pictures: what `livecut eval` does."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

import cv2
import numpy as np
from rich.table import Table

from livecut.errors import ConfigError
from livecut.evaluation import metrics
from livecut.evaluation.dataset import Pair, Vacant, beside, pairs_in, with_index
from livecut.frame import Image
from livecut.pictures import READABLE
from livecut.pipeline.stills import StillJob

WORST = 16
"""Pictures on the contact sheet."""
CELL, LINE = 240, 24
"""Pixels of the contact sheet: side of the square for a picture, and height of a line of text."""
COLUMNS = 2

Matting = Callable[[Image], Image]
"""An image in, its alpha out, each by itself."""


@dataclass(frozen=True)
class Score:
    """A picture's metrics as in `livecut.evaluation.metrics`; percent but for `grad` and `ms`."""

    pair: Pair
    iou: float
    boundary_f1: float
    mad: float
    mse: float
    grad: float
    """Gradient error in thousands."""
    leak: float
    miss: float
    ms: float
    """Milliseconds from the picture to its alpha."""


@dataclass(frozen=True)
class Summary:
    """Means over pictures, in percent but for what says otherwise."""

    pictures: int
    iou: float
    iou_median: float
    iou_worst_tenth: float
    """The mean of the worst tenth, rounded up to whole pictures."""
    boundary_f1: float
    mad: float
    mse: float
    grad: float
    """Gradient error in thousands."""
    leak: float
    miss: float
    ms_p50: float
    """The median, in milliseconds."""


@dataclass(frozen=True)
class Report:
    """The scores that `livecut eval --json` prints."""

    sources: dict[str, Summary]
    """Summaries by the name of the source, sorted."""
    webcam_like: Summary | None
    """The pictures that an index calls webcam-like; None where there are none."""
    overall: Summary


def find_pairs(
    images: Path, masks: Path, index: Path | None = None, nobody: bool = False
) -> list[Pair]:
    """The pictures of two folders, matched by name, and what an index says of them.

    Without `index` it is images/../../index.tsv, where that exists; its rows count whose split is
    the name of the folder above `images`. With `nobody`, what is beside the persons in place of the
    pictures, where that is large enough. Raises ConfigError.
    """
    for folder in (images, masks):
        if not folder.is_dir():
            raise ConfigError(f"no folder {folder}; give one that holds pictures")
    pairs = pairs_in(images, masks)
    if not pairs:
        raise ConfigError(f"no pictures in {images}; expected {', '.join(sorted(READABLE))}")
    split = images.resolve().parent
    if index:
        pairs = with_index(pairs, split.name, index)
        if all(pair.webcam_like is None for pair in pairs):
            raise ConfigError(
                f"index {index} lists no picture of {images}; expected rows of split {split.name}"
            )
    elif (split.parent / "index.tsv").is_file():
        pairs = with_index(pairs, split.name, split.parent / "index.tsv")
    if nobody:
        pairs = [Vacant(**vars(pair)) for pair in pairs if beside(*pair.read()) is not None]
        if not pairs:
            raise ConfigError(f"the persons fill all pictures of {images}; leave --nobody out")
    return pairs


def score(pair: Pair, matting: Matting) -> Score:
    """The metrics of one picture at its own size. Raises ConfigError and EngineError.

    What `matting` does once for a new size is done before the time is taken.
    """
    image, mask = pair.read()
    matting(image)
    start = time.perf_counter()
    alpha = matting(image)
    seconds = time.perf_counter() - start
    return Score(
        pair,
        100 * metrics.iou(alpha, mask),
        100 * metrics.boundary_f1(alpha, mask),
        100 * metrics.mad(alpha, mask),
        100 * metrics.mse(alpha, mask),
        metrics.grad(alpha, mask),
        100 * metrics.leak(alpha, mask),
        100 * metrics.miss(alpha, mask),
        1000 * seconds,
    )


def summarise(scores: Iterable[Score]) -> Summary:
    """One row of the table, of one score at least."""
    found = list(scores)
    ious = np.sort([s.iou for s in found])
    return Summary(
        pictures=len(found),
        iou=float(ious.mean()),
        iou_median=float(np.median(ious)),
        iou_worst_tenth=float(ious[: math.ceil(len(ious) / 10)].mean()),
        **{
            name: float(np.mean([getattr(s, name) for s in found]))
            for name in ("boundary_f1", "mad", "mse", "grad", "leak", "miss")
        },
        ms_p50=float(np.median([s.ms for s in found])),
    )


def report(scores: list[Score]) -> Report:
    """The scores by source, of the webcam-like pictures and of all; one score at least."""
    names = sorted({s.pair.source for s in scores})
    webcam = [s for s in scores if s.pair.webcam_like]
    return Report(
        {name: summarise(s for s in scores if s.pair.source == name) for name in names},
        summarise(webcam) if webcam else None,
        summarise(scores),
    )


def table(found: Report) -> Table:
    """A report for people: in 80 columns, if the sources have short names."""
    out = Table(box=None, header_style="", padding=(0, 1, 0, 0))
    out.add_column("source", overflow="fold")
    names = ("n", "IoU", "median", "worst", "bound.", "MAD", "MSE", "Grad", "leak", "miss", "p50")
    units = ("", "%", "%", "10th %", "F1 %", "%", "%", "/1000", "%", "%", "ms")
    for header in map("\n".join, zip(names, units, strict=True)):
        out.add_column(header, justify="right", no_wrap=True)
    rows = [*found.sources.items(), ("webcam-like", found.webcam_like), ("all", found.overall)]
    for name, row in rows:
        if row:
            count, *values, ms = astuple(row)
            out.add_row(name, str(count), *(f"{value:.2f}" for value in values), f"{ms:.1f}")
    return out


def contact_sheet(scores: list[Score], matting: Matting) -> Image:
    """The `WORST` pictures, worst first: picture, alpha and true mask on green, name and IoU.

    BGR uint8 (H, W, 3). Raises ConfigError and EngineError.
    """
    tiles = [tile(s, matting) for s in sorted(scores, key=lambda s: s.iou)[:WORST]]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)
    return np.vstack([np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)])


def tile(one: Score, matting: Matting) -> Image:
    """One picture of the contact sheet: BGR uint8 (CELL + LINE, 3 * CELL, 3)."""
    image, mask = one.pair.read()
    green = StillJob(background="green")
    out = np.zeros((CELL + LINE, 3 * CELL, 3), np.uint8)
    scale = CELL / max(mask.shape)
    height, width = (max(1, round(side * scale)) for side in mask.shape)
    for i, shown in enumerate(
        (image, green.apply(image, matting(image)), green.apply(image, mask))
    ):
        left = i * CELL + (CELL - width) // 2
        cell = out[(CELL - height) // 2 :, left : left + width][:height]
        cell[:] = cv2.resize(shown, (width, height), interpolation=cv2.INTER_AREA)
    text = f"{one.pair.image.stem}  IoU {one.iou:.1f} %".encode("ascii", "replace").decode()
    at, white = (4, CELL + LINE - 7), (235, 235, 235)
    cv2.putText(out, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.55, white, 1, cv2.LINE_AA)
    return out
