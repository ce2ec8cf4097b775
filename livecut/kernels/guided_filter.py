"""The guided filter: it moves the edges of a small alpha to those of the full-size picture.

The fast guided filter with a grey guide: He, Sun and Tang, "Guided Image Filtering", 2013; He and
Sun, "Fast Guided Filter", 2015. The formulas: `livecut.kernels.reference`.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numba import int32, uint8, uint16

from livecut.frame import Floats, Image, Size
from livecut.kernels import kernel
from livecut.kernels.constants import (
    ALPHA_MARGIN,
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
UNSURE, ZERO, FULL = 0, 1, 2
"""What is known of a block's alpha before it is computed: nothing; that it is 0; that it is 255."""


class GuidedFilter:
    """Refines alpha for frames of one size, in its own buffers.

    A line alpha = slope * grey + offset is fitted in the window around each pixel of the picture
    that the network saw; the means of the lines are applied to the full-size picture.
    """

    def __init__(self, full: Size, small: Size) -> None:
        """`full` is the frame's (width, height), `small` that of the network's input."""
        (width, _), (w, h) = full, small
        self._small = small
        self._small_grey = np.empty((h, w), np.uint8)
        self._alpha, self._slope, self._offset = np.empty((3, h, w), np.float32)
        self._means = np.empty((2, h, w), np.float32)
        self._lines = np.empty((2, h, width), np.float32)
        # Both planes as one, one above the other: rows stay rows, only their width changes.
        self._stacked = self._means.reshape(2 * h, w), self._lines.reshape(2 * h, width)
        self._sure = np.empty((h, max(1, w // SURE_BLOCK)), np.uint8)

    def __call__(self, image: Image, small_image: Image, alpha: Floats, out: Image) -> None:
        """Refine `alpha`, float32 (any h, any w) in 0..1, into `out` uint8 (H, W), 255 = person.

        `image` (H, W, 3) and `small_image` (h, w, 3) are BGR uint8 of the sizes given at the start.
        """
        cv2.cvtColor(small_image, cv2.COLOR_BGR2GRAY, dst=self._small_grey)
        cv2.resize(alpha, self._small, dst=self._alpha, interpolation=cv2.INTER_LINEAR)
        fit_lines(self._small_grey, self._alpha, self._slope, self._offset)
        window_mean(self._slope, self._means[0])
        window_mean(self._offset, self._means[1])
        find_sure_blocks(self._means[0], self._means[1], self._sure)
        means, lines = self._stacked
        cv2.resize(means, lines.shape[::-1], dst=lines, interpolation=cv2.INTER_LINEAR)
        apply_lines(image, self._lines[0], self._lines[1], self._sure, out)


@kernel
def _mirrored(i: int, count: int) -> int:
    """Index that `i`, up to GUIDED_RADIUS beyond either end of 0..count - 1, is mirrored to."""
    inside = -1 - i if i < 0 else (2 * count - 1 - i if i >= count else i)
    return min(max(inside, 0), count - 1)


@kernel
def _sum_across(sums: Any, scratch: Any, out: Any) -> None:
    """Write the sums (w,) of windows, from those of their columns; `scratch` has 2 r more."""
    width = sums.shape[0]
    for x in range(width):
        scratch[x + GUIDED_RADIUS] = sums[x]
    for x in range(GUIDED_RADIUS):
        scratch[x] = sums[_mirrored(x - GUIDED_RADIUS, width)]
        scratch[width + GUIDED_RADIUS + x] = sums[_mirrored(width + x, width)]
    for x in range(width):
        out[x] = scratch[x] + scratch[x + 1] + scratch[x + 2] + scratch[x + 3] + scratch[x + 4]


@kernel
def _add_row(grey: Any, alpha: Any, sign: int, i: Any, p: Any, ip: Any, ii: Any) -> None:
    """Add `sign` times a row's grey, alpha and their products, in 0..255, to their sums."""
    s = int32(sign)
    for x in range(grey.shape[0]):
        a, b = int32(grey[x]), int32(alpha[x] * np.float32(255) + np.float32(0.5))
        i[x] = int32(i[x] + int32(s * a))
        p[x] = int32(p[x] + int32(s * b))
        ip[x] = int32(ip[x] + int32(s * int32(a * b)))
        ii[x] = int32(ii[x] + int32(s * int32(a * a)))


@kernel
def fit_lines(grey: Image, alpha: Floats, slope: Floats, offset: Floats) -> None:
    """Fit the line alpha = slope * grey + offset in the window around each pixel, by least squares.

    grey (h, w) uint8, alpha (h, w) in 0..1. The lines (h, w) are for both in 0..255, and stretched
    so that alpha below ALPHA_MARGIN falls under 0 and above 1 - ALPHA_MARGIN over 255. Beyond its
    edges the picture is mirrored. Sums are of whole numbers, so they run along the rows without
    drifting.
    """
    height, width = grey.shape
    gain, low = np.float32(1 / (1 - 2 * ALPHA_MARGIN)), np.float32(255 * ALPHA_MARGIN)
    eps = np.float32(GUIDED_EPSILON * 255 * 255 * _COUNT * _COUNT)
    share = np.float32(1 / _COUNT)
    columns = np.zeros((4, width), np.int32)
    i, p, ip, ii = np.empty((4, width), np.int32)
    scratch = np.empty(width + 2 * GUIDED_RADIUS, np.int32)
    for y in range(-GUIDED_RADIUS, GUIDED_RADIUS + 1):
        row = _mirrored(y, height)
        _add_row(grey[row], alpha[row], 1, columns[0], columns[1], columns[2], columns[3])
    for y in range(height):
        if y:
            old = _mirrored(y - GUIDED_RADIUS - 1, height)
            new = _mirrored(y + GUIDED_RADIUS, height)
            _add_row(grey[old], alpha[old], -1, columns[0], columns[1], columns[2], columns[3])
            _add_row(grey[new], alpha[new], 1, columns[0], columns[1], columns[2], columns[3])
        _sum_across(columns[0], scratch, i)
        _sum_across(columns[1], scratch, p)
        _sum_across(columns[2], scratch, ip)
        _sum_across(columns[3], scratch, ii)
        for x in range(width):
            covariance = int32(int32(int32(_COUNT) * ip[x]) - int32(i[x] * p[x]))
            variance = int32(int32(int32(_COUNT) * ii[x]) - int32(i[x] * i[x]))
            s = np.float32(covariance) / (np.float32(variance) + eps)
            mean = (np.float32(p[x]) - s * np.float32(i[x])) * share
            slope[y, x] = s * gain
            offset[y, x] = (mean - low) * gain + np.float32(0.5)


@kernel
def window_mean(plane: Floats, out: Floats) -> None:
    """Write the means over the window around each pixel of (h, w), mirrored beyond the edges."""
    height, width = plane.shape
    sums = np.empty(width, np.float32)
    scratch = np.empty(width + 2 * GUIDED_RADIUS, np.float32)
    share = np.float32(1 / _COUNT)
    for y in range(height):
        a, b = plane[_mirrored(y - 2, height)], plane[_mirrored(y - 1, height)]
        c, d = plane[_mirrored(y + 1, height)], plane[_mirrored(y + 2, height)]
        for x in range(width):
            sums[x] = (a[x] + b[x] + plane[y, x] + c[x] + d[x]) * share
        _sum_across(sums, scratch, out[y])


@kernel
def find_sure_blocks(slope: Floats, offset: Floats, out: Image) -> None:
    """Write ZERO or FULL where the lines (h, w) give the same alpha for every grey, else UNSURE.

    `out` (h, n) is for n blocks side by side; SURE_BORDER pixels on each side of a block count too.
    """
    height, width = slope.shape
    blocks = out.shape[1]
    for y in range(height):
        for block in range(blocks):
            first = max(0, block * width // blocks - SURE_BORDER)
            last = min(width, (block + 1) * width // blocks + SURE_BORDER)
            low, high = np.float32(np.inf), np.float32(-np.inf)
            for x in range(first, last):
                black, white = offset[y, x], offset[y, x] + np.float32(255) * slope[y, x]
                low, high = min(low, min(black, white)), max(high, max(black, white))
            out[y, block] = uint8(
                ZERO if high < SURE_ZERO else (FULL if low > SURE_FULL else UNSURE)
            )


@kernel
def apply_lines(image: Image, slope: Floats, offset: Floats, sure: Image, out: Image) -> None:
    """Write slope * grey + offset, clipped to 0..255 and cut to whole numbers.

    image (H, W, 3) BGR uint8, out (H, W) uint8; slope and offset have full width and few rows (h,
    W), and are interpolated linearly to the full height, pixel centres aligned. Blocks that `sure`
    (h, n) of `find_sure_blocks` knows are not computed: most of a picture.
    """
    height, width = out.shape
    few, blocks = sure.shape
    rows = image.reshape(height, width * 3)
    grey = np.empty(width, np.uint8)  # of a block
    for y in range(height):
        at = min(max((y + 0.5) * few / height - 0.5, 0.0), few - 1.0)
        y0 = int(at)
        y1 = min(y0 + 1, few - 1)
        t = np.float32(at - y0)
        row = rows[y]
        block = 0
        while block < blocks:
            known = sure[y0, block] & sure[y1, block]
            first = block * width // blocks
            while block < blocks and sure[y0, block] & sure[y1, block] == known:
                block += 1
            last = block * width // blocks
            if known != UNSURE:
                out[y, first:last] = uint8(0) if known == ZERO else uint8(255)
            else:
                _apply_run(
                    row[3 * first : 3 * last],
                    slope[y0, first:last],
                    slope[y1, first:last],
                    offset[y0, first:last],
                    offset[y1, first:last],
                    t,
                    grey,
                    out[y, first:last],
                )


@kernel
def _apply_run(bgr: Any, s0: Any, s1: Any, o0: Any, o1: Any, t: Any, grey: Any, out: Any) -> None:
    """Apply the lines between those of two rows, by `t` of 0..1, to a run of pixels."""
    half = uint16(WEIGHT_ONE // 2)
    for x in range(out.shape[0]):
        b = uint16(bgr[3 * x] * uint16(GREY_WEIGHTS[0]))
        g = uint16(bgr[3 * x + 1] * uint16(GREY_WEIGHTS[1]))
        r = uint16(bgr[3 * x + 2] * uint16(GREY_WEIGHTS[2]))
        grey[x] = uint8(uint16(uint16(b + g) + uint16(r + half)) >> uint16(WEIGHT_BITS))
    for x in range(out.shape[0]):
        s, o = s0[x] + (s1[x] - s0[x]) * t, o0[x] + (o1[x] - o0[x]) * t
        v = s * np.float32(grey[x]) + o
        out[x] = uint8(min(max(v, np.float32(0)), np.float32(255)))
