"""The one-place slot that always holds the newest item, and the thread that fills it from a source."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from livecut.errors import SourceError
from livecut.form import Form, Size
from livecut.frame import Frame, Image, blank_frames
from livecut.sources import Source

RETRY = 0.5
"""Seconds between two tries to reopen a source that was lost."""


Buffers = Callable[[Form, Size, int], Sequence[Image]]
"""Makes so many buffers for frames."""


class Holder(Protocol):
    """What a slot carries: something that holds a picture."""

    @property
    def image(self) -> Image: ...


T = TypeVar("T", bound=Holder)


class Slot(Generic[T]):
    """The newest item between two threads: older ones are dropped, never queued.

    Three buffers make it free of copies: one is written, one waits, one is read.
    """

    def __init__(
        self, buffers: Sequence[Image] = (), on_drop: Callable[[], None] = lambda: None
    ) -> None:
        """`on_drop` is called for each item that was replaced before anyone took it."""
        self._buffers, self._on_drop = buffers, on_drop
        self._changed = threading.Condition()
        self._newest: T | None = None
        self._reading: T | None = None
        self._taken = True
        self._closed = False
        self._error: BaseException | None = None

    def use(self, buffers: Sequence[Image]) -> None:
        """Other buffers from now on; what waits in the old ones is let go of."""
        with self._changed:
            self._buffers, self._newest, self._taken = buffers, None, True

    def writable(self) -> Image:
        """A buffer that is neither waiting nor being read."""
        with self._changed:
            busy = [item.image for item in (self._newest, self._reading) if item is not None]
            return next(b for b in self._buffers if not any(b is held for held in busy))

    def put(self, item: T) -> None:
        """Make `item` the newest."""
        with self._changed:
            if not self._taken:
                self._on_drop()
            self._newest, self._taken = item, False
            self._changed.notify_all()

    def get(self, timeout: float | None = None) -> T | None:
        """The newest item not yet taken; waits for one. It stays the reader's until the next `get`.

        None after `timeout` seconds, or once the slot is closed. Raises the error it was closed with.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or self._closed, timeout)
            if not self._taken and self._error is None:
                self._reading, self._taken = self._newest, True
                return self._reading
            if self._error is not None:
                raise self._error
            return None

    def close(self, error: BaseException | None = None) -> None:
        """No more items will come; the first error given is raised where the next `get` happens."""
        with self._changed:
            self._closed = True
            self._error = self._error or error
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        return self._closed


class Capture:
    """A thread that reads a source into a slot, and opens it again when it was lost."""

    def __init__(self, source: Source, on_drop: Callable[[], None]) -> None:
        """`on_drop` is called for each frame that a newer one replaced."""
        self.slot: Slot[Frame] = Slot(on_drop=on_drop)
        self.fault = ""
        """Why frames come in BGR though another form was asked for; empty where they do not."""
        self.lost = ""
        """Why there is no picture at present; empty while there is one."""
        self.last = time.perf_counter()
        """When the last frame was grabbed."""
        self.interval = 0.0
        """Seconds from frame to frame, averaged over about 30 frames: the measured rate."""
        self.name = source.name
        self._source = source
        self._form: Form | None = None
        self._asked: tuple[Form | None, Buffers] | None = None
        self._make: Buffers = blank_frames
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ask(self, form: Form | None, make: Buffers) -> None:
        """Take the frames to come in this form, where the source gives it, into buffers of `make`."""
        self._asked = form, make

    def stop(self) -> None:
        """Ask the thread to end and wait for it; a read that hangs is left behind."""
        self._stopped.set()
        self._thread.join(timeout=3.0)

    def _run(self) -> None:
        index, first = 0, 0.0
        try:
            while not self._stopped.is_set():
                image = self._buffer()
                try:
                    timestamp = self._source.read(image)
                except SourceError as error:
                    self.lost = str(error)
                    if self._source.form != self._form:
                        self.fault = self.lost
                    self._reopen()
                    continue
                if timestamp is None:
                    break
                if index and not self.lost:
                    self.interval += (timestamp - self.last - self.interval) / min(index, 30)
                self.lost, self.last = "", timestamp
                first = first or timestamp
                assert self._form
                self.slot.put(Frame(image, index, timestamp, timestamp - first, self._form))
                index += 1
            self.slot.close()
        except BaseException as error:
            self.slot.close(error)

    def _buffer(self) -> Image:
        """What the source is to fill, in the form that it gives now."""
        source = self._source
        if self._asked is not None:
            (asked, make), self._asked = self._asked, None
            if asked is not None:
                self.fault = source.give(asked)
            if make is not self._make:
                self._make, self._form = make, None
        if source.form != self._form:
            self._form = source.form
            self.slot.use(self._make(self._form, source.size, 3))
        return self.slot.writable()

    def _reopen(self) -> None:
        while not self._stopped.wait(RETRY):
            with suppress(SourceError):
                self._source.reopen()
                return
