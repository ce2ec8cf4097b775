"""The guided filter: it moves the edges of a small alpha to those of the full-size picture.

The fast guided filter with a grey guide: He, Sun and Tang, "Guided Image Filtering", 2013; He and
Sun, "Fast Guided Filter", 2015. The formulas: `livecut.kernels.reference`.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numba import int32, uint8, uint16, uintp
from numpy.typing import NDArray

from livecut.frame import Floats, Image, Size
from livecut.kernels import kernel
from livecut.kernels.constants import (
    ALPHA_MARGIN,
    EVEN_LEVELS,
    GREY_WEIGHTS,
    GUIDED_EPSILON,
    GUIDED_RADIUS,
    GUIDED_WINDOW,
    SURE_BLOCK,
    SURE_BORDER,
    SURE_FULL,
    SURE_ZERO,
    WEIGHT_BITS,
    WEIGHT_ONE,
)

_COUNT = GUIDED_WINDOW * GUIDED_WINDOW
"""Pixels of a window."""
_REACH = 2 * GUIDED_RADIUS
"""Pixels around one that have a part in the mean of its lines."""
UNSURE, ZERO, FULL = 0, 1, 2
"""Knowledge of a block's alpha before it is computed: none; it is 0; it is 255."""


class GuidedFilter:
    """Refines alpha for frames of one size, in its own buffers.

    A line alpha = slope * grey + offset is fitted in the window around each pixel of the picture
    that the network saw; the means of the lines are applied to the full-size picture. Where all
    around is person, or nothing is, which is most of a picture, no line is fitted or applied.
    """

    def __init__(self, full: Size, small: Size) -> None:
        """`full` is the frame's (width, height), `small` that of the network's input."""
        (width, _), (w, h) = full, small
        blocks = max(1, w // SURE_BLOCK)
        self._small = small
        self._small_grey, self._levels = np.empty((2, h, w), np.uint8)
        self._alpha, self._slope, self._offset = np.empty((3, h, w), np.float32)
        self._means = np.empty((2, h, w), np.float32)
        self._even, self._sure = np.empty((2, h, blocks), np.uint8)
        self._needs_mean, self._needs_line, self._applied = np.empty((3, h, blocks), np.uint8)
        self._left, self._part = between_columns(width, w)

    def __call__(self, image: Image, small_image: Image, alpha: Floats, out: Image) -> None:
        """Refine `alpha`, float32 (any h, any w) in 0..1, into `out` uint8 (H, W), 255 = person.

        `image` (H, W, 3) and `small_image` (h, w, 3) are BGR uint8 of the sizes given at the start.
        """
        cv2.cvtColor(small_image, cv2.COLOR_BGR2GRAY, dst=self._small_grey)
        cv2.resize(alpha, self._small, dst=self._alpha, interpolation=cv2.INTER_LINEAR)
        to_levels(self._alpha, self._levels)
        find_even_blocks(self._levels, self._even, self._needs_mean, self._needs_line)
        fit_lines(self._small_grey, self._levels, self._needs_line, self._slope, self._offset)
        slope, offset = self._means
        window_mean(self._slope, self._needs_mean, slope)
        window_mean(self._offset, self._needs_mean, offset)
        find_sure_blocks(slope, offset, self._even, self._sure, self._applied)
        lines = (slope, offset, self._left, self._part)
        apply_lines(image, lines, self._sure, self._applied, out)


def between_columns(full: int, small: int) -> tuple[NDArray[np.uint32], Floats]:
    """Places of `full` columns among `small` ones, pixel centres aligned.

    The left neighbour of each, uint32, and the weight of the one to its right, float32 in 0..1.
    """
    at = ((np.arange(full) + 0.5) * small / full - 0.5).clip(0, small - 1)
    left = np.minimum(at.astype(np.uint32), max(0, small - 2))
    return left.astype(np.uint32), (at - left).astype(np.float32)


@kernel
def _mirrored(i: int, count: int) -> int:
    """Index that `i`, up to GUIDED_RADIUS beyond either end of 0..count - 1, is mirrored to."""
    inside = -1 - i if i < 0 else (2 * count - 1 - i if i >= count else i)
    return min(max(inside, 0), count - 1)


@kernel
def to_levels(alpha: Floats, out: Image) -> None:
    """Write alpha (h, w) of 0..1 as the nearest of the levels 0..255."""
    height, width = alpha.shape
    for y in range(height):
        for x in range(width):
            out[y, x] = uint8(alpha[y, x] * np.float32(255) + np.float32(0.5))


@kernel
def find_even_blocks(levels: Image, even: Image, means: Image, lines: Image) -> None:
    """Write ZERO or FULL where even alpha makes a block's lines needless, else UNSURE.

    `levels` (h, w) is alpha in 0..255. `even` (h, n) is for n blocks of a row side by side. A
    block's lines are made of it, the blocks beside it, and rows up to _REACH above and below. Where
    all levels there are EVEN_LEVELS at most, or 255 less that at least, no line leaves the margin.
    `means` (h, n) and `lines` (h, n) become 1 where the means of the lines, and the lines, are
    needed, else 0.
    """
    height, width = levels.shape
    blocks = even.shape[1]
    own, beside = np.empty(blocks, np.uint8), np.empty((height, blocks), np.uint8)
    known = np.empty(width, np.uint8)
    for y in range(height):
        for x in range(uintp(width)):
            level = levels[y, x]
            known[x] = uint8(level <= EVEN_LEVELS) * uint8(ZERO) + uint8(
                level >= 255 - EVEN_LEVELS
            ) * uint8(FULL)
        for block in range(uintp(blocks)):
            kind = uint8(ZERO | FULL)
            for x in range(uintp(SURE_BLOCK)):
                kind &= known[min(block * uintp(SURE_BLOCK) + x, uintp(width - 1))]
            own[block] = kind
        for x in range(blocks * SURE_BLOCK, width):
            own[blocks - 1] &= known[x]
        for block in range(blocks):
            left, right = max(0, block - 1), min(blocks - 1, block + 1)
            beside[y, block] = own[left] & own[block] & own[right]
    for y in range(height):
        for block in range(uintp(blocks)):
            own[block] = beside[y, block]
        for near in range(max(0, y - _REACH), min(height, y + _REACH + 1)):
            for block in range(uintp(blocks)):
                own[block] &= beside[near, block]
        for block in range(uintp(blocks)):
            even[y, block] = own[block]
    spread(even, 1, means)
    for y in range(height):
        for block in range(uintp(blocks)):
            own[block] = 0
        for near in range(max(0, y - GUIDED_RADIUS), min(height, y + GUIDED_RADIUS + 1)):
            for block in range(uintp(blocks)):
                own[block] |= means[near, block]
        for block in range(uintp(blocks)):
            lines[y, block] = own[block]


@kernel
def spread(sure: Image, rows: int, out: Image) -> None:
    """Write 1 where a block of `sure` (h, n), at most so many rows away, is UNSURE, else 0."""
    height, blocks = sure.shape
    for y in range(height):
        for block in range(blocks):
            out[y, block] = 0
        for near in range(max(0, y - rows), min(height, y + rows + 1)):
            for block in range(uintp(blocks)):
                out[y, block] |= uint8(sure[near, block] == UNSURE)


@kernel
def find_sure_blocks(
    slope: Floats, offset: Floats, even: Image, sure: Image, applied: Image
) -> None:
    """Write ZERO or FULL where the lines (h, w) give the same alpha for every grey, else UNSURE.

    `sure` (h, n) is for the blocks of `even` of `find_even_blocks`, of which those that are UNSURE
    are looked at; SURE_BORDER pixels on each side of a block count too. `applied` (h, n) becomes 1
    where the lines are needed at full width, else 0.
    """
    height, width = slope.shape
    blocks = sure.shape[1]
    for y in range(height):
        for block in range(blocks):
            sure[y, block] = even[y, block]
            if even[y, block] != UNSURE:
                continue
            first = max(0, block * SURE_BLOCK - SURE_BORDER)
            end = width if block == blocks - 1 else (block + 1) * SURE_BLOCK
            last = min(width, end + SURE_BORDER)
            low, high = np.float32(np.inf), np.float32(-np.inf)
            for x in range(uintp(first), uintp(last)):
                black, white = offset[y, x], offset[y, x] + np.float32(255) * slope[y, x]
                low, high = min(low, min(black, white)), max(high, max(black, white))
            if high < SURE_ZERO:
                sure[y, block] = ZERO
            elif low > SURE_FULL:
                sure[y, block] = FULL
    spread(sure, 1, applied)


@kernel
def _next_run(wanted: Image, y: int, block: int, width: int, border: int) -> Any:
    """Columns (first, last) of a row's next wanted blocks, `border` wider, and the block after.

    `wanted` (h, n) is of blocks of rows of `width` pixels. After the last run, all are the ends.
    """
    blocks = wanted.shape[1]
    while block < blocks and not wanted[y, block]:
        block += 1
    if block == blocks:
        return width, width, blocks
    first = max(0, block * SURE_BLOCK - border)
    while block < blocks and wanted[y, block]:
        block += 1
    last = width if block == blocks else block * SURE_BLOCK
    return first, min(width, last + border), block


@kernel
def _mirror_ends(sums: Any, plane: int, first: int, last: int, width: int) -> None:
    """Fill the columns first - r..last + r - 1 of sums (n, w + 2 r) beyond a picture's edges.

    Column x of the picture is column x + r of the sums.
    """
    for i in range(GUIDED_RADIUS):
        left, right = first - GUIDED_RADIUS + i, last + i
        if left < 0:
            sums[plane, left + GUIDED_RADIUS] = sums[plane, _mirrored(left, width) + GUIDED_RADIUS]
        if right >= width:
            sums[plane, right + GUIDED_RADIUS] = sums[
                plane, _mirrored(right, width) + GUIDED_RADIUS
            ]


@kernel
def _across(sums: Any, plane: int, x: Any) -> Any:
    """The sum of the window around column `x` of the picture, of sums (n, w + 2 r) of columns."""
    return (
        sums[plane, x]
        + sums[plane, x + uintp(1)]
        + sums[plane, x + uintp(2)]
        + sums[plane, x + uintp(3)]
        + sums[plane, x + uintp(4)]
    )


@kernel
def fit_lines(grey: Image, levels: Image, wanted: Image, slope: Floats, offset: Floats) -> None:
    """Fit the line alpha = slope * grey + offset in the window around each pixel, by least squares.

    grey and alpha's `levels` (h, w) are uint8. The lines (h, w) are for both in 0..255, and
    stretched so that alpha below ALPHA_MARGIN falls under 0 and above 1 - ALPHA_MARGIN over 255.
    They are computed in the blocks that `wanted` (h, n) of `find_even_blocks` says, and
    GUIDED_RADIUS + SURE_BORDER pixels beside them. Beyond its edges the picture is mirrored.
    """
    height, width = grey.shape
    gain, low = np.float32(1 / (1 - 2 * ALPHA_MARGIN)), np.float32(255 * ALPHA_MARGIN)
    eps = np.float32(GUIDED_EPSILON * 255 * 255 * _COUNT * _COUNT)
    share, radius = np.float32(1 / _COUNT), uintp(GUIDED_RADIUS)
    sums = np.empty((4, width + 2 * GUIDED_RADIUS), np.int32)
    for y in range(height):
        y0, y1 = uintp(_mirrored(y - 2, height)), uintp(_mirrored(y - 1, height))
        y2, y3 = uintp(_mirrored(y + 1, height)), uintp(_mirrored(y + 2, height))
        block = 0
        while True:
            first, last, block = _next_run(wanted, y, block, width, GUIDED_RADIUS + SURE_BORDER)
            if first == width:
                break
            start, end = max(0, first - GUIDED_RADIUS), min(width, last + GUIDED_RADIUS)
            for x in range(uintp(start), uintp(end)):
                g, a = int32(grey[y0, x]), int32(levels[y0, x])
                h, b = int32(grey[y1, x]), int32(levels[y1, x])
                i, c = int32(grey[uintp(y), x]), int32(levels[uintp(y), x])
                j, d = int32(grey[y2, x]), int32(levels[y2, x])
                k, e = int32(grey[y3, x]), int32(levels[y3, x])
                sums[0, x + radius] = int32(g + h + i + j + k)
                sums[1, x + radius] = int32(a + b + c + d + e)
                sums[2, x + radius] = int32(g * a + h * b + i * c + j * d + k * e)
                sums[3, x + radius] = int32(g * g + h * h + i * i + j * j + k * k)
            for plane in range(4):
                _mirror_ends(sums, plane, first, last, width)
            for x in range(uintp(first), uintp(last)):
                g, a = int32(_across(sums, 0, x)), int32(_across(sums, 1, x))
                ga, gg = int32(_across(sums, 2, x)), int32(_across(sums, 3, x))
                covariance = int32(int32(int32(_COUNT) * ga) - int32(g * a))
                variance = int32(int32(int32(_COUNT) * gg) - int32(g * g))
                line = np.float32(covariance) / (np.float32(variance) + eps)
                mean = (np.float32(a) - line * np.float32(g)) * share
                slope[uintp(y), x] = line * gain
                offset[uintp(y), x] = (mean - low) * gain + np.float32(0.5)


@kernel
def window_mean(plane: Floats, wanted: Image, out: Floats) -> None:
    """Write the means over the window around each pixel of (h, w), mirrored beyond the edges.

    They are computed in the blocks that `wanted` (h, n) of `find_even_blocks` says, and SURE_BORDER
    pixels beside them.
    """
    height, width = plane.shape
    share, radius = np.float32(1 / _COUNT), uintp(GUIDED_RADIUS)
    sums = np.empty((1, width + 2 * GUIDED_RADIUS), np.float32)
    for y in range(height):
        y0, y1 = uintp(_mirrored(y - 2, height)), uintp(_mirrored(y - 1, height))
        y2, y3 = uintp(_mirrored(y + 1, height)), uintp(_mirrored(y + 2, height))
        block = 0
        while True:
            first, last, block = _next_run(wanted, y, block, width, SURE_BORDER)
            if first == width:
                break
            start, end = max(0, first - GUIDED_RADIUS), min(width, last + GUIDED_RADIUS)
            for x in range(uintp(start), uintp(end)):
                near = plane[y0, x] + plane[y1, x] + plane[uintp(y), x] + plane[y2, x]
                sums[0, x + radius] = (near + plane[y3, x]) * share
            _mirror_ends(sums, 0, first, last, width)
            for x in range(uintp(first), uintp(last)):
                out[uintp(y), x] = _across(sums, 0, x)


@kernel
def apply_lines(image: Image, lines: Any, sure: Image, applied: Image, out: Image) -> None:
    """Write slope * grey + offset, clipped to 0..255 and cut to whole numbers.

    image (H, W, 3) BGR uint8, out (H, W) uint8. `lines` are slope and offset (h, w), and what
    `between_columns` gives of W and w; they are interpolated linearly, pixel centres aligned.
    Blocks that `sure` (h, n) of `find_sure_blocks` knows are not computed: most of a picture.
    `applied` (h, n) is where the lines are known.
    """
    height, width = out.shape
    few, blocks = sure.shape
    small = lines[0].shape[1]
    rows = image.reshape(height, width * 3)
    wide = np.empty((4, width), np.float32)  # slope and offset of an even row, and of an odd one
    held = np.full(2, -1, np.int64)
    grey = np.empty(width, np.uint8)
    for y in range(height):
        at = min(max((y + 0.5) * few / height - 0.5, 0.0), few - 1.0)
        y0 = int(at)
        y1 = min(y0 + 1, few - 1)
        t = np.float32(at - y0)
        for line in (y0, y1):
            if held[line % 2] != line:
                held[line % 2] = line
                _widen(lines, line, applied, wide, 2 * (line % 2))
        block = 0
        while block < blocks:
            known = sure[y0, block] & sure[y1, block]
            first = _full_column(block, blocks, small, width)
            while block < blocks and sure[y0, block] & sure[y1, block] == known:
                block += 1
            last = _full_column(block, blocks, small, width)
            if known != UNSURE:
                level = uint8(0) if known == ZERO else uint8(255)
                for x in range(uintp(first), uintp(last)):
                    out[uintp(y), x] = level
            else:
                above, below = uintp(2 * (y0 % 2)), uintp(2 * (y1 % 2))
                _apply_run(rows, uintp(y), first, last, wide, above, below, t, grey, out)


@kernel
def _full_column(block: int, blocks: int, small: int, width: int) -> int:
    """Column of a picture of `width` at which a block of one of `small` columns begins."""
    return width if block == blocks else block * SURE_BLOCK * width // small


@kernel
def _widen(lines: Any, y: int, applied: Image, wide: Floats, row: int) -> None:
    """Interpolate a row of lines at the full width into two rows of `wide`, where applied."""
    slope, offset, left, part = lines
    small, width, blocks = slope.shape[1], wide.shape[1], applied.shape[1]
    line, to, end = uintp(y), uintp(row), uintp(small - 1)
    block = 0
    while block < blocks:
        if not applied[y, block]:
            block += 1
            continue
        first = _full_column(block, blocks, small, width)
        while block < blocks and applied[y, block]:
            block += 1
        for x in range(uintp(first), uintp(_full_column(block, blocks, small, width))):
            i, t = uintp(left[x]), part[x]
            j = min(i + uintp(1), end)
            s, o = slope[line, i], offset[line, i]
            wide[to, x] = s + (slope[line, j] - s) * t
            wide[to + uintp(1), x] = o + (offset[line, j] - o) * t


@kernel
def _apply_run(
    rows: Image,
    y: Any,
    first: int,
    last: int,
    wide: Floats,
    above: Any,
    below: Any,
    t: Any,
    grey: Image,
    out: Image,
) -> None:
    """Apply the lines between two of `wide`, by `t` of 0..1, to a run of a row's pixels."""
    half, one = uint16(WEIGHT_ONE // 2), uintp(1)
    for x in range(uintp(first), uintp(last)):
        b = uint16(rows[y, uintp(3) * x] * uint16(GREY_WEIGHTS[0]))
        g = uint16(rows[y, uintp(3) * x + one] * uint16(GREY_WEIGHTS[1]))
        r = uint16(rows[y, uintp(3) * x + uintp(2)] * uint16(GREY_WEIGHTS[2]))
        grey[x] = uint8(uint16(uint16(b + g) + uint16(r + half)) >> uint16(WEIGHT_BITS))
    for x in range(uintp(first), uintp(last)):
        s0, o0 = wide[above, x], wide[above + one, x]
        s, o = s0 + (wide[below, x] - s0) * t, o0 + (wide[below + one, x] - o0) * t
        v = s * np.float32(grey[x]) + o
        out[y, x] = uint8(min(max(v, np.float32(0)), np.float32(255)))
