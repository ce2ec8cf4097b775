"""The one-place slot between two threads, which always holds the newest item."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from livecut.clock import CLOCK, Clock
from livecut.frame import Buffer, Image


class Holder(Protocol):
    """An item of a slot: something that holds a picture, as `Frame` and `Output` do."""

    @property
    def image(self) -> Image: ...


T = TypeVar("T", bound=Holder)


class Slot(Generic[T]):
    """The newest item between two threads: older ones are dropped, never queued.

    Three buffers make it free of copies: one is written, one waits, one is read.
    """

    def __init__(
        self,
        buffers: Sequence[Buffer] = (),
        on_drop: Callable[[], None] = lambda: None,
        clock: Clock = CLOCK,
    ) -> None:
        """`on_drop` is called for each item that was replaced before anyone took it."""
        self._buffers, self._on_drop, self._clock = buffers, on_drop, clock
        self._changed = threading.Condition()
        self._newest: T | None = None
        self._reading: T | None = None
        self._taken = True
        self._closed = False
        self._error: BaseException | None = None

    def use(self, buffers: Sequence[Buffer]) -> None:
        """Hand out other buffers from now on; an item that waits in an old one is let go of."""
        with self._changed:
            self._buffers, self._newest, self._taken = buffers, None, True

    def writable(self) -> Buffer:
        """A buffer whose picture neither waits nor is read."""
        with self._changed:
            busy = [item.image for item in (self._newest, self._reading) if item is not None]
            return next(b for b in self._buffers if not any(b.picture is held for held in busy))

    def put(self, item: T) -> None:
        """Make `item` the newest."""
        with self._changed:
            if not self._taken:
                self._on_drop()
            self._newest, self._taken = item, False
            self._changed.notify_all()

    def get(self, timeout: float | None = None) -> T | None:
        """The newest item not yet taken; waits for one. It stays the reader's until the next `get`.

        None after `timeout` seconds, or once the slot is closed. Raises the error it was closed
        with.
        """
        with self._changed:
            self._clock.wait(self._changed, lambda: not self._taken or self._closed, timeout)
            if not self._taken and self._error is None:
                self._reading, self._taken = self._newest, True
                return self._reading
            if self._error is not None:
                raise self._error
            return None

    def close(self, error: BaseException | None = None) -> None:
        """End the stream of items; the first error given is raised where the next `get` happens."""
        with self._changed:
            self._closed = True
            self._error = self._error or error
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        return self._closed
