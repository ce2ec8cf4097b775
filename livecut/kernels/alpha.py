"""Kernels that refine and steady alpha."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int32, uint8, uint16

from livecut.frame import Floats, Image
from livecut.kernels import kernel


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
        wide[x + 2] = sums[x]
    for x in range(2):
        wide[x] = sums[_mirrored(x - 2, width)]
        wide[width + 2 + x] = sums[_mirrored(width + x, width)]
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
def regress(
    grey: Image, alpha: Floats, epsilon: float, margin: float, slope: Floats, offset: Floats
) -> None:
    """The line alpha = slope * grey / 255 + offset that fits best in the 5x5 around each pixel.

    grey (h, w) uint8, alpha (h, w) in 0..1. Both results are for grey and alpha in 0..255, and
    stretched so that alpha below `margin` falls under 0 and above 1 - margin over 255. `epsilon`
    holds the slope down where grey varies less. Beyond its edges the picture is mirrored. The sums
    are of whole numbers, so that they can run along the rows without drifting.
    """
    height, width = grey.shape
    gain, low = np.float32(1 / (1 - 2 * margin)), np.float32(255 * margin)
    eps = np.float32(epsilon * 255 * 255 * 625)
    columns = np.zeros((4, width), np.int32)
    i, p, ip, ii = np.empty((4, width), np.int32)
    wide = np.empty(width + 4, np.int32)
    for y in range(-2, 3):
        row = _mirrored(y, height)
        _add_row(grey[row], alpha[row], 1, columns[0], columns[1], columns[2], columns[3])
    for y in range(height):
        if y:
            old, new = _mirrored(y - 3, height), _mirrored(y + 2, height)
            _add_row(grey[old], alpha[old], -1, columns[0], columns[1], columns[2], columns[3])
            _add_row(grey[new], alpha[new], 1, columns[0], columns[1], columns[2], columns[3])
        _sum_across(columns[0], wide, i)
        _sum_across(columns[1], wide, p)
        _sum_across(columns[2], wide, ip)
        _sum_across(columns[3], wide, ii)
        for x in range(width):
            both = int32(int32(int32(25) * ip[x]) - int32(i[x] * p[x]))
            own = int32(int32(int32(25) * ii[x]) - int32(i[x] * i[x]))
            s = np.float32(both) / (np.float32(own) + eps)
            mean = (np.float32(p[x]) - s * np.float32(i[x])) * np.float32(0.04)
            slope[y, x] = s * gain
            offset[y, x] = (mean - low) * gain + np.float32(0.5)


@kernel
def mean_5x5(plane: Floats, out: Floats) -> None:
    """Write the means over the 5x5 around each pixel of (h, w), mirrored beyond the edges."""
    height, width = plane.shape
    sums, wide = np.empty(width, np.float32), np.empty(width + 4, np.float32)
    for y in range(height):
        a, b = plane[_mirrored(y - 2, height)], plane[_mirrored(y - 1, height)]
        c, d = plane[_mirrored(y + 1, height)], plane[_mirrored(y + 2, height)]
        for x in range(width):
            sums[x] = (a[x] + b[x] + plane[y, x] + c[x] + d[x]) * np.float32(0.04)
        _sum_across(sums, wide, out[y])


@kernel
def saturation(slope: Floats, offset: Floats, out: Image) -> None:
    """Where the lines of (h, w) give the same alpha for every grey: 1 for 0, 2 for 255, 0 for neither.

    `out` (h, n) is for n blocks side by side; a block's two neighbours on each side count too.
    """
    height, width = slope.shape
    blocks = out.shape[1]
    for y in range(height):
        for block in range(blocks):
            first = max(0, block * width // blocks - 2)
            last = min(width, (block + 1) * width // blocks + 2)
            low, high = np.float32(1e9), np.float32(-1e9)
            for x in range(first, last):
                black, white = offset[y, x], offset[y, x] + np.float32(255) * slope[y, x]
                low, high = min(low, min(black, white)), max(high, max(black, white))
            out[y, block] = uint8(1 if high < 0.99 else (2 if low > 255.01 else 0))


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
        b, g = uint16(bgr[3 * x] * uint16(29)), uint16(bgr[3 * x + 1] * uint16(150))
        r = uint16(bgr[3 * x + 2] * uint16(77))
        grey[x] = uint8(uint16(uint16(b + g) + uint16(r + uint16(128))) >> uint16(8))
    for x in range(out.shape[0]):
        s, o = s0[x] + (s1[x] - s0[x]) * t, o0[x] + (o1[x] - o0[x]) * t
        v = s * np.float32(grey[x]) + o
        out[x] = uint8(min(max(v, np.float32(0)), np.float32(255)))


@kernel
def smooth(
    alpha: Floats,
    state: Floats,
    change: Image,
    keep: float,
    limits: tuple[float, float],
    moves: tuple[float, float],
    lift: float,
) -> None:
    """Steady `alpha` (h, w) by the previous one in `state`, in place; `state` becomes the result.

    A pixel that differs by d from before keeps the share keep * (1 - |d| / limit) of the previous
    value, and nothing where |d| >= limit: noise is averaged away, and motion is followed at once. The
    limit is limits[1] where the picture's `change` (h, w) is moves[0] levels or less, limits[0] where
    it is moves[1] or more, linear between. What raises alpha is `lift` + alpha at most.
    """
    height, width = alpha.shape
    low, high = np.float32(limits[0]), np.float32(limits[1])
    first, rise = np.float32(moves[1]), np.float32(1 / (moves[1] - moves[0]))
    for y in range(height):
        for x in range(width):
            still = min(
                max((first - np.float32(change[y, x])) * rise, np.float32(0)), np.float32(1)
            )
            a = alpha[y, x]
            d = state[y, x] - a
            share = max(np.float32(0), np.float32(1) - abs(d) / (low + (high - low) * still))
            a += min(d * share * np.float32(keep), np.float32(lift) + a)
            alpha[y, x] = state[y, x] = a
