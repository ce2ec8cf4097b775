"""A picture behind the person."""

from __future__ import annotations

import time
from abc import abstractmethod
from pathlib import Path

import cv2
import numpy as np

from livecut.backgrounds.base import Background
from livecut.frame import Cutout, Image, Size
from livecut.kernels.composite import composite
from livecut.kernels.edges import EdgeColourEstimator
from livecut.pictures import READABLE, read_picture


class PictureBackground(Background):
    """The base of backgrounds that show a picture of the frame's size, which may change."""

    scene = "picture"
    shown = 0
    """Number of the picture that `picture` gave last; another number is another picture."""

    def __init__(self, name: str, size: Size) -> None:
        self.name = name
        self._edges = EdgeColourEstimator(size)

    @abstractmethod
    def picture(self, position: float) -> Image:
        """The picture, BGR uint8 (H, W, 3), for a frame at `position` in seconds.

        The next call may write the same buffer again. Raises LivecutError.
        """

    def compose(self, cutout: Cutout, out: Image) -> None:
        """Write the cutout over the picture that is due. Raises LivecutError."""
        begun, before = time.perf_counter(), self.shown
        picture = self.picture(cutout.frame.position)
        self.seconds = time.perf_counter() - begun if self.shown != before else 0.0
        edges = self._edges(cutout)
        composite(cutout.frame.image, cutout.alpha, edges, picture, out)


class Still(PictureBackground):
    """A picture that stays the same, scaled to cover the frame."""

    forms = ("beach.jpg",)
    help = "a picture, cut to the frame"

    def __init__(self, name: str, image: Image, size: Size) -> None:
        """`image` is BGR uint8 of any size, `size` the frame's (width, height)."""
        super().__init__(name, size)
        self._image = np.empty((size[1], size[0], 3), np.uint8)
        fit(image, self._image)

    @classmethod
    def accepts(cls, spec: str) -> bool:
        path = Path(spec)
        return path.suffix.lower() in READABLE and path.is_file()

    @classmethod
    def open(cls, spec: str, size: Size) -> Still:
        path = Path(spec)
        return cls(path.name, read_picture(path), size)

    def picture(self, position: float) -> Image:
        return self._image


def fit(image: Image, out: Image) -> None:
    """Scale `image` to cover `out`, keep its proportions, cut what stands over at both sides."""
    height, width = out.shape[:2]
    h, w = image.shape[:2]
    scale = max(width / w, height / h)
    cut_w, cut_h = min(w, max(1, round(width / scale))), min(h, max(1, round(height / scale)))
    x, y = (w - cut_w) // 2, (h - cut_h) // 2
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    cv2.resize(image[y : y + cut_h, x : x + cut_w], (width, height), dst=out, interpolation=how)
