"""An output that drops everything."""

from __future__ import annotations

from livecut.frame import Output, PixelFormat, Size
from livecut.sinks.base import Sink, VideoInfo


class Null(Sink):
    """Takes every picture and drops it, for measuring; fastest in `pixel_format`."""

    forms = ("null",)
    help = "nothing, for measuring"
    per_source = True

    def __init__(self, size: Size, pixel_format: PixelFormat | None = None) -> None:
        super().__init__("null", size, (3, 4))
        self.pixel_format = pixel_format

    @classmethod
    def holds_alpha(cls, uri: str) -> bool:
        return True

    @classmethod
    def open(cls, uri: str, video: VideoInfo) -> Null:
        return cls(video.size)

    def write(self, output: Output) -> None:
        self.check(output.image, output.pixel_format)
