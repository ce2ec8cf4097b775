"""The cases of a sweep, and sources that give frames out of memory."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from livecut.bench import timecode
from livecut.bench.options import Case
from livecut.frame import Image
from livecut.options import ProcessorOptions, values_of
from livecut.processors.shared import SharedEngine
from livecut.sources import open_source
from livecut.sources.base import Source

LIVE = ("paced", "pipe", "web", "window", "virtual")
SIZES = ((854, 480), (1280, 720), (1920, 1080), (3840, 2160))
PACE = 30.0
"""Frames per second of the paths `LIVE`."""
KEPT = 0.95
"""The share of its frames that a live path must compose to be said to keep its pace."""
HELD = 120_000_000
"""Bytes of frames held in memory: more than fit the processor's caches, as a camera's are new."""


def network_of(case: Case) -> dict[str, Any]:
    """Arguments of each of a case's pipelines for the network, which several streams share."""
    network = values_of(case, ProcessorOptions)
    return {"engine": SharedEngine(**network)} if case.streams > 1 else network


def sweep(**chosen: Sequence[Any]) -> list[Case]:
    """Every combination of the values given for a case's fields; others keep their defaults."""
    return [Case(**dict(zip(chosen, values, strict=True))) for values in product(*chosen.values())]


def standard() -> list[Case]:
    """The cases where none are asked for."""
    cases = [Case(size=s, background=b) for s in SIZES for b in ("blur", "#00b140")]
    cases += [Case(path=path) for path in ("decode", "encode", "folder", "paced", "pipe", "web")]
    cases += [Case(path="paced", streams=count) for count in (2, 4)]
    cases += [Case(threads=count) for count in (1, 2, 4) if count <= (os.cpu_count() or 1)]
    return [*cases, Case(in_flight=2), Case(path="decode", in_flight=2)]


def quick() -> list[Case]:
    """The least that tells something, in under a minute."""
    return [Case(), Case(size=(1920, 1080)), Case(path="pipe")]


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

    Where `live`, each is given when it is due, at `PACE`; else at once. Where `coded`, its number
    is painted into it.
    """

    name, description = "memory", "frames in memory"
    frames = None
    fps = PACE

    def __init__(
        self, pictures: Sequence[Image], *, realtime: bool = False, coded: bool = False
    ) -> None:
        self.realtime, self._coded = realtime, coded
        self.size = (pictures[0].shape[1], pictures[0].shape[0])
        self._pictures = [*pictures, *reversed(pictures[1:-1])]
        self.count = 0
        """Frames that were given."""
        self.sent: dict[int, float] = {}
        """`perf_counter` at which the latest frame of each painted number was in memory."""
        self._due = time.perf_counter()

    def read(self, out: Image) -> float | None:
        if self.realtime:
            time.sleep(max(0.0, self._due - time.perf_counter()))
            self._due += 1 / PACE
        np.copyto(out, self._pictures[self.count % len(self._pictures)])
        if self._coded:
            timecode.paint(out, self.count)
        now = time.perf_counter()
        if self._coded:
            self.sent[self.count % timecode.NUMBERS] = now
        self.count += 1
        return now

    def close(self) -> None:
        return


class Looped(Source):
    """A video file that begins again at its end, which costs a few milliseconds there."""

    realtime = False
    frames = None

    def __init__(self, path: Path) -> None:
        self._source = open_source(str(path))
        self.name, self.description = self._source.name, self._source.description
        self.size, self.fps = self._source.size, self._source.fps
        self.count = 0

    def read(self, out: Image) -> float | None:
        self.count += 1
        timestamp = self._source.read(out)
        if timestamp is None:
            self._source.reopen()
            timestamp = self._source.read(out)
        return timestamp

    def close(self) -> None:
        self._source.close()
