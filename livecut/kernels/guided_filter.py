"""The guided filter, which moves the edges of a small alpha to those of the picture."""

from __future__ import annotations

import cv2
import numpy as np

from livecut.frame import Floats, Image
from livecut.kernels.alpha import apply_linear, mean_5x5, regress, saturation
from livecut.kernels.constants import SURE_BLOCK


class GuidedFilter:
    """Moves the edges of a small alpha to the edges of the full-size picture.

    The fast guided filter (He, Sun and Tang 2013; He and Sun 2015) with a grey guide: a linear model
    alpha = slope * grey + offset is fitted in each 5x5 at the network's input size, and applied at full
    size.
    """

    def __init__(self, full: tuple[int, int], small: tuple[int, int]) -> None:
        (width, _), (w, h) = full, small
        self._small = small
        self._small_grey = np.empty((h, w), np.uint8)
        self._alpha, self._slope, self._offset = np.empty((3, h, w), np.float32)
        self._means = np.empty((2, h, w), np.float32)
        self._lines = np.empty((2, h, width), np.float32)
        # Both planes as one, one above the other: rows stay rows, only their width changes.
        self._stacked = self._means.reshape(2 * h, w), self._lines.reshape(2 * h, width)
        self._flat = np.empty((h, max(1, w // SURE_BLOCK)), np.uint8)

    def __call__(self, image: Image, small_image: Image, alpha: Floats, out: Image) -> None:
        """Refine `alpha` (float32 in 0..1, any size) into `out` uint8 (H, W) by `image` (H, W, 3)."""
        cv2.cvtColor(small_image, cv2.COLOR_BGR2GRAY, dst=self._small_grey)
        cv2.resize(alpha, self._small, dst=self._alpha, interpolation=cv2.INTER_LINEAR)
        regress(self._small_grey, self._alpha, self._slope, self._offset)
        mean_5x5(self._slope, self._means[0])
        mean_5x5(self._offset, self._means[1])
        saturation(self._means[0], self._means[1], self._flat)
        means, lines = self._stacked
        cv2.resize(means, lines.shape[::-1], dst=lines, interpolation=cv2.INTER_LINEAR)
        apply_linear(image, self._lines[0], self._lines[1], self._flat, out)
