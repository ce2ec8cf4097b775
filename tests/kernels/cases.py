"""Pictures and alphas on which the kernels and the device are compared with the reference."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from livecut.frame import Image, Size, as_image

SIZES = [(64, 48), (61, 37), (1, 1), (2, 1), (1, 40), (320, 181)]
"""Even, odd, one pixel, one row, one column, and more than a few cells."""
ALPHAS = ["soft", "noise", "zero", "full"]


def noise(size: Size, channels: int = 3) -> Image:
    """Random bytes (H, W, channels), always the same."""
    return np.random.default_rng(0).integers(0, 256, (size[1], size[0], channels), np.uint8)


def picture(size: Size) -> Image:
    """Smooth colours, with noise in the upper left quarter."""
    width, height = size
    small = noise((max(2, width // 12), max(2, height // 12)))
    image = as_image(cv2.resize(small, size, interpolation=cv2.INTER_CUBIC))
    image = image.reshape(height, width, 3)
    image[: height // 2, : width // 2] = noise(size)[: height // 2, : width // 2]
    return image


def alpha_of(kind: str, size: Size) -> Image:
    """Alpha (H, W) of one of `ALPHAS`: with wide soft edges, random, nobody, or person all over."""
    width, height = size
    if kind in ("zero", "full"):
        return np.full((height, width), 255 if kind == "full" else 0, np.uint8)
    if kind == "noise":
        return noise(size, 1)[..., 0]
    few = noise((max(2, width // 10), max(2, height // 10)), 1)[..., 0].astype(np.float32)
    wide = cv2.resize(few, size, interpolation=cv2.INTER_LINEAR).reshape(height, width)
    return np.asarray((wide * 3 - 255).clip(0, 255), np.uint8)


def apart(got: NDArray[Any], expected: NDArray[Any]) -> NDArray[np.float64]:
    """Absolute differences of two pictures of one shape."""
    assert got.shape == expected.shape
    return np.asarray(np.abs(np.asarray(got, np.float64) - expected))
