"""The interface of a source of pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from livecut.errors import SourceError
from livecut.frame import BGR, Image, PixelFormat


class Source(ABC):
    """Gives pictures one by one, into buffers that belong to the caller."""

    forms: ClassVar[Sequence[str]] = ()
    """Words that it takes, as examples: "0", "clip.mp4"."""
    help: ClassVar[str] = ""
    """What the words name, for people, in lower case and without a full stop."""
    settings: ClassVar[Sequence[str]] = ("size",)
    """Settings that `open` takes: "size", of a video file "fps", of a camera "fourcc" as well."""
    name: str
    """Name for people: "living_room.mp4", "/dev/video0 (Integrated Camera)"."""
    realtime: bool
    """Whether frames come at their own pace, and an old one is worth nothing (a camera, a
    broadcast)."""
    size: tuple[int, int]
    """(width, height) in pixels of what `read` fills."""
    fps: float
    """Nominal frames per second, above 0."""
    frames: int | None
    """Number of all frames, as far as the source says; None where nobody knows."""
    description: str
    """Form in which the pictures come, for people: "1280x720 h264 30 fps"."""
    pixel_format: PixelFormat = BGR
    """Format of what `read` fills."""
    path: Path | None = None
    """The file that it reads, where it is one."""
    sound: Path | None = None
    """A file that FFmpeg reads and whose sound belongs to the pictures, at the same `position`s."""
    position: float | None = None
    """Seconds since the start of the file at which the frame that was read last is due; None where
    nothing says so."""
    native: PixelFormat | None = None
    """Another format in which it can give its pictures, without converting them."""

    @classmethod
    def accepts(cls, uri: str) -> bool:
        """Whether `uri`, a word of the command line, names this kind of source."""
        return uri in cls.forms

    @classmethod
    def open(cls, uri: str, **settings: Any) -> Source:
        """Open what `uri` names with those of `cls.settings` that are not None.

        `size` is (width, height), `fps` frames per second, `fourcc` the four letters of a pixel
        format. Raises SourceError.
        """
        raise SourceError(f"source '{uri}' cannot be opened by its name")

    def give(self, pixel_format: PixelFormat) -> str:
        """Give pictures in the format `native` from now on; why that cannot be, or an empty text.

        `pixel_format` says whether it was.
        """
        return f"{self.name} gives no {pixel_format.name}, only {self.pixel_format.name}"

    @abstractmethod
    def read(self, out: Image) -> float | None:
        """Fill `out`, uint8 in `pixel_format` and of `size`, C-contiguous, with the next frame.

        Returns the frame's `time.perf_counter()` in seconds, or None at the end, when `out` is
        as it was. Raises SourceError.
        """

    def reopen(self) -> None:
        """Close and open again, from the start; `size` stays. Raises SourceError."""
        raise SourceError(f"{self.name} can be read only once")

    @abstractmethod
    def close(self) -> None:
        """Release the file or device; harmless when repeated."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
