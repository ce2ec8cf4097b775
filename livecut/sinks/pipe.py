"""YUV4MPEG2 on standard output."""

from __future__ import annotations

import os
import sys

from livecut.errors import SinkError
from livecut.frame import BT601, BT709, Output, Size, taken_as_bt709
from livecut.kernels.pixels import I420
from livecut.sinks.base import Sink, VideoInfo, exact_rate, require_two_pixels


class Pipe(Sink):
    """YUV4MPEG2 on standard output: 4:2:0 with chroma in the centre, limited range.

    The format cannot say which matrix was used. It is the one that players, and livecut's own
    source, assume by the size: BT.709 from 1280 columns or 577 lines on, else BT.601. An odd last
    row or column is left out. It has no time stamps either, so a live source is brought to a
    constant rate: repeats of the last picture come before a late one, an early one is left out.
    """

    forms = ("-",)
    help = "YUV4MPEG2 on standard output"

    def __init__(
        self, size: Size, fps: float, *, realtime: bool = False, fd: int | None = None
    ) -> None:
        """Write to the file descriptor `fd`, else to standard output. Raises SinkError."""
        super().__init__("standard output", size)
        if fd is None:
            try:
                sys.stdout.flush()
                fd = sys.stdout.fileno()
            except (AttributeError, OSError, ValueError) as e:
                raise SinkError("there is no standard output; give -o a file") from e
        if os.isatty(fd):
            raise SinkError(
                "standard output is a terminal; pipe it to a program, as in `| ffmpeg -i - out.mkv`"
            )
        require_two_pixels(self.name, size)
        self._fd: int | None = fd
        self._rate = exact_rate(fps)
        self._picture = I420(size, b"FRAME\n", BT709 if taken_as_bt709(*size) else BT601)
        self.pixel_format = self._picture.pixel_format
        self._realtime, self._start, self._count = realtime, 0.0, 0

    @classmethod
    def open(cls, uri: str, video: VideoInfo) -> Pipe:
        return cls(video.size, video.fps, realtime=video.realtime)

    def write(self, output: Output) -> None:
        self.check(output.image, output.pixel_format)
        if self._count == 0:
            self._start = output.timestamp
            w, h = self._picture.size
            fps = f"{self._rate.numerator}:{self._rate.denominator}"
            header = f"YUV4MPEG2 W{w} H{h} F{fps} Ip A1:1 C420jpeg XCOLORRANGE=LIMITED\n"
            self._send(header.encode("ascii"))
        elif self._realtime:
            # Three quarters of a frame either way are a camera's jitter, more is a gap.
            due = (output.timestamp - self._start) * float(self._rate)
            if due < self._count - 0.75:
                return
            while self._count < due - 0.75:
                self._send(self._picture.data)
                self._count += 1
                self.duplicated += 1
        self._picture.take(output)
        self._send(self._picture.data)
        self._count += 1

    def close(self) -> None:
        self._fd = None

    def _send(self, data: bytes | bytearray) -> None:
        if self._fd is None:
            raise ValueError("the pipe is closed")
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as e:
            if sys.stdout is not None and self._fd == _fileno(sys.stdout):
                # Python flushes it once more at exit, and would complain.
                with open(os.devnull, "wb") as sunk:
                    os.dup2(sunk.fileno(), self._fd)
            self._fd = None
            if isinstance(e, BrokenPipeError) or (sys.platform == "win32" and e.errno == 22):
                raise SinkError("the program that reads the output has ended") from e
            raise SinkError(f"cannot write to standard output: {e.strerror}") from e


def _fileno(stream: object) -> int | None:
    try:
        return int(stream.fileno())  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return None
