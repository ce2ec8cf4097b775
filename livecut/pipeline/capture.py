"""The thread that reads a live source into a slot."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from livecut.clock import CLOCK, Clock
from livecut.errors import SourceError
from livecut.frame import Buffer, Frame, PixelFormat, Size, frame_buffers
from livecut.slot import Slot
from livecut.sources.base import Source

LOG = logging.getLogger("livecut")

RETRY = 0.5
"""Seconds between two tries to reopen a source that was lost."""


MakeBuffers = Callable[[PixelFormat, Size, int], Sequence[Buffer]]
"""Function that makes a number of buffers for frames of a format and size."""


class Capture:
    """A thread that reads a source into a slot, and opens it again when it was lost."""

    def __init__(self, source: Source, on_drop: Callable[[], None], clock: Clock = CLOCK) -> None:
        """`on_drop` is called for each frame that a newer one replaced; `clock` is the source's."""
        self.slot: Slot[Frame] = Slot(on_drop=on_drop, clock=clock)
        self.fault = ""
        """Why frames come in BGR though another format was asked for; empty where they do not."""
        self.lost = ""
        """Why there is no picture at present; empty while there is one."""
        self.last = clock.now()
        """Seconds of the clock when the last frame was grabbed."""
        self.interval = 0.0
        """Seconds from frame to frame, measured, averaged over about 30 frames."""
        self.name = source.name
        self._source = source
        self._pixel_format: PixelFormat | None = None
        self._asked: tuple[PixelFormat | None, MakeBuffers] | None = None
        self._make: MakeBuffers = frame_buffers
        self._clock, self._changed, self._stopped = clock, threading.Condition(), False
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ask(self, pixel_format: PixelFormat | None, make: MakeBuffers) -> None:
        """Take frames in this format from now on, if the source gives it, in buffers of `make`."""
        self._asked = pixel_format, make

    def stop(self) -> None:
        """Ask the thread to end and wait for it; a read that hangs is left behind."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._clock.join(self._thread, 3.0)

    def _run(self) -> None:
        index, first = 0, 0.0
        try:
            while not self._stopped:
                buffer = self._buffer()
                try:
                    timestamp = self._source.read(buffer.picture)
                except SourceError as error:
                    self.lost = str(error)
                    LOG.debug("%s; trying again every %g s", self.lost, RETRY)
                    if self._source.pixel_format != self._pixel_format:
                        self.fault = self.lost
                    self._reopen()
                    continue
                if timestamp is None:
                    break
                if index and not self.lost:
                    self.interval += (timestamp - self.last - self.interval) / min(index, 30)
                self.lost, self.last = "", timestamp
                first = first or timestamp
                self.slot.put(buffer.frame(index, timestamp, timestamp - first))
                index += 1
            self.slot.close()
        except BaseException as error:
            self.slot.close(error)

    def _buffer(self) -> Buffer:
        """The buffer for the next frame, in the format that the source gives now."""
        source = self._source
        if self._asked is not None:
            (asked, make), self._asked = self._asked, None
            if asked is not None:
                self.fault = source.give(asked)
            if make is not self._make:
                self._make, self._pixel_format = make, None
        if source.pixel_format != self._pixel_format:
            self._pixel_format = source.pixel_format
            self.slot.use(self._make(self._pixel_format, source.size, 3))
        return self.slot.writable()

    def _reopen(self) -> None:
        while not self._stopped:
            with self._changed:
                self._clock.wait(self._changed, lambda: self._stopped, RETRY)
            if self._stopped:
                break
            with suppress(SourceError):
                self._source.reopen()
                LOG.debug("%s is open again", self.name)
                return
