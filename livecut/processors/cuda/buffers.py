"""The host's memory that frames go up from and come down to, without a copy on the way."""

from __future__ import annotations

import weakref
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livecut.backgrounds.base import Background
from livecut.frame import BGR, Frame, Image, PixelFormat, Size

HEADER = 16
"""Bytes before the picture in a packet, two int64. In: the frame's index, and 1 where it follows the
frame before. Out: the receipt, and what else is to be said of it."""


class PinnedBuffer:
    """Bytes that are copied as a whole: a header, and what follows it."""

    def __init__(self, memory: Any, array: NDArray[np.uint8]) -> None:
        """`memory` is what copies take, `array` the same bytes."""
        self.memory = memory
        self.header = array[:HEADER].view(np.int64)
        self.body = array[HEADER:]


class BufferPool:
    """Buffers whose bytes lie in packets; which packet that is, as long as the buffer is there."""

    def __init__(self, make: Callable[[int], PinnedBuffer]) -> None:
        """`make` gives a packet with so many bytes after its header."""
        self._make = make
        self._lent: dict[int, tuple[weakref.ref[Image], PinnedBuffer, PixelFormat]] = {}

    def frames(self, pixel_format: PixelFormat, size: Size, count: int) -> list[Image]:
        """Buffers for frames, from which they go up without a copy."""
        packets = [self._make(pixel_format.count(size)) for _ in range(count)]
        return [
            self._lend(p, p.body.reshape(pixel_format.shape(size)), pixel_format) for p in packets
        ]

    def outputs(
        self, pixel_format: PixelFormat, size: Size, count: int
    ) -> list[tuple[Image, Image]]:
        """Pairs of alpha and picture, to which both come down without a copy."""
        pixels, made = size[0] * size[1], []
        for _ in range(count):
            packet = self._make(pixels + pixel_format.count(size))
            alpha = self._lend(packet, packet.body[:pixels].reshape(size[::-1]), pixel_format)
            picture = self._lend(
                packet, packet.body[pixels:].reshape(pixel_format.shape(size)), pixel_format
            )
            made.append((alpha, picture))
        return made

    def _lend(self, packet: PinnedBuffer, buffer: Image, pixel_format: PixelFormat) -> Image:
        key, lent = id(buffer), self._lent
        lent[key] = weakref.ref(buffer, lambda _: lent.pop(key, None)), packet, pixel_format
        return buffer

    def packet(self, buffer: Image | None, pixel_format: PixelFormat) -> PinnedBuffer | None:
        """The packet that a buffer of this form lies in; None for one that was not lent."""
        _, packet, lent_as = self._lent.get(id(buffer), (None, None, None))
        return packet if lent_as == pixel_format else None


class Slot:
    """A place for one frame in flight, for frames of one size and results of any form."""

    def __init__(self, size: Size, up: PinnedBuffer, down: PinnedBuffer) -> None:
        """The packets are the slot's own, for frames and outputs that lie in none."""
        self._size, self._pixels = size, size[0] * size[1]
        self._own = up, down
        self.up, self.down = up, down
        """Where the frame at hand lies, and what comes of it."""
        self.frame: Frame | None = None
        """The frame that is in flight here."""
        self.background: Background | None = None
        """What the frame is composited over; None where only its alpha is made."""
        self.pixel_format = BGR
        """Of the composite."""

    def take(
        self,
        frame: Frame,
        pixel_format: PixelFormat,
        up: PinnedBuffer | None,
        down: PinnedBuffer | None,
    ) -> None:
        """Hold a frame, which lies in `up` or else is copied here; what comes of it goes into `down` or
        else stays here.
        """
        self.frame, self.pixel_format = frame, pixel_format
        self.up, self.down = up or self._own[0], down or self._own[1]
        if up is None:
            np.copyto(self.image(frame.pixel_format), frame.image)

    def image(self, pixel_format: PixelFormat) -> Image:
        """The frame that goes up."""
        return self.up.body[: pixel_format.count(self._size)].reshape(
            pixel_format.shape(self._size)
        )

    def alpha(self) -> Image:
        """The alpha (H, W) that has come down."""
        return self.down.body[: self._pixels].reshape(self._size[::-1])

    def picture(self) -> Image:
        """The composite that has come down."""
        count, shape = self.pixel_format.count(self._size), self.pixel_format.shape(self._size)
        return self.down.body[self._pixels :][:count].reshape(shape)

    @abstractmethod
    def wait(self) -> None:
        """Wait until what was sent last has come down."""

    @abstractmethod
    def receipt(self) -> int | None:
        """The index of the frame whose alpha has come down; None where that is not valid."""
