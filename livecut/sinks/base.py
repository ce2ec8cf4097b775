"""The interface of an output."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import numpy as np

from livecut.frame import BGR, Image, Output, PixelFormat


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
    pixel_format: PixelFormat | None = None
    """The form in which it takes pictures best; BGR, or BGRA where transparent, it takes in any case."""

    def __init__(self, name: str, size: tuple[int, int], channels: Sequence[int] = (3,)) -> None:
        """`size` is (width, height) of the pictures to come; `channels` how many they may have."""
        self.name, self._size = name, size
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

    def _check(self, image: Image, pixel_format: PixelFormat = BGR) -> None:
        """Raises TypeError or ValueError where it is not a picture that was announced."""
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
