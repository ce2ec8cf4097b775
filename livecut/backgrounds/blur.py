"""The frame's own background, blurred."""

from __future__ import annotations

import math
import time

import cv2
import numpy as np

from livecut.backgrounds.base import Background
from livecut.errors import ConfigError
from livecut.frame import Cutout, Image, Size
from livecut.kernels.composite import composite_rows, premultiply, unpremultiply
from livecut.kernels.constants import (
    BLUR_BOXES,
    BLUR_MIN_BOX,
    BLUR_REDUCTION,
    BLUR_STRONGEST,
    BLUR_WEAKEST,
    DEFAULT_STRENGTH,
    WIDE_BLUR,
    WIDE_BLUR_REDUCTION,
)
from livecut.kernels.resize import reduce


def deviation(height: int, strength: float) -> float:
    """Standard deviation in pixels of a blur of `strength`, 0..1, in a picture of `height`."""
    return height * (BLUR_WEAKEST + strength * (BLUR_STRONGEST - BLUR_WEAKEST))


def background_size(size: Size, strength: float) -> Size:
    """Least (width, height) to which a frame of `size` is halved before it is blurred."""
    wide = deviation(size[1], strength) >= WIDE_BLUR
    share = WIDE_BLUR_REDUCTION if wide else BLUR_REDUCTION
    return -(-size[0] // share), -(-size[1] // share)


def box_width(height: int, strength: float) -> int:
    """Width, odd, of the box blurs that make a `strength` in a picture of `height` pixels."""
    # A box of width b has the variance (b^2 - 1) / 12, and the variances of several add up.
    variance = deviation(height, strength) ** 2 / BLUR_BOXES
    return max(BLUR_MIN_BOX, round(math.sqrt(12 * variance + 1)) | 1)


class Blur(Background):
    """The frame's own background, blurred.

    The frame is reduced to an eighth, or to a sixteenth where the blur is so wide that no eye tells
    them apart, with the person weighted out: blur(frame * (1 - a)) / blur(1 - a). So the person's
    colours make no halo; where all is person, the mean of the background stands in. The frame's own
    colours are blended with it: the rim that they leave at soft edges has the background's colour,
    as has what lies behind; the person's colour in its place would be seen as a shadow.
    """

    forms = ("blur", "blur:0.8")
    help = "the room, blurred, from blur:0.0 to blur:1.0"
    scene = "blur"

    def __init__(self, size: Size, strength: float = DEFAULT_STRENGTH) -> None:
        """`size` is the frame's (width, height); `strength` is clipped to 0..1."""
        self._size = size
        self.strength = min(max(strength, 0.0), 1.0)
        self.name = f"blur:{self.strength:.2g}"
        self._min_size = background_size(size, self.strength)
        self._levels: list[Image] = []
        self._alpha_levels: list[Image] = []

    @classmethod
    def accepts(cls, spec: str) -> bool:
        return spec.partition(":")[0] == "blur"

    @classmethod
    def open(cls, spec: str, size: Size) -> Blur:
        text = spec.partition(":")[2]
        try:
            strength = float(text) if text else DEFAULT_STRENGTH
        except ValueError:
            strength = float("nan")
        if not 0.0 <= strength <= 1.0:
            raise ConfigError(
                f"background '{spec}': the blur's strength must be 0.0 to 1.0, as in blur:0.5"
            )
        return cls(size, strength)

    def _allocate(self, height: int, width: int) -> None:
        self._weighted = np.empty((height, width, 4), np.float32)
        self._scratch = np.empty((height, width, 4), np.float32)
        self._background = np.empty((height, width, 3), np.uint8)
        self._rows = np.empty((height, self._size[0], 3), np.uint8)
        self._box = (box_width(height, self.strength),) * 2

    def compose(self, cutout: Cutout, out: Image) -> None:
        """Write the cutout over its own blurred background."""
        begun = time.perf_counter()
        image = reduce(cutout.smallest(self._min_size), self._min_size, self._levels)
        alpha = reduce(cutout.alpha, self._min_size, self._alpha_levels)
        if not hasattr(self, "_weighted"):
            self._allocate(*alpha.shape)
        blurred, scratch = self._weighted, self._scratch
        premultiply(image, alpha, blurred)
        for _ in range(BLUR_BOXES):
            cv2.blur(blurred, self._box, dst=scratch, borderType=cv2.BORDER_REPLICATE)
            blurred, scratch = scratch, blurred
        unpremultiply(blurred, self._background)
        size = (self._rows.shape[1], self._rows.shape[0])
        cv2.resize(self._background, size, dst=self._rows, interpolation=cv2.INTER_LINEAR)
        self.seconds = time.perf_counter() - begun
        composite_rows(cutout.frame.image, cutout.alpha, self._rows, out)
