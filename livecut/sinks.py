"""Where pictures go: the sinks, and `open_sink`, which makes one from a word of the command line.

A file is finished or absent: it is written beside its place under the name NAME.part and moved
there by `close`. What is wrong with an output is a SinkError of one line; a picture of the wrong
shape or type is a mistake in the program and raises ValueError or TypeError. FFmpeg is loaded by
those who need it alone: a camera and a window do not.
"""

from __future__ import annotations

import contextlib
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import cv2
import numpy as np

from livecut.errors import SinkError
from livecut.files import part_of, whole
from livecut.frame import Image, Output, taken_as_bt709
from livecut.i420 import BT601, BT709, I420, even

if TYPE_CHECKING:
    from livecut.encoder import Encoder

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
VIDEOS = (".mp4", ".mov", ".mkv", ".webm")
_ALPHA_PICTURES = (".png", ".webp")
_ALPHA_VIDEOS = (".webm", ".mov")


class Sink(ABC):
    """An output. `with` closes it; a half-written file is never left, whatever happens."""

    name: str
    """For people: "out.mp4", "/dev/video10 (livecut)"."""
    paced = False
    """Shown in real time, so that a file is to be played at its own rate."""
    duplicated = 0
    """Pictures that were repeated to keep a constant rate."""
    hints: tuple[str, ...] = ()
    """Lines for the person who opens it: where to look, what to beware of."""

    def __init__(self, name: str, size: tuple[int, int], channels: Sequence[int] = (3,)) -> None:
        """`size` is (width, height) of the pictures to come; `channels` how many they may have."""
        self.name = name
        self._shapes = [(size[1], size[0], c) for c in channels]

    @abstractmethod
    def write(self, output: Output) -> None:
        """Takes one picture, and keeps no reference to it. Raises SinkError."""

    def close(self) -> None:
        """Finishes the file and releases the device; may be called again. Raises SinkError."""
        return

    def abort(self) -> None:
        """After a failure of this sink: releases all it holds and leaves nothing half-written."""
        self.close()

    def pressed(self) -> list[str]:
        """The names of the keys pressed since the last call; only a window has any."""
        return []

    def _check(self, image: Image) -> None:
        """Raises TypeError or ValueError where it is not a picture that was announced."""
        if image.dtype != np.uint8:
            raise TypeError(f"{self.name}: got a picture of {image.dtype}, expected uint8")
        if image.shape not in self._shapes:
            expected = " or ".join(map(str, self._shapes))
            raise ValueError(f"{self.name}: got a picture of {image.shape}, expected {expected}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def open_sink(
    uri: str,
    *,
    size: tuple[int, int],
    fps: float,
    transparent: bool = False,
    live: bool = False,
    title: str = "livecut",
) -> Sink:
    """Opens the output that `uri` names.

    "window", "virtual", "/dev/videoN", "http" or "http://HOST:PORT", a video or picture file, a
    folder (one that exists, or a name that ends in "/"), "-" (YUV4MPEG2 on standard output),
    "null". `size` is (width, height) and `fps` the rate of the pictures to come, which are BGRA
    where `transparent`, else BGR. With `live` they come at their own pace and their time stamps
    count. `title` is a window's, and no other window may have it. Raises SinkError.
    """
    if uri == "null":
        return Null(size)
    if uri == "window":
        from livecut.window import Window

        return Window(size, transparent=transparent, title=title)
    path = Path(uri)
    suffix = path.suffix.lower()
    web = uri.startswith(("http:", "https:")) or uri == "http"
    device = uri == "virtual" or (uri.startswith("/dev/") and path.name.startswith("video"))
    folder = not web and (uri.endswith(("/", os.sep)) or path.is_dir())
    holds_alpha = folder or (not web and suffix in (*_ALPHA_PICTURES, *_ALPHA_VIDEOS))
    if transparent and not holds_alpha:
        raise SinkError(
            f"output '{uri}' cannot hold transparency; those that can are "
            f"{', '.join((*_ALPHA_VIDEOS, *_ALPHA_PICTURES))}, a folder of PNGs and the window"
        )
    if web:
        from livecut.preview import Preview

        return Preview(uri, size)
    if device:
        from livecut.virtual import open_virtual

        return open_virtual(uri, size=size, fps=fps)
    if uri == "-":
        return Pipe(size, fps, live=live)
    if folder:
        return PictureFolder(path, size, transparent=transparent)
    if suffix in VIDEOS:
        return VideoWriter(path, size, fps, transparent=transparent, live=live)
    if suffix in PICTURES:
        return PictureFile(path, size, transparent=transparent)
    raise SinkError(
        f"unknown output '{uri}'; known are window, virtual, /dev/videoN, http, a file ending in "
        f"{', '.join((*VIDEOS, *PICTURES))}, a folder (ending in /), - (standard output) and null"
    )


class Null(Sink):
    """Takes every picture and drops it: for measuring."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__("null", size, (3, 4))

    def write(self, output: Output) -> None:
        self._check(output.image)


class PictureFile(Sink):
    """One picture: the last that was written, saved by `close`. Of none, there is no file."""

    def __init__(self, path: Path, size: tuple[int, int], *, transparent: bool = False) -> None:
        """Raises SinkError where its folder cannot be written."""
        channels = 4 if transparent else 3
        super().__init__(str(path), size, (channels,))
        _require_folder(path)
        self._path = path
        self._image = np.empty((size[1], size[0], channels), np.uint8)
        self._written = False

    def write(self, output: Output) -> None:
        self._check(output.image)
        np.copyto(self._image, output.image)
        self._written = True

    def close(self) -> None:
        if self._written:
            self._written = False
            save_picture(self._path, self._image)

    def abort(self) -> None:
        self._written = False


class PictureFolder(Sink):
    """A folder of PNGs: 000000.png and so on, in the order of writing."""

    def __init__(self, path: Path, size: tuple[int, int], *, transparent: bool = False) -> None:
        """Makes the folder where there is none. Raises SinkError, without its parent for instance."""
        super().__init__(f"{path}{os.sep}", size, (4 if transparent else 3,))
        self._path, self._count = path, 0
        _require_folder(path)
        try:
            path.mkdir(exist_ok=True)
        except OSError as e:
            raise SinkError(f"cannot make the folder {path}: {e.strerror}") from e

    def write(self, output: Output) -> None:
        self._check(output.image)
        save_picture(self._path / f"{self._count:06d}.png", output.image)
        self._count += 1


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
        self._live, self._start, self._count = live, 0.0, 0

    def write(self, output: Output) -> None:
        self._check(output.image)
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
        self._picture.convert(output.image)
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
        _require_folder(path)
        prores = transparent and path.suffix.lower() == ".mov"
        if not prores:
            _require_even(self.name, size)
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
        self._check(output.image)
        if self._encoder is None:
            raise ValueError(f"{self.name} is closed")
        if self._count == 0:
            self._start = output.timestamp
        pts = self._count
        if self._live:  # at least 1 ms apart, which is as fine as Matroska counts
            pts = round((output.timestamp - self._start) * 90_000)
            pts = max(pts, self._last + 90) if self._count else 0
        with self._errors():
            self._encoder.encode(output.image, pts)
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


def save_picture(path: Path, image: Image) -> None:
    """Saves a BGR or BGRA picture in the form of its suffix, at once or not at all.

    Raises SinkError.
    """
    suffix = path.suffix.lower()
    options: list[int] = []
    if suffix == ".png":
        options = [cv2.IMWRITE_PNG_COMPRESSION, 1]
        if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # twice as fast as what newer OpenCV chooses
            options += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
    elif suffix in (".jpg", ".jpeg", ".webp"):
        options = [cv2.IMWRITE_WEBP_QUALITY if suffix == ".webp" else cv2.IMWRITE_JPEG_QUALITY, 95]
    try:
        _, data = cv2.imencode(suffix, image, options)
        with whole(path) as part:
            part.write_bytes(data.data)
    except (OSError, cv2.error) as e:
        reason = e.strerror if isinstance(e, OSError) else "it cannot hold a picture of this size"
        raise SinkError(f"cannot write {path}: {reason}") from e


def require_picture(path: Path) -> None:
    """Raises SinkError where `save_picture` could not write `path`."""
    if path.suffix.lower() not in PICTURES:
        raise SinkError(f"cannot write {path}; expected a picture: {', '.join(PICTURES)}")
    _require_folder(path)


def _require_folder(path: Path) -> None:
    """Raises SinkError where nothing can be made in the folder that `path` is to stand in."""
    parent = path.parent
    if not parent.is_dir():
        raise SinkError(f"cannot write {path}: there is no folder {parent}; make it first")
    if not os.access(parent, os.W_OK):
        raise SinkError(f"cannot write {path}: no permission to write in the folder {parent}")


def _require_even(name: str, size: tuple[int, int]) -> None:
    if min(size) < 2:
        raise SinkError(f"{name}: {size[0]}x{size[1]} is too small; at least 2x2 is needed")


def _fileno(stream: object) -> int | None:
    try:
        return int(stream.fileno())  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return None
