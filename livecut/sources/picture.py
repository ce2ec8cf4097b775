"""A picture file as a source."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from livecut.frame import Image, as_image
from livecut.pictures import READABLE, read_picture
from livecut.sources.base import Source


class Picture(Source):
    """A picture file: a source of one frame."""

    forms = ("me.jpg",)
    help = "a picture"
    realtime = False
    fps = 30.0
    frames = 1

    def __init__(self, path: Path, *, size: tuple[int, int] | None = None) -> None:
        """Read `path` and scale it to `size`. Raises SourceError."""
        self.name, self.path = path.name, path
        image = read_picture(path)
        height, width = image.shape[:2]
        self.description = f"{width}x{height} picture"
        self.size = size or (width, height)
        if self.size != (width, height):
            smaller = self.size[0] * self.size[1] < width * height
            interpolation = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
            image = as_image(cv2.resize(image, self.size, interpolation=interpolation))
        self._image = image
        self._shown = False

    @classmethod
    def accepts(cls, uri: str) -> bool:
        path = Path(uri)
        return path.suffix.lower() in READABLE and os.path.exists(path)

    @classmethod
    def open(cls, uri: str, **settings: Any) -> Picture:
        return cls(Path(uri), **settings)

    def read(self, out: Image) -> float | None:
        if self._shown:
            return None
        self._shown = True
        np.copyto(out, self._image)
        return time.perf_counter()

    def reopen(self) -> None:
        self._shown = False

    def close(self) -> None:
        self._shown = True
