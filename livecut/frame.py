"""What travels through the pipeline: a frame, a frame with its own alpha, a picture to show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livecut.form import BGR, Form, Size

Image = NDArray[np.uint8]
"""uint8, one channel (H, W), BGR (H, W, 3) or what else a `Form` says; C-contiguous."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a source."""

    image: Image
    """In the form of `form`. The buffer is written again once its holder has let go of it."""
    index: int
    """Counts every frame that the source gave, from 0, those dropped included."""
    timestamp: float
    """`time.perf_counter()` in seconds, taken when the frame was grabbed."""
    position: float
    """Seconds since the source's first frame, in the source's own time."""
    form: Form = BGR

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        height, width = self.image.shape[:2]
        return (height * 2 // 3 if self.form.name in ("I420", "NV12") else height), width


@dataclass(frozen=True, slots=True)
class Cutout:
    """A frame and the alpha that was computed from that very frame."""

    frame: Frame
    alpha: Image
    """(H, W) of the frame; 255 = person."""
    halves: Sequence[Image] = ()
    """The frame averaged to 1/2, 1/4, … of its size, as far as the segmenter made them."""

    def smallest(self, least: tuple[int, int]) -> Image:
        """The smallest of the frame and its halves that is at least `least` = (width, height) in size."""
        image = self.frame.image
        for half in self.halves:
            if half.shape[1] >= least[0] and half.shape[0] >= least[1]:
                image = half
        return image


@dataclass(frozen=True, slots=True)
class Output:
    """A picture that may leave: made by the guard and by nothing else."""

    image: Image
    """In the form of `form`."""
    alpha: Image | None
    """(H, W), 255 = person; None for a placeholder."""
    index: int
    """The frame's index; -1 for a placeholder."""
    timestamp: float
    """The frame's `perf_counter` seconds; the time of its making for a placeholder."""
    reason: str = ""
    """What a placeholder says is wrong; empty for a composited frame."""
    form: Form = BGR
    """BGRA where the background is transparent; another where the sinks take it better."""


def as_image(array: NDArray[Any] | None) -> Image:
    """The same array, typed as an image, for what OpenCV returns; no copy where it is uint8."""
    return np.asarray(array, np.uint8)


def taken_as_bt709(width: int, height: int) -> bool:
    """Whether players take video of this size, in pixels, as BT.709 where it does not say; else BT.601."""
    return width >= 1280 or height > 576


def blank_frames(form: Form, size: Size, count: int) -> list[Image]:
    """Buffers for frames of a form."""
    return [np.zeros(form.shape(size), np.uint8) for _ in range(count)]


def blank_outputs(form: Form, size: Size, count: int) -> list[tuple[Image, Image]]:
    """Pairs of alpha (H, W) and a picture of a form."""
    return [(np.zeros(size[::-1], np.uint8), image) for image in blank_frames(form, size, count)]
