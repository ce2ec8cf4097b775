"""The interface of an output."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np

from livecut.errors import SinkError
from livecut.frame import BGR, Image, Output, PixelFormat, Size
from livecut.options import TITLE


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """The pictures that an output is to get."""

    size: Size
    """(width, height) in pixels."""
    fps: float
    """Nominal frames per second, above 0."""
    transparent: bool = False
    """Whether they are BGRA, else BGR."""
    realtime: bool = False
    """Whether they come at their own pace, so that their time stamps count."""
    title: str = TITLE
    """Title of a window, which no other window may have."""
    overwrite: bool = False
    """Whether files that are there already may be replaced."""
    sound: Path | None = None
    """The file that the pictures come from and whose sound goes with them, if any does."""


class Sink(ABC):
    """An output. `with` closes it; a half-written file is never left, whatever happens."""

    forms: ClassVar[Sequence[str]] = ()
    """Words that it takes, as examples: "virtual", "out.mp4"."""
    help: ClassVar[str] = ""
    """What the words name, for people, in lower case and without a full stop."""
    per_source: ClassVar[bool] = False
    """Whether one word is enough for several sources, each of which gets an output of its own."""
    name: str
    """Name for people: "out.mp4", "/dev/video10 (livecut)"."""
    paced = False
    """Whether it shows pictures in real time, so that a file is to be played at its own rate."""
    duplicated = 0
    """Number of pictures that were repeated to keep a constant rate."""
    hints: tuple[str, ...] = ()
    """Lines for the person who opens it: where to look, what to beware of."""
    pixel_format: PixelFormat | None = None
    """Format in which it takes pictures best; it always takes BGR, or BGRA where transparent."""
    whole = False
    """Whether the source was written to its end; set by the pipeline before `close`."""
    status: Callable[[], list[str]] = staticmethod(list[str])
    """Gives the run's figures in lines, for a sink that shows them; set by the pipeline."""
    on_main: Callable[[Callable[[], Any]], Any] = staticmethod(lambda job: job())
    """Does a job on the main thread, for a sink that may act only there, and gives its result; set
    by whoever writes from another thread."""

    @classmethod
    def accepts(cls, uri: str) -> bool:
        """Whether `uri`, a word of the command line, names this kind of output."""
        return uri in cls.forms

    @classmethod
    def holds_alpha(cls, uri: str) -> bool:
        """Whether the output that `uri` names can hold transparency."""
        return False

    @classmethod
    def target(cls, uri: str) -> Path | None:
        """The file or folder that the output named by `uri` writes; None where it writes none."""
        return None

    @classmethod
    def open(cls, uri: str, video: VideoInfo) -> Sink:
        """Open the output that `uri` names, for such pictures. Raises SinkError."""
        raise SinkError(f"output '{uri}' cannot be opened by its name")

    def __init__(self, name: str, size: Size, channels: Sequence[int] = (3,)) -> None:
        """`size` is (width, height) of the pictures, `channels` the numbers that they may have."""
        self.name, self._size = name, size
        self._shapes = [(size[1], size[0], c) for c in channels]

    @abstractmethod
    def write(self, output: Output) -> None:
        """Take one picture, and keep no reference to it. Raises SinkError."""

    def close(self) -> None:
        """Finish the file and release the device; may be called again. Raises SinkError."""
        return

    def abort(self) -> None:
        """Release everything after a failure of this sink, and leave nothing half-written."""
        self.close()

    def pressed(self) -> list[str]:
        """The names of the keys pressed since the last call; only a window has any."""
        return []

    def check(self, image: Image, pixel_format: PixelFormat = BGR) -> None:
        """Raise TypeError or ValueError for a picture other than those announced."""
        own = self.pixel_format is not None and pixel_format == self.pixel_format
        shapes = [pixel_format.shape(self._size)] if own else self._shapes
        if image.dtype != np.uint8:
            raise TypeError(f"{self.name}: got a picture of {image.dtype}, expected uint8")
        if image.shape not in shapes:
            expected = " or ".join(map(str, shapes))
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


def exact_rate(fps: float) -> Fraction:
    """The exact frame rate: 30000/1001 for 29.97002997."""
    return Fraction(fps).limit_denominator(1001)


def require_two_pixels(name: str, size: Size) -> None:
    """Raise SinkError for a picture that has nothing left once odd rows and columns are cut off."""
    if min(size) < 2:
        raise SinkError(f"{name}: {size[0]}x{size[1]} is too small; at least 2x2 is needed")
