"""What is measured: the cases of a sweep, and sources that give frames out of memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from livecut.frame import Image
from livecut.models import DEFAULT_MODEL
from livecut.sources import Source, open_source

PATHS = {
    "memory": "BGR frames in memory in, composited frames in memory out, one after another",
    "paced": "frames given at 30 per second to the live threads, as a camera gives them",
    "decode": "an H.264 file in, composited frames in memory out",
    "encode": "BGR frames in memory in, an H.264 file out",
}
"""How frames come and go. The first leaves reading and writing out, the others do not."""
SIZES = ((854, 480), (1280, 720), (1920, 1080), (3840, 2160))
PACE = 30.0
"""Frames per second of the path `paced`."""
HELD = 120_000_000
"""Bytes of frames that are held in memory: more than the processor's caches, as a camera's are new."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing to be measured."""

    size: tuple[int, int]
    """(width, height) of the frames."""
    background: str = "blur"
    path: str = "memory"
    model: str = DEFAULT_MODEL
    engine: str = "auto"
    device: str = "auto"
    threads: int = 0
    """Of the network, on a CPU; 0: as `livecut run` has it."""

    @property
    def name(self) -> str:
        """As a person would write it, what is usual left out; unlike that of any other case."""
        usual = Case(size=self.size)
        parts = [
            self.model if self.model != usual.model else "",
            self.engine if self.engine != usual.engine else "",
            f"on {self.device}" if self.device != usual.device else "",
            f"{self.threads} threads" if self.threads else "",
        ]
        width, height = self.size
        return " ".join([f"{width}x{height}", self.background, self.path, *filter(None, parts)])

    @property
    def bytes_per_frame(self) -> int:
        """Bytes that the passes over the full-size picture read and write, the network's apart.

        Per pixel: 3 to reduce the frame, 4 for its grey, 2 to make alpha of that; then for `blur` 3 and
        1 to reduce frame and alpha and 7 to composite, for a picture or colour 10, for `transparent` 8.
        """
        last = {"blur": 11, "transparent": 8}.get(self.background.partition(":")[0], 10)
        return (9 + last) * self.size[0] * self.size[1]


def sweep(
    *,
    sizes: Sequence[tuple[int, int]],
    backgrounds: Sequence[str],
    paths: Sequence[str],
    models: Sequence[str],
    engines: Sequence[str],
    devices: Sequence[str],
    threads: Sequence[int],
) -> list[Case]:
    """Every combination."""
    every = product(models, engines, devices, threads, sizes, backgrounds, paths)
    return [
        Case(size=s, background=b, path=p, model=m, engine=e, device=d, threads=t)
        for m, e, d, t, s, b, p in every
    ]


def standard() -> list[Case]:
    """What is measured where nothing is asked for."""
    cases = [Case(size=s, background=b) for s in SIZES for b in ("blur", "#00b140")]
    return cases + [Case(size=(1280, 720), path=p) for p in PATHS if p != "memory"]


def quick() -> list[Case]:
    """The least that tells something, in under a minute."""
    return [Case(size=(1280, 720)), Case(size=(1920, 1080)), Case(size=(1280, 720), path="paced")]


def held_frames(size: tuple[int, int]) -> list[Image]:
    """Frames of the demo clip at a size, BGR (H, W, 3), as many as `HELD` allows, 4 at least."""
    count = max(4, HELD // (3 * size[0] * size[1]))
    frames = list[Image]()
    with open_source("demo", size=size) as source:
        while len(frames) < count:
            frame = np.empty((size[1], size[0], 3), np.uint8)
            if source.read(frame) is None:
                break
            frames.append(frame)
    return frames


class Memory(Source):
    """Plays frames that are held in memory, forwards and backwards without an end.

    Where `live`, each is given when it is due, at `PACE`; else at once.
    """

    name, description = "memory", "frames in memory"
    frames = None
    fps = PACE

    def __init__(self, pictures: Sequence[Image], *, live: bool = False) -> None:
        self.live = live
        self.size = (pictures[0].shape[1], pictures[0].shape[0])
        self._pictures = [*pictures, *reversed(pictures[1:-1])]
        self._next = 0
        self._due = time.perf_counter()

    def read(self, out: Image) -> float | None:
        if self.live:
            time.sleep(max(0.0, self._due - time.perf_counter()))
            self._due += 1 / PACE
        np.copyto(out, self._pictures[self._next % len(self._pictures)])
        self._next += 1
        return time.perf_counter()

    def close(self) -> None:
        return


class Looped(Source):
    """A video file that begins again at its end, which costs a few milliseconds there."""

    live = False
    frames = None

    def __init__(self, path: Path) -> None:
        self._source = open_source(str(path))
        self.name, self.description = self._source.name, self._source.description
        self.size, self.fps = self._source.size, self._source.fps

    def read(self, out: Image) -> float | None:
        timestamp = self._source.read(out)
        if timestamp is None:
            self._source.reopen()
            timestamp = self._source.read(out)
        return timestamp

    def close(self) -> None:
        self._source.close()
