"""What travels through the pipeline, and how its bytes lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
"""(width, height) in pixels."""

BT601 = (0.299, 0.114)
BT709 = (0.2126, 0.0722)
"""The weights of red and blue in the luma, of ITU-R BT.601 and BT.709."""


@dataclass(frozen=True)
class PixelFormat:
    """One way to lay out a picture in uint8.

    BGR (H, W, 3); BGRA and RGBA (H, W, 4), alpha straight; YUYV (H, W, 2), W even; I420 (the planes Y,
    U and V) and NV12 (Y, and U with V pixel by pixel) (H * 3 / 2, W), both even. An odd last row or
    column is left out where it has no place. Those with luma are in the limited range.
    """

    name: str
    weights: tuple[float, float] = BT601
    """The weights of red and blue in the luma, where there is one."""

    def size(self, size: Size) -> Size:
        """What of a picture of `size` is kept."""
        if self.name in ("I420", "NV12"):
            return even(size)
        return (size[0] & ~1, size[1]) if self.name == "YUYV" else size

    def shape(self, size: Size) -> tuple[int, ...]:
        """Of the array that holds a picture of `size`."""
        w, h = self.size(size)
        if self.name in ("I420", "NV12"):
            return h * 3 // 2, w
        return h, w, {"BGR": 3, "YUYV": 2}.get(self.name, 4)

    def count(self, size: Size) -> int:
        """Bytes of a picture of `size`."""
        w, h = self.size(size)
        if self.name in ("I420", "NV12"):
            return w * h * 3 // 2
        return w * h * {"BGR": 3, "YUYV": 2}.get(self.name, 4)

    @property
    def transparent(self) -> bool:
        """Whether it has an alpha channel."""
        return self.name in ("BGRA", "RGBA")


BGR, BGRA, RGBA = PixelFormat("BGR"), PixelFormat("BGRA"), PixelFormat("RGBA")
YUYV, NV12 = PixelFormat("YUYV"), PixelFormat("NV12")
"""In BT.601, as cameras give them and OpenCV takes them."""


def i420(weights: tuple[float, float]) -> PixelFormat:
    """I420 with these weights."""
    return PixelFormat("I420", weights)


def even(size: Size) -> Size:
    """The size without its odd last column and row, which 4:2:0 cannot hold."""
    return size[0] & ~1, size[1] & ~1


Floats = NDArray[np.float32]
Image = NDArray[np.uint8]
"""uint8, one channel (H, W), BGR (H, W, 3) or what else a `PixelFormat` says; C-contiguous."""


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
    pixel_format: PixelFormat = BGR

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        height, width = self.image.shape[:2]
        return (height * 2 // 3 if self.pixel_format.name in ("I420", "NV12") else height), width


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
    pixel_format: PixelFormat = BGR
    """BGRA where the background is transparent; another where the sinks take it better."""


def as_image(array: NDArray[Any] | None) -> Image:
    """The same array, typed as an image, for what OpenCV returns; no copy where it is uint8."""
    return np.asarray(array, np.uint8)


def taken_as_bt709(width: int, height: int) -> bool:
    """Whether players take video of this size, in pixels, as BT.709 where it does not say; else BT.601."""
    return width >= 1280 or height > 576


def blank_frames(pixel_format: PixelFormat, size: Size, count: int) -> list[Image]:
    """Buffers for frames of a form."""
    return [np.zeros(pixel_format.shape(size), np.uint8) for _ in range(count)]


def blank_outputs(pixel_format: PixelFormat, size: Size, count: int) -> list[tuple[Image, Image]]:
    """Pairs of alpha (H, W) and a picture of a form."""
    return [
        (np.zeros(size[::-1], np.uint8), image) for image in blank_frames(pixel_format, size, count)
    ]
