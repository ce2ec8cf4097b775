"""Temporal smoothing of alpha. The formula: `livecut.kernels.reference.smooth`."""

from __future__ import annotations

import numpy as np

from livecut.frame import Floats, Image
from livecut.kernels import kernel
from livecut.kernels.constants import (
    MOVING_CHANGE,
    SMOOTH_LIFT,
    SMOOTH_LIMIT_MOVING,
    SMOOTH_LIMIT_STILL,
    SMOOTH_SHARE,
    STILL_CHANGE,
)


@kernel
def smooth(alpha: Floats, state: Floats, change: Image) -> None:
    """Smooth `alpha` by the previous one in `state`, in place; `state` becomes the result.

    Both are float32 (h, w) in 0..1; `change` is that of the picture, uint8 (h, w) in levels of
    grey. A pixel whose alpha differs by d from before keeps the share SMOOTH_SHARE * (1 - |d| /
    limit) of the previous value, and nothing where |d| >= limit: noise is averaged away, motion is
    followed at once. The limit is SMOOTH_LIMIT_STILL where `change` is STILL_CHANGE or less,
    SMOOTH_LIMIT_MOVING where it is MOVING_CHANGE or more, linear between. Alpha rises by
    SMOOTH_LIFT + alpha at most.
    """
    height, width = alpha.shape
    low, high = np.float32(SMOOTH_LIMIT_MOVING), np.float32(SMOOTH_LIMIT_STILL)
    moving, rise = np.float32(MOVING_CHANGE), np.float32(1 / (MOVING_CHANGE - STILL_CHANGE))
    keep, lift = np.float32(SMOOTH_SHARE), np.float32(SMOOTH_LIFT)
    for y in range(height):
        for x in range(width):
            still = min(
                max((moving - np.float32(change[y, x])) * rise, np.float32(0)), np.float32(1)
            )
            a = alpha[y, x]
            d = state[y, x] - a
            share = max(np.float32(0), np.float32(1) - abs(d) / (low + (high - low) * still))
            a += min(d * share * keep, lift + a)
            alpha[y, x] = state[y, x] = a
