"""Kernels that put a person over a background."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import uint8, uint16

from livecut.frame import Floats, Image
from livecut.kernels import kernel
from livecut.kernels.constants import BACKGROUND_FLOOR, WEIGHT_BITS, WEIGHT_ONE


@kernel
def _row_weights(alpha: Any, weights: Any) -> None:
    for x in range(alpha.shape[0]):
        a = uint16(alpha[x])
        a = uint16(a + (a >> uint16(WEIGHT_BITS - 1)))
        weights[3 * x] = a
        weights[3 * x + 1] = a
        weights[3 * x + 2] = a


@kernel
def composite_rows(frame: Image, alpha: Image, rows: Image, out: Image) -> None:
    """Write the frame where alpha is 255, the background where it is 0, a linear blend between.

    The background has full width and few rows (h, W, 3). The rows are interpolated linearly to the frame's height on the way, pixel centres aligned. They are
    the room's own, blurred: what shows at a soft edge has their colours, and is no rim.
    """
    height, width = alpha.shape
    few = rows.shape[0]
    f, r, o = (
        frame.reshape(height, width * 3),
        rows.reshape(few, width * 3),
        out.reshape(height, width * 3),
    )
    weights = np.empty(width * 3, np.uint16)
    for y in range(height):
        _row_weights(alpha[y], weights)
        at = min(max((y + 0.5) * few / height - 0.5, 0.0), few - 1.0)
        y0 = int(at)
        y1 = min(y0 + 1, few - 1)
        t = uint16((at - y0) * WEIGHT_ONE)
        rest = uint16(uint16(WEIGHT_ONE) - t)
        for i in range(width * 3):
            a = weights[i]
            above, below = uint16(uint16(r[y0, i]) * rest), uint16(uint16(r[y1, i]) * t)
            b = uint16(uint16(above + below) >> uint16(WEIGHT_BITS))
            mixed = uint16(f[y, i]) * a + b * (uint16(WEIGHT_ONE) - a)
            o[y, i] = uint8(mixed >> uint16(WEIGHT_BITS))


@kernel
def premultiply(image: Image, alpha: Image, out: Floats) -> None:
    """Write (B w, G w, R w, w) float32 (h, w, 4), where w = (1 - alpha)^2: the room without the person.

    A little weight is left everywhere, so that a room that cannot be seen has a colour too.
    """
    height, width = alpha.shape
    for y in range(height):
        for x in range(width):
            w = np.float32(255 - alpha[y, x]) / np.float32(255)
            w = w * w + np.float32(BACKGROUND_FLOOR)
            for c in range(3):
                out[y, x, c] = np.float32(image[y, x, c]) * w
            out[y, x, 3] = w


@kernel
def unpremultiply(weighted: Floats, out: Image) -> None:
    """Divide what `premultiply` made, blurred, by its weight: BGR uint8 (h, w, 3)."""
    height, width, _ = weighted.shape
    for y in range(height):
        for x in range(width):
            share = np.float32(1) / weighted[y, x, 3]
            for c in range(3):
                v = weighted[y, x, c] * share + np.float32(0.5)
                out[y, x, c] = uint8(min(max(v, np.float32(0)), np.float32(255)))
