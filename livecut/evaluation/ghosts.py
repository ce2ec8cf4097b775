"""What of the room a model leaves to be seen in clips: what `livecut eval --ghosts` does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from livecut.backgrounds import open_background
from livecut.errors import ConfigError
from livecut.evaluation.external import External
from livecut.frame import Cutout, Frame, Image, as_image
from livecut.pictures import READABLE
from livecut.segmenter import Segmenter
from livecut.sources import open_source

FAINT = 26
"""The alpha, 0.1 of 255, from which on something is there to be seen."""
FAR = 1 / 20
"""How far from the person it is a ghost, as a share of the frame's height."""
PART = 1 / 50
"""The area, as a share of that of the largest part of the person, from which on another part
counts as one: hands that come in from the edge do, lamps should not."""
DETAIL = 1 / 90
"""The deviation of the blur, as a share of the frame's shorter side, under which detail lies."""
TILE = 1 / 20
"""The side of the squares in which detail is compared, as a share of the frame's shorter side."""
PLAIN = 4.0
"""The deviation of the room's detail, in levels, under which a square is too plain to be read."""
NOISE = 1.0
"""The deviation, in levels, that the output's detail is held to have at least: less cannot be
seen."""
READABLE_FROM = 0.5
"""The readability from which on a frame counts as readable."""

VIDEOS = (".mp4", ".mkv", ".mov", ".webm", ".avi")


@dataclass(frozen=True)
class Ghosts:
    """One clip's figures; areas and shares in percent."""

    frames: int
    area: float
    """The mean area of ghosts."""
    area_worst: float
    """The area in the worst frame."""
    readability: float
    """The mean of the frames' `readability`, 0..1."""
    readable: float
    """The share of the frames in which it is `READABLE_FROM` or more."""


def away(alpha: Image) -> NDArray[np.bool_]:
    """Where alpha uint8 (H, W) is further than `FAR` from the person; everywhere, if there is
    none.
    """
    person = (alpha > 127).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(person)
    if count < 2:
        return np.ones(alpha.shape, bool)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    parts = areas >= PART * areas.max()
    beside = (~parts[labels]).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(beside, cv2.DIST_L2, 5) > FAR * alpha.shape[0])


def ghost_area(alpha: Image) -> float:
    """The share of alpha uint8 (H, W) that is seen and `away` from the person: 0..1."""
    return float(((alpha >= FAINT) & away(alpha)).mean())


def detail(image: Image) -> NDArray[np.float32]:
    """The grey of BGR (H, W, 3) less itself blurred: float32 (H, W)."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    return np.asarray(grey - cv2.GaussianBlur(grey, (0, 0), DETAIL * min(grey.shape)))


def readability(room: Image, shown: Image, where: NDArray[np.bool_]) -> float:
    """How well the detail of `room` can be read in `shown`, both BGR (H, W, 3): 0..1.

    The correlation of the two details in the worst square of those that lie wholly where `where`
    (H, W) is and are not plain; 0 where there is none.
    """
    side = max(8, round(TILE * min(where.shape)))
    a, b = detail(room), detail(shown)

    def mean(plane: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.boxFilter(plane, -1, (side, side), borderType=cv2.BORDER_CONSTANT))

    mean_a, mean_b = mean(a), mean(b)
    own, other = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    both = mean(a * b) - mean_a * mean_b
    inside = cv2.erode(
        where.astype(np.uint8), np.ones((side, side), np.uint8), borderValue=0
    ).astype(bool)
    usable = inside & (own > PLAIN**2)
    if not usable.any():
        return 0.0
    found = both[usable] / np.sqrt(own[usable] * np.maximum(other[usable], NOISE**2))
    return float(np.clip(found.max(), 0, 1))


def frames_of(path: Path) -> Iterator[Image]:
    """The frames of a clip, or the one of a picture; each is overwritten by the next. Raises
    SourceError.
    """
    with open_source(str(path)) as source:
        frame = np.empty((source.size[1], source.size[0], 3), np.uint8)
        still = path.suffix.lower() in READABLE
        while source.read(frame) is not None:
            yield frame
            if still:
                return


def find_clips(path: Path) -> list[Path]:
    """The clip or picture, or those in a folder, sorted by name. Raises ConfigError where there is
    none.
    """
    if path.is_file():
        return [path]
    known = (*VIDEOS, *READABLE)
    inside = path.iterdir() if path.is_dir() else ()
    found = sorted(p for p in inside if p.suffix.lower() in known)
    if not found:
        raise ConfigError(f"no clips in {path}; expected a folder of {', '.join(VIDEOS)}, or one")
    return found


def measure(
    frames: Iterable[Image], network: Segmenter | External, background: str = "blur"
) -> Ghosts:
    """The figures of one clip, its frames BGR (H, W, 3). Raises EngineError and ConfigError.

    `network` is reset before, and steadied by the frames before if it is temporal, as `livecut
    run` is.
    """
    network.reset()
    areas, readabilities = [], []
    behind, shown = None, np.empty((0, 0, 3), np.uint8)
    for frame in frames:
        alpha = network(frame)
        if behind is None or shown.shape != frame.shape:
            behind, shown = open_background(background, frame.shape[1::-1]), np.empty_like(frame)
        behind.compose(Cutout(Frame(frame, 0, 0.0, 0.0), alpha), shown)
        where = away(alpha)
        areas.append(100 * float(((alpha >= FAINT) & where).mean()))
        readabilities.append(readability(frame, as_image(shown), where))
    if not areas:
        raise ConfigError("the clip holds no frame; give one that plays")
    return Ghosts(
        len(areas),
        float(np.mean(areas)),
        max(areas),
        float(np.mean(readabilities)),
        100 * float(np.mean([r >= READABLE_FROM for r in readabilities])),
    )


def table(found: dict[str, Ghosts]) -> Table:
    """The figures of clips by name, for people."""
    out = Table(box=None, header_style="", padding=(0, 1, 0, 0))
    out.add_column("clip", overflow="fold")
    for header in ("frames", "ghosts\n%", "worst\n%", "readability", "readable\nframes %"):
        out.add_column(header, justify="right", no_wrap=True)
    for name, row in found.items():
        out.add_row(
            name,
            str(row.frames),
            f"{row.area:.2f}",
            f"{row.area_worst:.2f}",
            f"{row.readability:.2f}",
            f"{row.readable:.1f}",
        )
    return out
