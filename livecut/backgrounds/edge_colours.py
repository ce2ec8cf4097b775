"""The person's and the room's colours at the edges of a cutout."""

from __future__ import annotations

import cv2
import numpy as np

from livecut.frame import Cutout, Image
from livecut.kernels.edges import (
    Edges,
    cell_size,
    cells_least,
    premultiply_cells,
    spread_cells,
    survey,
)
from livecut.kernels.resize import reduce


class EdgeColours:
    """Finds the person's and the room's colour at the edges of cutouts of one size, in its own buffers."""

    def __init__(self, size: tuple[int, int]) -> None:
        width, height = size
        self._cell = cell = cell_size(size)
        w, h = -(-width // cell), -(-height // cell)
        self._least = cells_least(size)
        self._levels: list[Image] = []
        self._image = np.empty((h, w, 3), np.uint8)
        self._mean, self._rest = np.empty((2, h, w), np.float32)
        self._weighted = np.empty((h, w, 4), np.float32)
        self._colours = np.zeros((2, h + 1, w + 1, 3), np.uint8)

    def __call__(self, cutout: Cutout) -> Edges:
        """What to composite the cutout with; overwritten by the next call."""
        survey(cutout.alpha, self._cell, self._mean)
        image = reduce(cutout.smallest(self._least), self._least, self._levels)
        size = self._image.shape[1::-1]
        cv2.resize(image, size, dst=self._image, interpolation=cv2.INTER_LINEAR)
        np.subtract(1, self._mean, out=self._rest)
        for mean, colours in zip((self._mean, self._rest), self._colours, strict=True):
            premultiply_cells(self._image, mean, self._weighted)
            spread_cells(self._weighted, mean, colours)
        return self._mean, self._colours, self._cell
