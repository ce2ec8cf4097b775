"""The person's and the old background's colours at soft edges: no rim of it surrounds the person.

A pixel of the frame is a * F + (1 - a) * B: where alpha is soft, the old background shines through.
There the composites take two colours from nearby, F of the person and B of the old background,
means of the frame over cells of 8x8 pixels or more, weighted by alpha and by 1 - alpha. These are
the means of blur fusion: Forte, "Approximate Fast Foreground Colour Estimation", 2021. What
`composite` makes of them is not, because a network's alpha is itself not exact. The formulas:
`livecut.kernels.reference`.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numba import float32, uint8, uint16

from livecut.frame import Cutout, Floats, Image, Size
from livecut.kernels import kernel
from livecut.kernels.constants import (
    CELL_FALL,
    CELL_FLOOR,
    CELL_REACH,
    CELL_SQUARINGS,
    LARGE_CELL,
    LARGE_FRAME,
    SMALL_CELL,
    TINY,
)
from livecut.kernels.resize import reduce

EdgeColours = tuple[Floats, Image, int]
"""What the composites must know of a cutout: the mean alpha (h, w) of its cells in 0..1, exactly 0
or 1 where all pixels are; the colours of the person and of the old background, BGR (2, h + 1, w +
1, 3), at the corners of cells that are neither; and a cell's width and height in pixels."""


def cell_size(size: Size) -> int:
    """Width and height in pixels, a power of two up to 16, of a cell of a frame of `size`."""
    return SMALL_CELL if min(size) < LARGE_FRAME else LARGE_CELL


def cells_min_size(size: Size) -> Size:
    """Least (width, height) to which a frame of `size` is halved, then fitted to its cells."""
    cell = cell_size(size)
    return max(1, size[0] // cell), max(1, size[1] // cell)


class EdgeColourEstimator:
    """Finds the colours at the edges of cutouts of one size, in its own buffers."""

    def __init__(self, size: Size) -> None:
        """`size` is the frame's (width, height)."""
        width, height = size
        self._cell = cell = cell_size(size)
        w, h = -(-width // cell), -(-height // cell)
        self._min_size = cells_min_size(size)
        self._levels: list[Image] = []
        self._image = np.empty((h, w, 3), np.uint8)
        self._mean, self._rest = np.empty((2, h, w), np.float32)
        self._weighted = np.empty((h, w, 4), np.float32)
        self._colours = np.zeros((2, h + 1, w + 1, 3), np.uint8)

    def __call__(self, cutout: Cutout) -> EdgeColours:
        """The colours for the composites of `cutout`; overwritten by the next call."""
        cell_means(cutout.alpha, self._cell, self._mean)
        image = reduce(cutout.smallest(self._min_size), self._min_size, self._levels)
        size = self._image.shape[1::-1]
        cv2.resize(image, size, dst=self._image, interpolation=cv2.INTER_LINEAR)
        np.subtract(1, self._mean, out=self._rest)
        for mean, colours in zip((self._mean, self._rest), self._colours, strict=True):
            premultiply_cells(self._image, mean, self._weighted)
            corner_colours(self._weighted, mean, colours)
        return self._mean, self._colours, self._cell


@kernel
def cell_means(alpha: Image, cell: int, out: Floats) -> None:
    """Write the means in 0..1 of alpha uint8 (H, W) over cells of `cell` (up to 16) pixels squared.

    `out` (h, w) is the frame's size in cells, rounded up: pixels outside of the frame count
    nothing.
    """
    height, width = alpha.shape
    rows, columns = out.shape
    sums = np.zeros(columns * cell, np.uint16)
    for row in range(rows):
        top, bottom = row * cell, min(height, (row + 1) * cell)
        sums[:] = 0
        for y in range(top, bottom):
            for x in range(width):
                sums[x] = uint16(sums[x] + uint16(alpha[y, x]))
        count = columns * cell
        while count > columns:
            count //= 2
            for x in range(count):
                sums[x] = uint16(sums[2 * x] + sums[2 * x + 1])
        most = float32(255 * cell * (bottom - top))
        for x in range(columns):
            out[row, x] = float32(sums[x]) / most
        most = float32(255 * (width - (columns - 1) * cell) * (bottom - top))
        out[row, columns - 1] = float32(sums[columns - 1]) / most


@kernel
def premultiply_cells(image: Image, mean: Floats, out: Floats) -> None:
    """Write (B w, G w, R w, w) float32 (h, w, 4), where w = mean ** CELL_POWER.

    image is BGR uint8 (h, w, 3), mean (h, w) in 0..1; cells that are partly something else hardly
    count.
    """
    height, width = mean.shape
    for y in range(height):
        for x in range(width):
            w = mean[y, x]
            for _ in range(CELL_SQUARINGS):
                w *= w
            for c in range(3):
                out[y, x, c] = float32(image[y, x, c]) * w
            out[y, x, 3] = w


@kernel
def corner_colours(weighted: Floats, mean: Floats, out: Image) -> None:
    """Write the colours at the corners of soft cells, whose mean is neither 0 nor 1.

    `weighted` (h, w, 4) is that of `premultiply_cells`; `out` is BGR uint8 (h + 1, w + 1, 3), whose
    other corners stay as they are. The cells that count lie up to CELL_REACH to each side of the
    corner, the nearest fully, the next by CELL_FALL of the one before, in each direction. The
    weighted mean colour of all cells counts CELL_FLOOR; the colour is black where nothing counts.
    """
    height, width = mean.shape
    reach, fall, floor = CELL_REACH, float32(CELL_FALL), float32(CELL_FLOOR)
    rows = weighted.reshape(height, width * 4)
    sums, total = np.zeros(width * 4, np.float32), np.zeros(4, np.float32)
    for y in range(height):
        _add(sums, rows[y], float32(1))
    for x in range(width):
        for c in range(4):
            total[c] += sums[4 * x + c]
    share = floor / max(total[3], float32(TINY))
    line = np.zeros((width + 2 * reach) * 4, np.float32)
    around = np.empty((width + 1) * 4, np.float32)
    soft = np.zeros(width + 2, np.bool_)
    for row in range(height + 1):
        above, below = max(row - 1, 0), min(row, height - 1)
        for x in range(width):
            a, b = mean[above, x], mean[below, x]
            soft[x + 1] = ((a > 0) & (a < 1)) | ((b > 0) & (b < 1))
        if not soft.any():
            continue
        line[:] = 0
        around[:] = 0
        weight = float32(1)
        for step in range(reach):
            for y in (row - 1 - step, row + step):
                if 0 <= y < height:
                    _add(line[4 * reach :], rows[y], weight)
            weight *= fall
        weight = float32(1)
        for step in range(reach):
            _add(around, line[4 * (reach - 1 - step) :], weight)
            _add(around, line[4 * (reach + step) :], weight)
            weight *= fall
        for column in range(width + 1):
            if soft[column] | soft[column + 1]:
                scale = float32(1) / (around[4 * column + 3] + floor)
                for c in range(3):
                    v = (around[4 * column + c] + share * total[c]) * scale + float32(0.5)
                    out[row, column, c] = uint8(min(v, float32(255)))


@kernel
def _add(sums: Any, values: Any, weight: Any) -> None:
    """Add `weight` times `values` to `sums`, as far as both reach."""
    for i in range(min(sums.shape[0], values.shape[0])):
        sums[i] += weight * values[i]
