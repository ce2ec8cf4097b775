"""Video files as outputs."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from livecut.errors import SinkError
from livecut.files import finish_part, make_part, require_folder
from livecut.frame import BT709, Output, Size, even, i420
from livecut.sinks.base import Sink, VideoInfo, exact_rate, require_two_pixels

if TYPE_CHECKING:
    from livecut.sinks.encoder import Encoder

MILLISECOND = Fraction(1, 1000)
VIDEOS = (".mp4", ".mkv", ".mov", ".webm")
"""Endings of the files that are written as videos, in lower case."""


class VideoWriter(Sink):
    """A video file: H.264 in .mp4, .mov and .mkv, VP9 in .webm; with alpha VP9 or ProRes 4444.

    Colours are BT.709 in the limited range, converted so and marked so. An odd last row or column
    is left out, except from ProRes. A file's pictures stay at the times that they have there, or
    are `1 / fps` apart where it says none; those of a live source are where their time stamps say.
    A file's sound is carried over (see `Sound`), to the last picture where the run is ended early.
    """

    forms = tuple(f"out{suffix}" for suffix in VIDEOS)
    help = "a video"

    def __init__(
        self,
        path: Path,
        size: Size,
        fps: float,
        *,
        transparent: bool = False,
        realtime: bool = False,
        overwrite: bool = False,
        sound: Path | None = None,
    ) -> None:
        """Open the encoder and NAME.part.

        Raises SinkError, also where one of these files is there and `overwrite` is not set.
        """
        from livecut.sinks.encoder import Encoder

        super().__init__(str(path), size, (4 if transparent else 3,))
        require_folder(path)
        prores = transparent and path.suffix.lower() == ".mov"
        if not prores:
            require_two_pixels(self.name, size)
        self.pixel_format = None if transparent else i420(BT709)
        self._path, self._overwrite = path, overwrite
        self._realtime, self._rate, self._start = realtime, exact_rate(fps), 0.0
        self._count, self._last = 0, 0
        # Fine enough for any time, and a whole number of steps from frame to frame.
        self._step = Fraction(1, self._rate.numerator * -(-90_000 // self._rate.numerator))
        self._encoder: Encoder | None = None
        try:
            self._part = make_part(path, overwrite=overwrite)
        except OSError as e:
            raise SinkError(f"cannot write {path}: {e.strerror}") from e
        with self._errors():
            self._encoder = Encoder(
                self._part,
                path.suffix.lower(),
                size if prores else even(size),
                self._rate,
                self._step,
                transparent=transparent,
                sound=sound,
            )
            if self._encoder.left_out:
                codecs = ", ".join(self._encoder.left_out)
                self.hints = (f"{path.name} gets no sound of {codecs}: FFmpeg cannot read it here",)

    @classmethod
    def accepts(cls, uri: str) -> bool:
        return Path(uri).suffix.lower() in VIDEOS

    @classmethod
    def holds_alpha(cls, uri: str) -> bool:
        return Path(uri).suffix.lower() in (".mov", ".webm")

    @classmethod
    def target(cls, uri: str) -> Path:
        return Path(uri)

    @classmethod
    def open(cls, uri: str, video: VideoInfo) -> VideoWriter:
        return cls(
            Path(uri),
            video.size,
            video.fps,
            transparent=video.transparent,
            realtime=video.realtime,
            overwrite=video.overwrite,
            sound=video.sound,
        )

    def write(self, output: Output) -> None:
        self.check(output.image, output.pixel_format)
        if self._encoder is None:
            raise ValueError(f"{self.name} is closed")
        if self._count == 0:
            self._start = output.timestamp
        if self._realtime:
            pts = round((output.timestamp - self._start) / self._step)
        elif output.position is not None:
            pts = round(output.position / self._step)
        else:
            pts = round(self._count / self._rate / self._step)
        if self._count:  # at least 1 ms apart, which is as fine as Matroska counts
            pts = max(pts, self._last + math.ceil(MILLISECOND / self._step))
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
            self._encoder.finish(whole=self.whole)
            self._encoder = None
            finish_part(self._path, overwrite=self._overwrite)

    def abort(self) -> None:
        if self._encoder is not None:
            self._encoder.abort()
            self._remove()

    def _remove(self) -> None:
        self._encoder = None
        self._part.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Remove the unfinished file where anything inside fails. Raises SinkError."""
        from livecut.sinks.encoder import ERRORS

        try:
            yield
        except ERRORS as e:
            if self._encoder is not None:
                self._encoder.abort()
            self._remove()
            raise SinkError(f"cannot write {self.name}: {getattr(e, 'strerror', '') or e}") from e
