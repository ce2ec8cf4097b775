"""The interface of a source of pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from livecut.errors import SourceError
from livecut.frame import BGR, Image, PixelFormat


class Source(ABC):
    """Gives pictures one by one, into buffers that belong to the caller."""

    name: str
    """For people: "living_room.mp4", "/dev/video0 (Integrated Camera)"."""
    realtime: bool
    """Frames come at their own pace, and an old one is worth nothing (a camera, a broadcast)."""
    size: tuple[int, int]
    """(width, height) in pixels of what `read` fills."""
    fps: float
    """Nominal frames per second, above 0."""
    frames: int | None
    """How many there are in all, as far as the source says; None where nobody knows."""
    description: str
    """The form in which the pictures come, for people: "1280x720 h264 30 fps"."""
    pixel_format: PixelFormat = BGR
    """Of what `read` fills."""
    native: PixelFormat | None = None
    """Another form in which it can give its pictures, without converting them."""

    def give(self, pixel_format: PixelFormat) -> str:
        """Give pictures in the form of `native` from now on; why that cannot be, empty where it can.

        `form` says whether it was.
        """
        return f"{self.name} gives no {pixel_format.name}, only {self.pixel_format.name}"

    @abstractmethod
    def read(self, out: Image) -> float | None:
        """Fill `out`, uint8 in the form of `form` and of `size`, C-contiguous, with the next frame.

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
