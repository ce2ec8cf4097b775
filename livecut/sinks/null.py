"""An output that drops everything."""

from __future__ import annotations

from livecut.frame import Output, PixelFormat
from livecut.sinks.base import Sink


class Null(Sink):
    """Takes every picture and drops it: for measuring; best in `form`."""

    def __init__(self, size: tuple[int, int], pixel_format: PixelFormat | None = None) -> None:
        super().__init__("null", size, (3, 4))
        self.pixel_format = pixel_format

    def write(self, output: Output) -> None:
        self._check(output.image, output.pixel_format)
