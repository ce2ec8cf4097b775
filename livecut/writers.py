"""Moving pictures out: video files, and YUV4MPEG2 on standard output."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from livecut.errors import SinkError
from livecut.files import part_of
from livecut.form import BT601, BT709, even, i420
from livecut.frame import Output, taken_as_bt709
from livecut.i420 import I420
from livecut.sinks import Sink, require_folder

if TYPE_CHECKING:
    from livecut.encoder import Encoder


class Pipe(Sink):
    """YUV4MPEG2 on standard output: 4:2:0 with chroma in the centre, limited range.

    The format cannot say which matrix was used. It is the one that players, and livecut's own
    source, assume by the size: BT.709 from 1280 columns or 577 lines on, else BT.601. An odd last
    row or column is left out. It has no time stamps either, so a live source is brought to a constant rate: a late picture is preceded by
    repeats of the one before, an early one is left out.
    """

    def __init__(
        self, size: tuple[int, int], fps: float, *, live: bool = False, fd: int | None = None
    ) -> None:
        """Writes to the file descriptor `fd`, else to standard output. Raises SinkError."""
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
        _require_even(self.name, size)
        self._fd: int | None = fd
        self._rate = rate(fps)
        self._picture = I420(size, b"FRAME\n", BT709 if taken_as_bt709(*size) else BT601)
        self.form = self._picture.form
        self._live, self._start, self._count = live, 0.0, 0

    def write(self, output: Output) -> None:
        self._check(output.image, output.form)
        if self._count == 0:
            self._start = output.timestamp
            w, h = self._picture.size
            fps = f"{self._rate.numerator}:{self._rate.denominator}"
            header = f"YUV4MPEG2 W{w} H{h} F{fps} Ip A1:1 C420jpeg XCOLORRANGE=LIMITED\n"
            self._send(header.encode("ascii"))
        elif self._live:
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


class VideoWriter(Sink):
    """A video file: H.264 in .mp4, .mov and .mkv, VP9 in .webm; with alpha VP9 or ProRes 4444.

    Colours are BT.709 in the limited range, converted so and marked so. An odd last row or column
    is left out, except from ProRes. A file's pictures are `1 / fps` apart, exactly; those of a live
    source are where their time stamps say.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        fps: float,
        *,
        transparent: bool = False,
        live: bool = False,
    ) -> None:
        """Opens the encoder and NAME.part. Raises SinkError."""
        from livecut.encoder import Encoder

        super().__init__(str(path), size, (4 if transparent else 3,))
        require_folder(path)
        prores = transparent and path.suffix.lower() == ".mov"
        if not prores:
            _require_even(self.name, size)
        self.form = None if transparent else i420(BT709)
        self._path, self._part = path, part_of(path)
        self._live, self._rate, self._start = live, rate(fps), 0.0
        self._count, self._last = 0, -1
        self._encoder: Encoder | None = None
        with self._errors():
            self._encoder = Encoder(
                self._part,
                path.suffix.lower(),
                size if prores else even(size),
                self._rate,
                Fraction(1, 90_000) if live else 1 / self._rate,
                transparent=transparent,
            )

    def write(self, output: Output) -> None:
        self._check(output.image, output.form)
        if self._encoder is None:
            raise ValueError(f"{self.name} is closed")
        if self._count == 0:
            self._start = output.timestamp
        pts = self._count
        if self._live:  # at least 1 ms apart, which is as fine as Matroska counts
            pts = round((output.timestamp - self._start) * 90_000)
            pts = max(pts, self._last + 90) if self._count else 0
        with self._errors():
            self._encoder.encode(output, pts)
        self._count, self._last = self._count + 1, pts

    def close(self) -> None:
        if self._encoder is None:
            return
        if self._count == 0:
            self.abort()
            return
        with self._errors():
            self._encoder.finish()
            os.replace(self._part, self._path)
        self._encoder = None

    def abort(self) -> None:
        if self._encoder is not None:
            self._encoder.abort()
            self._encoder = None
        self._part.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Whatever fails inside takes the unfinished file with it."""
        from livecut.encoder import ERRORS

        try:
            yield
        except ERRORS as e:
            self.abort()
            raise SinkError(f"cannot write {self.name}: {getattr(e, 'strerror', '') or e}") from e


def rate(fps: float) -> Fraction:
    """The exact frame rate: 30000/1001 for 29.97002997."""
    return Fraction(fps).limit_denominator(1001)


def _require_even(name: str, size: tuple[int, int]) -> None:
    if min(size) < 2:
        raise SinkError(f"{name}: {size[0]}x{size[1]} is too small; at least 2x2 is needed")


def _fileno(stream: object) -> int | None:
    try:
        return int(stream.fileno())  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return None
