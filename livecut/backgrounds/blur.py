"""The room itself, blurred."""

from __future__ import annotations

import math
import time

import cv2
import numpy as np

from livecut.frame import Cutout, Image
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


def spread(height: int, strength: float) -> float:
    """The blur's standard deviation in pixels of a picture `height` high; `strength` is 0..1."""
    return height * (BLUR_WEAKEST + strength * (BLUR_STRONGEST - BLUR_WEAKEST))


def background_size(size: tuple[int, int], strength: float) -> tuple[int, int]:
    """The least (width, height) that a frame of `size` is averaged down to before it is blurred."""
    wide = spread(size[1], strength) >= WIDE_BLUR
    share = WIDE_BLUR_REDUCTION if wide else BLUR_REDUCTION
    return -(-size[0] // share), -(-size[1] // share)


def box_width(height: int, strength: float) -> int:
    """The width, odd, of the three box blurs that make a `strength` of a picture `height` high."""
    # A box of width b has the variance (b^2 - 1) / 12, and those of several add up.
    variance = spread(height, strength) ** 2 / BLUR_BOXES
    return max(BLUR_MIN_BOX, round(math.sqrt(12 * variance + 1)) | 1)


class Blur:
    """The room itself, blurred, by its own pixels only.

    The frame is averaged down to an eighth, or to a sixteenth where the blur is so wide that no eye
    tells them apart, with the person weighted out (blur(room * (1 - a)) / blur(1 - a)), so that no halo
    of the person's colours surrounds them; where all is person, the mean of the room stands in. The frame's
    own colours are blended with it: the rim that they leave at soft edges is of the room's colour, as is
    what lies behind, and the person's colour in its place would be seen as a shadow.
    """

    seconds = 0.0

    def __init__(self, size: tuple[int, int], strength: float = DEFAULT_STRENGTH) -> None:
        self._size = size
        self.strength = min(max(strength, 0.0), 1.0)
        self.name = f"blur:{self.strength:.2g}"
        self._least = background_size(size, self.strength)
        self._levels: list[Image] = []
        self._mask_levels: list[Image] = []

    def _allocate(self, height: int, width: int) -> None:
        self._room = np.empty((height, width, 4), np.float32)
        self._blurred = np.empty((height, width, 4), np.float32)
        self._result = np.empty((height, width, 3), np.uint8)
        self._rows = np.empty((height, self._size[0], 3), np.uint8)
        self._box = (box_width(height, self.strength),) * 2

    def compose(self, cutout: Cutout, out: Image) -> None:
        """Write the cutout over its own blurred room."""
        begun = time.perf_counter()
        image = reduce(cutout.smallest(self._least), self._least, self._levels)
        alpha = reduce(cutout.alpha, self._least, self._mask_levels)
        if not hasattr(self, "_room"):
            self._allocate(*alpha.shape)
        premultiply(image, alpha, self._room)
        edge = cv2.BORDER_REPLICATE
        cv2.blur(self._room, self._box, dst=self._blurred, borderType=edge)
        cv2.blur(self._blurred, self._box, dst=self._room, borderType=edge)
        cv2.blur(self._room, self._box, dst=self._blurred, borderType=edge)
        unpremultiply(self._blurred, self._result)
        size = (self._rows.shape[1], self._rows.shape[0])
        cv2.resize(self._result, size, dst=self._rows, interpolation=cv2.INTER_LINEAR)
        self.seconds = time.perf_counter() - begun
        composite_rows(cutout.frame.image, cutout.alpha, self._rows, out)
