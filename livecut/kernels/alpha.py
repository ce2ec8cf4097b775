"""Kernels that refine and steady alpha."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int32, uint8, uint16

from livecut.frame import Floats, Image
from livecut.kernels import kernel
from livecut.kernels.constants import (
    ALPHA_MARGIN,
    GREY_WEIGHTS,
    GUIDED_EPSILON,
    GUIDED_RADIUS,
    GUIDED_WINDOW,
    MOVING_CHANGE,
    SMOOTH_LIFT,
    SMOOTH_LIMIT_MOVING,
    SMOOTH_LIMIT_STILL,
    SMOOTH_SHARE,
    STILL_CHANGE,
    SURE_BORDER,
    SURE_FULL,
    SURE_ZERO,
    WEIGHT_BITS,
    WEIGHT_ONE,
)

_COUNT = GUIDED_WINDOW * GUIDED_WINDOW
"""Pixels of the guided filter's window."""


@kernel
def _mirrored(i: int, count: int) -> int:
    """The index that `i`, up to two beyond either end, is mirrored to."""
    inside = -1 - i if i < 0 else (2 * count - 1 - i if i >= count else i)
    return min(max(inside, 0), count - 1)


@kernel
def _sum_across(sums: Any, wide: Any, out: Any) -> None:
    """From sums over five rows (w,) those over 5x5; `wide` (w + 4,) is room to work in."""
    width = sums.shape[0]
    for x in range(width):
        wide[x + GUIDED_RADIUS] = sums[x]
    for x in range(GUIDED_RADIUS):
        wide[x] = sums[_mirrored(x - GUIDED_RADIUS, width)]
        wide[width + GUIDED_RADIUS + x] = sums[_mirrored(width + x, width)]
    for x in range(width):
        out[x] = wide[x] + wide[x + 1] + wide[x + 2] + wide[x + 3] + wide[x + 4]


@kernel
def _add_row(grey: Any, alpha: Any, sign: int, i: Any, p: Any, ip: Any, ii: Any) -> None:
    """Add a row's grey, alpha and their products, in 0..255, to their sums, or take them away."""
    s = int32(sign)
    for x in range(grey.shape[0]):
        a, b = int32(grey[x]), int32(alpha[x] * np.float32(255) + np.float32(0.5))
        i[x] = int32(i[x] + int32(s * a))
        p[x] = int32(p[x] + int32(s * b))
        ip[x] = int32(ip[x] + int32(s * int32(a * b)))
        ii[x] = int32(ii[x] + int32(s * int32(a * a)))


@kernel
def regress(grey: Image, alpha: Floats, slope: Floats, offset: Floats) -> None:
    """The line alpha = slope * grey / 255 + offset that fits best in the 5x5 around each pixel.

    grey (h, w) uint8, alpha (h, w) in 0..1. Both results are for grey and alpha in 0..255, and
    stretched so that alpha below ALPHA_MARGIN falls under 0 and above 1 - ALPHA_MARGIN over 255.
    Beyond its edges the picture is mirrored. The sums are of whole numbers, so that they can run along
    the rows without drifting.
    """
    height, width = grey.shape
    gain, low = np.float32(1 / (1 - 2 * ALPHA_MARGIN)), np.float32(255 * ALPHA_MARGIN)
    eps = np.float32(GUIDED_EPSILON * 255 * 255 * _COUNT * _COUNT)
    share = np.float32(1 / _COUNT)
    columns = np.zeros((4, width), np.int32)
    i, p, ip, ii = np.empty((4, width), np.int32)
    wide = np.empty(width + 2 * GUIDED_RADIUS, np.int32)
    for y in range(-GUIDED_RADIUS, GUIDED_RADIUS + 1):
        row = _mirrored(y, height)
        _add_row(grey[row], alpha[row], 1, columns[0], columns[1], columns[2], columns[3])
    for y in range(height):
        if y:
            old = _mirrored(y - GUIDED_RADIUS - 1, height)
            new = _mirrored(y + GUIDED_RADIUS, height)
            _add_row(grey[old], alpha[old], -1, columns[0], columns[1], columns[2], columns[3])
            _add_row(grey[new], alpha[new], 1, columns[0], columns[1], columns[2], columns[3])
        _sum_across(columns[0], wide, i)
        _sum_across(columns[1], wide, p)
        _sum_across(columns[2], wide, ip)
        _sum_across(columns[3], wide, ii)
        for x in range(width):
            both = int32(int32(int32(_COUNT) * ip[x]) - int32(i[x] * p[x]))
            own = int32(int32(int32(_COUNT) * ii[x]) - int32(i[x] * i[x]))
            s = np.float32(both) / (np.float32(own) + eps)
            mean = (np.float32(p[x]) - s * np.float32(i[x])) * share
            slope[y, x] = s * gain
            offset[y, x] = (mean - low) * gain + np.float32(0.5)


@kernel
def mean_5x5(plane: Floats, out: Floats) -> None:
    """Write the means over the 5x5 around each pixel of (h, w), mirrored beyond the edges."""
    height, width = plane.shape
    sums = np.empty(width, np.float32)
    wide = np.empty(width + 2 * GUIDED_RADIUS, np.float32)
    share = np.float32(1 / _COUNT)
    for y in range(height):
        a, b = plane[_mirrored(y - 2, height)], plane[_mirrored(y - 1, height)]
        c, d = plane[_mirrored(y + 1, height)], plane[_mirrored(y + 2, height)]
        for x in range(width):
            sums[x] = (a[x] + b[x] + plane[y, x] + c[x] + d[x]) * share
        _sum_across(sums, wide, out[y])


@kernel
def saturation(slope: Floats, offset: Floats, out: Image) -> None:
    """Where the lines of (h, w) give the same alpha for every grey: 1 for 0, 2 for 255, 0 for neither.

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
            out[y, block] = uint8(1 if high < SURE_ZERO else (2 if low > SURE_FULL else 0))


@kernel
def apply_linear(image: Image, slope: Floats, offset: Floats, flat: Image, out: Image) -> None:
    """Write slope * grey + offset, clipped to 0..255: the last step of the guided filter.

    image (H, W, 3), out (H, W); slope and offset have full width and few rows (h, W), and are
    interpolated linearly to the full height, pixel centres aligned. Blocks that `flat` (h, n), see
    `saturation`, knows beforehand are not computed: most of a picture. Grey is that of ITU-R BT.601 in
    eight bits.
    """
    height, width = out.shape
    few, blocks = flat.shape
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
            known = flat[y0, block] & flat[y1, block]
            first = block * width // blocks
            while block < blocks and flat[y0, block] & flat[y1, block] == known:
                block += 1
            last = block * width // blocks
            if known:
                out[y, first:last] = uint8(0) if known == 1 else uint8(255)
            else:
                _apply_block(
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
def _apply_block(bgr: Any, s0: Any, s1: Any, o0: Any, o1: Any, t: Any, grey: Any, out: Any) -> None:
    for x in range(out.shape[0]):
        b = uint16(bgr[3 * x] * uint16(GREY_WEIGHTS[0]))
        g = uint16(bgr[3 * x + 1] * uint16(GREY_WEIGHTS[1]))
        r = uint16(bgr[3 * x + 2] * uint16(GREY_WEIGHTS[2]))
        half = uint16(WEIGHT_ONE // 2)
        grey[x] = uint8(uint16(uint16(b + g) + uint16(r + half)) >> uint16(WEIGHT_BITS))
    for x in range(out.shape[0]):
        s, o = s0[x] + (s1[x] - s0[x]) * t, o0[x] + (o1[x] - o0[x]) * t
        v = s * np.float32(grey[x]) + o
        out[x] = uint8(min(max(v, np.float32(0)), np.float32(255)))


@kernel
def smooth(alpha: Floats, state: Floats, change: Image) -> None:
    """Smooth `alpha` (h, w) by the previous one in `state`, in place; `state` becomes the result.

    A pixel that differs by d from before keeps the share SMOOTH_SHARE * (1 - |d| / limit) of the
    previous value, and nothing where |d| >= limit: noise is averaged away, and motion is followed at
    once. The limit is SMOOTH_LIMIT_STILL where the picture's `change` (h, w) is STILL_CHANGE levels or
    less, SMOOTH_LIMIT_MOVING where it is MOVING_CHANGE or more, linear between. Alpha rises by
    SMOOTH_LIFT + alpha at most.
    """
    height, width = alpha.shape
    low, high = np.float32(SMOOTH_LIMIT_MOVING), np.float32(SMOOTH_LIMIT_STILL)
    first, rise = np.float32(MOVING_CHANGE), np.float32(1 / (MOVING_CHANGE - STILL_CHANGE))
    keep, lift = np.float32(SMOOTH_SHARE), np.float32(SMOOTH_LIFT)
    for y in range(height):
        for x in range(width):
            still = min(
                max((first - np.float32(change[y, x])) * rise, np.float32(0)), np.float32(1)
            )
            a = alpha[y, x]
            d = state[y, x] - a
            share = max(np.float32(0), np.float32(1) - abs(d) / (low + (high - low) * still))
            a += min(d * share * keep, lift + a)
            alpha[y, x] = state[y, x] = a
