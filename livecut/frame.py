"""Frames, cutouts and outputs, the buffers they lie in, and the layout of their bytes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
"""(width, height) in pixels."""

BT601 = (0.299, 0.114)
BT709 = (0.2126, 0.0722)
"""Weights of red and blue in the luma by ITU-R BT.601 and BT.709."""


@dataclass(frozen=True)
class PixelFormat:
    """One layout of a picture in uint8.

    BGR (H, W, 3); BGRA and RGBA (H, W, 4), alpha straight; YUYV (H, W, 2), W even; I420 (planes Y,
    U and V) and NV12 (plane Y, then U and V by turns) (H * 3 / 2, W), H and W even. An odd last row
    or column is left out where the layout has no place for it. Luma and chroma are in limited
    range.
    """

    name: str
    weights: tuple[float, float] = BT601
    """Weights of red and blue in the luma; without meaning in a format of colours."""

    def size(self, size: Size) -> Size:
        """(width, height) that is kept of a picture of `size`."""
        if self.name in ("I420", "NV12"):
            return even(size)
        return (size[0] & ~1, size[1]) if self.name == "YUYV" else size

    def shape(self, size: Size) -> tuple[int, ...]:
        """Shape of the array that holds a picture of `size`."""
        w, h = self.size(size)
        if self.name in ("I420", "NV12"):
            return h * 3 // 2, w
        return h, w, {"BGR": 3, "YUYV": 2}.get(self.name, 4)

    def count(self, size: Size) -> int:
        """Number of bytes of a picture of `size`."""
        w, h = self.size(size)
        if self.name in ("I420", "NV12"):
            return w * h * 3 // 2
        return w * h * {"BGR": 3, "YUYV": 2}.get(self.name, 4)

    @property
    def transparent(self) -> bool:
        """Whether the format has an alpha channel."""
        return self.name in ("BGRA", "RGBA")


BGR, BGRA, RGBA = PixelFormat("BGR"), PixelFormat("BGRA"), PixelFormat("RGBA")
YUYV, NV12 = PixelFormat("YUYV"), PixelFormat("NV12")
"""Formats of cameras, in BT.601, as OpenCV takes them."""


def i420(weights: tuple[float, float]) -> PixelFormat:
    """I420 with these weights of red and blue in the luma."""
    return PixelFormat("I420", weights)


def even(size: Size) -> Size:
    """`size` without an odd last column and row, which 4:2:0 cannot hold."""
    return size[0] & ~1, size[1] & ~1


Floats = NDArray[np.float32]
Image = NDArray[np.uint8]
"""uint8, one channel (H, W), BGR (H, W, 3) or the shape of another `PixelFormat`; C-contiguous."""


@dataclass(frozen=True, slots=True, eq=False)
class Buffer:
    """Memory for one picture, and in outputs its alpha, that is written again and again."""

    picture: Image
    """Bytes in `pixel_format`."""
    pixel_format: PixelFormat = BGR
    alpha: Image | None = None
    """(H, W), 255 = person; None in a buffer for frames."""
    memory: object = None
    """Handle by which the processor that made the buffer copies it as a whole; None without one."""

    def frame(self, index: int, timestamp: float, position: float) -> Frame:
        """The frame whose picture lies in this buffer; arguments as the fields of `Frame`."""
        return Frame(
            self.picture, index, timestamp, position, self.pixel_format, memory=self.memory
        )


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a source."""

    image: Image
    """Bytes in `pixel_format`, written again once the frame's holder has let go of it."""
    index: int
    """Count of the frames that the source gave before, dropped ones included."""
    timestamp: float
    """`time.perf_counter()` in seconds, taken when the frame was grabbed."""
    position: float
    """Seconds in the source's own time: of a file, since its start."""
    pixel_format: PixelFormat = BGR
    memory: object = None
    """`Buffer.memory` of the buffer that the image lies in."""

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

    @property
    def image(self) -> Image:
        """The frame's picture."""
        return self.frame.image

    def smallest(self, min_size: Size) -> Image:
        """The smallest of frame and halves that is at least `min_size` = (width, height)."""
        image = self.frame.image
        for half in self.halves:
            if half.shape[1] >= min_size[0] and half.shape[0] >= min_size[1]:
                image = half
        return image


@dataclass(frozen=True, slots=True)
class Output:
    """A picture that may leave: made by the guard and by nothing else."""

    image: Image
    """Bytes in `pixel_format`."""
    alpha: Image | None
    """(H, W), 255 = person; None for a placeholder."""
    index: int
    """The frame's index; -1 for a placeholder."""
    timestamp: float
    """The frame's `perf_counter` seconds; the time of its making for a placeholder."""
    reason: str = ""
    """Text of a placeholder, which says what is wrong; empty for a composited frame."""
    pixel_format: PixelFormat = BGR
    """BGR, BGRA where the background is transparent, or what all sinks prefer."""
    position: float | None = None
    """The frame's seconds in the source's own time; None where nobody knows."""


def as_image(array: NDArray[Any] | None) -> Image:
    """An array of OpenCV's, typed as an image; no copy where it is uint8."""
    return np.asarray(array, np.uint8)


def checked_bgr(image: object, name: str = "image") -> Image:
    """A picture of a caller as BGR uint8 (H, W, 3), C-contiguous; a copy only where it is not that.

    Raises TypeError and ValueError, which say what it is and how it becomes what is expected.
    """
    expected = "expected a NumPy array, BGR uint8 (H, W, 3)"
    if image is None:
        raise TypeError(f"{name} is None, as cv2.imread gives for what it cannot read; {expected}")
    if isinstance(image, str | os.PathLike):
        raise TypeError(f"{name} is the path '{os.fspath(image)!s}'; {expected}: read it first")
    if not isinstance(image, np.ndarray):
        raise TypeError(f"{name} is a {type(image).__name__}; {expected}")
    if image.dtype != np.uint8:
        raise TypeError(f"{name} is {image.dtype}; {expected}, of 0 to 255")
    if image.ndim != 3 or image.shape[2] != 3 or not image.size:
        conversion = {1: "GRAY2BGR", 4: "BGRA2BGR"}.get((*image.shape, 1)[2])
        advice = f"; see cv2.COLOR_{conversion}" if image.ndim in (2, 3) and conversion else ""
        raise ValueError(f"{name} has shape {image.shape}; {expected}{advice}")
    return np.require(image, requirements="C")


def checked_alpha(alpha: object, shape: tuple[int, int], name: str = "alpha") -> Image:
    """A caller's uint8 array of `shape` (H, W), as it is. Raises TypeError and ValueError."""
    if not isinstance(alpha, np.ndarray) or alpha.dtype != np.uint8:
        kind = alpha.dtype if isinstance(alpha, np.ndarray) else type(alpha).__name__
        raise TypeError(f"{name} is {kind}; expected a NumPy array, uint8 {shape}")
    if alpha.shape != shape:
        raise ValueError(f"{name} has shape {alpha.shape}; expected that of the image, {shape}")
    return alpha


def taken_as_bt709(width: int, height: int) -> bool:
    """Whether players take video of this size, in pixels, as BT.709 unless it says otherwise."""
    return width >= 1280 or height > 576


def frame_buffers(pixel_format: PixelFormat, size: Size, count: int) -> list[Buffer]:
    """Black buffers for frames of a format and size, in ordinary memory."""
    return [
        Buffer(np.zeros(pixel_format.shape(size), np.uint8), pixel_format) for _ in range(count)
    ]


def output_buffers(pixel_format: PixelFormat, size: Size, count: int) -> list[Buffer]:
    """Black buffers for outputs of a format, with alpha (H, W), in ordinary memory."""
    return [
        replace(buffer, alpha=np.zeros(size[::-1], np.uint8))
        for buffer in frame_buffers(pixel_format, size, count)
    ]
