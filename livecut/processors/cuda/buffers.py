"""The host's memory that frames go up from and come down to, without a copy on the way."""

from __future__ import annotations

import weakref
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livecut.backgrounds.base import Background
from livecut.frame import BGR, Form, Frame, Image, Size

HEADER = 16
"""Bytes before the picture in a packet, two int64. In: the frame's index, and 1 where it follows the
frame before. Out: the receipt, and what else is to be said of it."""


class Packet:
    """Bytes that are copied as a whole: a header, and what follows it."""

    def __init__(self, memory: Any, array: NDArray[np.uint8]) -> None:
        """`memory` is what copies take, `array` the same bytes."""
        self.memory = memory
        self.header = array[:HEADER].view(np.int64)
        self.body = array[HEADER:]


class Lending:
    """Buffers whose bytes lie in packets; which packet that is, as long as the buffer is there."""

    def __init__(self, make: Callable[[int], Packet]) -> None:
        """`make` gives a packet with so many bytes after its header."""
        self._make = make
        self._lent: dict[int, tuple[weakref.ref[Image], Packet, Form]] = {}

    def frames(self, form: Form, size: Size, count: int) -> list[Image]:
        """Buffers for frames, from which they go up without a copy."""
        packets = [self._make(form.count(size)) for _ in range(count)]
        return [self._lend(p, p.body.reshape(form.shape(size)), form) for p in packets]

    def outputs(self, form: Form, size: Size, count: int) -> list[tuple[Image, Image]]:
        """Pairs of alpha and picture, to which both come down without a copy."""
        pixels, made = size[0] * size[1], []
        for _ in range(count):
            packet = self._make(pixels + form.count(size))
            alpha = self._lend(packet, packet.body[:pixels].reshape(size[::-1]), form)
            picture = self._lend(packet, packet.body[pixels:].reshape(form.shape(size)), form)
            made.append((alpha, picture))
        return made

    def _lend(self, packet: Packet, buffer: Image, form: Form) -> Image:
        key, lent = id(buffer), self._lent
        lent[key] = weakref.ref(buffer, lambda _: lent.pop(key, None)), packet, form
        return buffer

    def packet(self, buffer: Image | None, form: Form) -> Packet | None:
        """The packet that a buffer of this form lies in; None for one that was not lent."""
        _, packet, lent_as = self._lent.get(id(buffer), (None, None, None))
        return packet if lent_as == form else None


class Slot:
    """A place for one frame in flight, for frames of one size and results of any form."""

    def __init__(self, size: Size, up: Packet, down: Packet) -> None:
        """The packets are the slot's own, for frames and outputs that lie in none."""
        self._size, self._pixels = size, size[0] * size[1]
        self._own = up, down
        self.up, self.down = up, down
        """Where the frame at hand lies, and what comes of it."""
        self.frame: Frame | None = None
        """The frame that is in flight here."""
        self.background: Background | None = None
        """What the frame is composited over; None where only its alpha is made."""
        self.form = BGR
        """Of the composite."""

    def take(self, frame: Frame, form: Form, up: Packet | None, down: Packet | None) -> None:
        """Hold a frame, which lies in `up` or else is copied here; what comes of it goes into `down` or
        else stays here.
        """
        self.frame, self.form = frame, form
        self.up, self.down = up or self._own[0], down or self._own[1]
        if up is None:
            np.copyto(self.image(frame.form), frame.image)

    def image(self, form: Form) -> Image:
        """The frame that goes up."""
        return self.up.body[: form.count(self._size)].reshape(form.shape(self._size))

    def alpha(self) -> Image:
        """The alpha (H, W) that has come down."""
        return self.down.body[: self._pixels].reshape(self._size[::-1])

    def picture(self) -> Image:
        """The composite that has come down."""
        count, shape = self.form.count(self._size), self.form.shape(self._size)
        return self.down.body[self._pixels :][:count].reshape(shape)

    @abstractmethod
    def wait(self) -> None:
        """Wait until what was sent last has come down."""

    @abstractmethod
    def receipt(self) -> int | None:
        """The index of the frame whose alpha has come down; None where that is not valid."""
