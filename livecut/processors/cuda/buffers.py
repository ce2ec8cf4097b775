"""Pinned memory of the host, and the transfer of one frame to the device and back."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from livecut.backgrounds.base import Background
from livecut.frame import BGR, BGRA, Buffer, Frame, Image, PixelFormat, Size
from livecut.processors.cuda.compositor import HEADER, INVALID
from livecut.processors.cuda.streams import Device


class PinnedMemory:
    """Bytes that are copied as a whole: a header, then a picture, or alpha and picture."""

    def __init__(self, tensor: Tensor) -> None:
        """`tensor` holds the bytes, uint8, the header's included."""
        self.tensor = tensor
        array = tensor.numpy()
        self.header, self.body = array[:HEADER].view(np.int64), array[HEADER:]


def pinned(device: Device, count: int) -> PinnedMemory:
    """Memory for so many bytes behind a header, fast to copy to and from the device."""
    return PinnedMemory(device.host(HEADER + count))


def frame_buffers(
    device: Device, pixel_format: PixelFormat, size: Size, count: int
) -> list[Buffer]:
    """Buffers for frames, from which they go up without a copy on the host."""
    shape, bytes_each = pixel_format.shape(size), pixel_format.count(size)
    memories = [pinned(device, bytes_each) for _ in range(count)]
    return [Buffer(m.body.reshape(shape), pixel_format, memory=m) for m in memories]


def output_buffers(
    device: Device, pixel_format: PixelFormat, size: Size, count: int
) -> list[Buffer]:
    """Buffers for outputs, into which alpha and picture come down without a copy on the host."""
    pixels, shape = size[0] * size[1], pixel_format.shape(size)
    memories = [pinned(device, pixels + pixel_format.count(size)) for _ in range(count)]
    return [
        Buffer(m.body[pixels:].reshape(shape), pixel_format, m.body[:pixels].reshape(size[::-1]), m)
        for m in memories
    ]


class Transfer:
    """A place for one frame in flight: its bytes on both sides, and three points on its way.

    Frames are of one size, composites of any format.
    """

    def __init__(self, device: Device, size: Size) -> None:
        self._size, self._pixels = size, size[0] * size[1]
        up, down = BGR.count(size), self._pixels + BGRA.count(size)
        self._own = pinned(device, up), pinned(device, down)
        self.up, self.down = self._own
        """Memory that the frame at hand goes up from, and that its alpha and composite come down
        to."""
        self.device_in, self.device_out = (
            torch.zeros(HEADER + n, dtype=torch.uint8, device=device.device) for n in (up, down)
        )
        self.arrived, self.made, self.landed = device.event(), device.event(), device.event()
        self.frame: Frame | None = None
        """The frame that is in flight here."""
        self.background: Background | None = None
        """Background that the device puts behind the frame; None where it makes the alpha alone."""
        self.pixel_format = BGR
        """Format of the composite."""

    def take(self, frame: Frame, out: Buffer | None, pixel_format: PixelFormat) -> None:
        """Hold a frame, whose alpha and composite are to come down to `out` where that is pinned.

        A frame that lies in no pinned memory is copied to the transfer's own.
        """
        self.frame, self.pixel_format = frame, pixel_format
        self.up, self.down = self._own
        if out is not None and out.pixel_format == pixel_format:
            self.down = out.memory if isinstance(out.memory, PinnedMemory) else self.down
        if isinstance(frame.memory, PinnedMemory):
            self.up = frame.memory
        else:
            np.copyto(self.image(frame.pixel_format), frame.image)

    def image(self, pixel_format: PixelFormat) -> Image:
        """The frame that goes up."""
        count, shape = pixel_format.count(self._size), pixel_format.shape(self._size)
        return self.up.body[:count].reshape(shape)

    def alpha(self) -> Image:
        """The alpha (H, W) that has come down."""
        return self.down.body[: self._pixels].reshape(self._size[::-1])

    def picture(self) -> Image:
        """The composite that has come down."""
        count, shape = self.pixel_format.count(self._size), self.pixel_format.shape(self._size)
        return self.down.body[self._pixels :][:count].reshape(shape)

    def forget(self) -> None:
        """Mark the result as stale; `receipt` is None until the next has come down."""
        self.down.header[0] = INVALID

    def wait(self) -> None:
        """Wait until the result of what was sent last has come down."""
        self.landed.synchronize()

    def receipt(self) -> int | None:
        """Index of the frame whose alpha has come down; None where that is not valid."""
        index = int(self.down.header[0])
        return None if index == INVALID else index
