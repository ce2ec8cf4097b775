"""A video behind the person."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from livecut.backgrounds.picture import PictureBackground, fit
from livecut.errors import ConfigError
from livecut.frame import Image, Size


class Video(PictureBackground):
    """A video that plays at its own rate and begins again at its end."""

    forms = ("loop.mp4",)
    help = "a video, which begins again at its end"

    def __init__(self, path: Path, size: Size) -> None:
        """Open the video at `path`. Raises SourceError."""
        from livecut.sources.video import VideoFile

        super().__init__(path.name, size)
        self._source = VideoFile(path)
        width, height = self._source.size
        self._frame = np.zeros((height, width, 3), np.uint8)
        self._fitted = np.zeros((size[1], size[0], 3), np.uint8)
        self._start: float | None = None
        self.shown = -1

    @classmethod
    def accepts(cls, spec: str) -> bool:
        return Path(spec).is_file()

    @classmethod
    def open(cls, spec: str, size: Size) -> Video:
        return cls(Path(spec), size)

    def _advance(self) -> None:
        if self._source.read(self._frame) is None:
            self._source.reopen()
            if self._source.read(self._frame) is None:
                raise ConfigError(f"background {self.name} gives no picture any more")
        self.shown += 1

    def picture(self, position: float) -> Image:
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
