"""Readers behind sinks, for measuring from glass to glass: they read the picture there."""

from __future__ import annotations

import os
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from http.client import HTTPConnection, HTTPResponse
from io import FileIO
from typing import Self

import cv2
import numpy as np

from livecut.bench import timecode
from livecut.bench.cases import PACE
from livecut.errors import ConfigError, SinkError, SourceError
from livecut.frame import Image, Output, as_image
from livecut.sinks import open_sink
from livecut.sinks.base import Sink
from livecut.sinks.pipe import Pipe
from livecut.sinks.web import Preview
from livecut.sinks.window import Window
from livecut.sources import open_source

Found = Callable[[Image], None]


class SinkReader(ABC):
    """A sink, and a thread that reads the pictures at its other end.

    `found` gets the luma of each, cut to the time code's area.
    """

    sink: Sink

    def __init__(self, size: tuple[int, int], found: Found) -> None:
        self._size, self._found = size, found
        self._ended = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="far end", daemon=True)

    def _run(self) -> None:
        try:
            self._follow()
        except Exception as error:
            self._error = error

    @abstractmethod
    def _follow(self) -> None:
        """Read until `_ended` is set."""

    def _stop(self) -> None:
        self._ended.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._thread.join(timeout=5.0)
        self.sink.close()
        if self._error is not None:
            raise SinkError(f"{self.sink.name} cannot be read back: {self._error}") from self._error


class PipeReader(SinkReader):
    """YUV4MPEG2 through a pipe of the system."""

    def __init__(self, size: tuple[int, int], found: Found) -> None:
        super().__init__(size, found)
        self._out, self._in = os.pipe()
        self.sink = Pipe(size, PACE, realtime=True, fd=self._in)

    def _follow(self) -> None:
        width, height = (side - side % 2 for side in self._size)
        with FileIO(self._out) as file:
            while file.read(1) not in (b"\n", b""):
                pass
            data = bytearray(6 + width * height * 3 // 2)
            luma = np.frombuffer(data, np.uint8, width * height, 6).reshape(height, width)
            code = luma[timecode.area(width, height)]
            while self._fill(file, data):
                self._found(code)

    @staticmethod
    def _fill(file: FileIO, data: bytearray) -> bool:
        rest = memoryview(data)
        while rest:
            count = file.readinto(rest)
            if not count:
                return False
            rest = rest[count:]
        return True

    def _stop(self) -> None:
        super()._stop()
        os.close(self._in)


class WebReader(SinkReader):
    """The web preview's stream, over loopback, each JPEG decoded to luma."""

    def __init__(self, size: tuple[int, int], found: Found) -> None:
        super().__init__(size, found)
        self.sink = preview = Preview("http://127.0.0.1:0", size)
        self._connection = HTTPConnection(preview.name.removeprefix("http://"), timeout=60)
        self._connection.connect()

    def _follow(self) -> None:
        self._connection.request("GET", "/stream")
        with self._connection.getresponse() as stream:
            while (length := self._length(stream)) and not self._ended.is_set():
                data = np.frombuffer(stream.read(length), np.uint8)
                luma = as_image(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))
                self._found(luma[timecode.area(*self._size)])

    @staticmethod
    def _length(stream: HTTPResponse) -> int:
        """Bytes of the next JPEG, whose head is read up to its end; 0 at the end of the stream."""
        length = 0
        while line := stream.readline():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
            elif length and not line.strip():
                return length
        return 0

    def _stop(self) -> None:
        super()._stop()
        if self._connection.sock is not None:
            self._connection.sock.shutdown(socket.SHUT_RDWR)


class _Placed(Window):
    """A window that knows where it is; only the main thread may ask."""

    place = (0, 0, 0, 0)

    def _write(self, output: Output) -> None:
        super()._write(output)
        self.place = tuple(cv2.getWindowImageRect(self.title))  # type: ignore[assignment]


class WindowReader(SinkReader):
    """A window, its part of the screen copied every few milliseconds."""

    def __init__(self, size: tuple[int, int], found: Found) -> None:
        super().__init__(size, found)
        try:
            import mss
        except ImportError as error:
            raise ConfigError(
                "reading a window back needs mss; install it with: pip install 'livecut[bench]'"
            ) from error
        self._mss = mss
        self.sink = self._window = _Placed(size)

    def _follow(self) -> None:
        with self._mss.MSS() as screen:
            while not self._ended.is_set():
                left, top, width, height = self._window.place
                rows, columns = timecode.area(width, height)
                if rows.stop - rows.start > 8:
                    place = {
                        "left": left + columns.start,
                        "top": top + rows.start,
                        "width": columns.stop - columns.start,
                        "height": rows.stop - rows.start,
                    }
                    self._found(np.asarray(screen.grab(place))[..., 1])
                time.sleep(0.001)


class VirtualReader(SinkReader):
    """A v4l2loopback, opened as any program opens a camera."""

    def __init__(self, size: tuple[int, int], found: Found) -> None:
        super().__init__(size, found)
        self.sink = open_sink("virtual", size=size, fps=PACE)

    def _follow(self) -> None:
        device = self.sink.name.split()[0]
        while not self._ended.is_set():
            try:
                with open_source(device) as camera:
                    image = np.empty((camera.size[1], camera.size[0], 3), np.uint8)
                    code = image[timecode.area(*camera.size)]
                    while not self._ended.is_set() and camera.read(image) is not None:
                        self._found(as_image(cv2.cvtColor(code, cv2.COLOR_BGR2GRAY)))
            except SourceError:
                time.sleep(0.1)


READERS: dict[str, type[SinkReader]] = {
    "pipe": PipeReader,
    "web": WebReader,
    "window": WindowReader,
    "virtual": VirtualReader,
}
"""Readers by the path of a case."""


class Delays:
    """Notes when each number is first seen at the far end."""

    def __init__(self, sent: dict[int, float]) -> None:
        """`sent` says when a number's frame was in memory."""
        self._sent, self._last = sent, -1
        self.seen: list[tuple[float, float]] = []
        """(`perf_counter` of the reading, seconds since the frame was in memory)."""
        self.unreadable = 0

    def __call__(self, luma: Image) -> None:
        now, number = time.perf_counter(), timecode.read(luma)
        if number is None or number not in self._sent:
            self.unreadable += bool(self.seen)  # notices come before the first
        elif number != self._last:
            self._last = number
            self.seen.append((now, now - self._sent[number]))
