"""The composite that a device is to make of a cutout, and the matrices that it takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from livecut.backgrounds.base import Background
from livecut.frame import BGR, Floats, PixelFormat, Size
from livecut.kernels.constants import (
    BLUR_BOXES,
    CELL_FALL,
    CELL_REACH,
    GUIDED_RADIUS,
    GUIDED_WINDOW,
)


@dataclass(frozen=True)
class Scene:
    """The composite to make of a cutout."""

    kind: str
    """blur; picture, for one that is sent to the device; or transparent."""
    strength: float = 0.0
    """Strength of the blur, 0..1."""
    pixel_format: PixelFormat = BGR
    """Pixel format of the composite: BGRA or RGBA where transparent, else another."""

    def __post_init__(self) -> None:
        if self.pixel_format.transparent != (self.kind == "transparent"):
            raise ValueError(f"a scene of kind {self.kind} cannot be {self.pixel_format.name}")


def scene_of(background: Background, pixel_format: PixelFormat) -> Scene | None:
    """The scene of a background in a pixel format; None for one that the host is to compose."""
    if background.scene not in ("blur", "picture", "transparent"):
        return None
    return Scene(background.scene, background.strength, pixel_format)


def halved(size: Size, least: Size) -> list[Size]:
    """Sizes that `livecut.kernels.resize.reduce` goes through, without that of the frame."""
    sizes = []
    while size[0] >= 2 * least[0] and size[1] >= 2 * least[1]:
        size = size[0] // 2, size[1] // 2
        sizes.append(size)
    return sizes


def mean_matrix(n: int) -> Floats:
    """Matrix (n, n) of means over GUIDED_WINDOW, mirrored beyond the ends as by `window_mean`."""
    near = np.arange(n)[:, None] + np.arange(-GUIDED_RADIUS, GUIDED_RADIUS + 1)
    near = np.where(near < 0, -1 - near, np.where(near >= n, 2 * n - 1 - near, near))
    mean: Floats = (np.eye(n)[near.clip(0, n - 1)].sum(1) / GUIDED_WINDOW).astype(np.float32)
    return mean


def blur_matrix(n: int, box: int) -> Floats:
    """Matrix (n, n) of BLUR_BOXES means over `box` (odd), the end pixels repeated beyond."""
    near = np.arange(n)[:, None] + np.arange(-(box // 2), box // 2 + 1)
    once = np.eye(n)[near.clip(0, n - 1)].sum(1) / box
    mean: Floats = np.linalg.matrix_power(once, BLUR_BOXES).astype(np.float32)
    return mean


def spread_matrix(n: int) -> Floats:
    """Matrix (n + 1, n) of what each of n cells counts at each corner, in one direction."""
    steps = np.arange(n) - np.arange(n + 1)[:, None]
    steps = np.where(steps < 0, -1 - steps, steps)
    spread: Floats = np.where(steps < CELL_REACH, CELL_FALL**steps, 0.0).astype(np.float32)
    return spread
