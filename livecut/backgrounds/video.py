"""A video behind the person."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from livecut.backgrounds.picture import fit
from livecut.errors import ConfigError
from livecut.frame import Cutout, Image
from livecut.kernels.composite import composite
from livecut.kernels.edges import EdgeColourEstimator


class Video:
    """A video that plays at its own rate and begins again at its end."""

    seconds = 0.0

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        from livecut.sources.video import VideoFile

        self.name = path.name
        self._source = VideoFile(path)
        width, height = self._source.size
        self._frame = np.zeros((height, width, 3), np.uint8)
        self._fitted = np.zeros((size[1], size[0], 3), np.uint8)
        self._edges = EdgeColourEstimator(size)
        self._start: float | None = None
        self.shown = -1
        """The number of the picture that `picture` gave last."""

    def _advance(self) -> None:
        if self._source.read(self._frame) is None:
            self._source.reopen()
            if self._source.read(self._frame) is None:
                raise ConfigError(f"background {self.name} gives no picture any more")
        self.shown += 1

    def picture(self, position: float) -> Image:
        """BGR: what is due at this position of the frames, in a buffer that is written again."""
        if self._start is None:
            self._start = position
        due = int((position - self._start) * self._source.fps)
        if due - self.shown > self._source.fps:
            self._start, self.shown, due = position, -1, 0
        if due > self.shown:
            while due > self.shown:
                self._advance()
            fit(self._frame, self._fitted)
        return self._fitted

    def compose(self, cutout: Cutout, out: Image) -> None:
        """Write the cutout over the picture due at the frame's position."""
        begun = time.perf_counter()
        picture, edges = self.picture(cutout.frame.position), self._edges(cutout)
        self.seconds = time.perf_counter() - begun
        composite(cutout.frame.image, cutout.alpha, edges, picture, out)
