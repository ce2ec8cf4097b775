"""Outputs, and `open_sink`, which makes one from a word of the command line."""

from __future__ import annotations

import os
from pathlib import Path

from livecut.errors import SinkError
from livecut.pictures import WRITABLE
from livecut.sinks.base import Sink
from livecut.sinks.null import Null
from livecut.sinks.picture import PictureFile, PictureFolder

VIDEOS = (".mp4", ".mov", ".mkv", ".webm")
_ALPHA_PICTURES = (".png", ".webp")
_ALPHA_VIDEOS = (".webm", ".mov")


def open_sink(
    uri: str,
    *,
    size: tuple[int, int],
    fps: float,
    transparent: bool = False,
    realtime: bool = False,
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
        from livecut.sinks.window import Window

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
        from livecut.sinks.web import Preview

        return Preview(uri, size)
    if device:
        from livecut.sinks.virtual import open_virtual

        return open_virtual(uri, size=size, fps=fps)
    if uri == "-":
        from livecut.sinks.pipe import Pipe

        return Pipe(size, fps, realtime=realtime)
    if folder:
        return PictureFolder(path, size, transparent=transparent)
    if suffix in VIDEOS:
        from livecut.sinks.video import VideoWriter

        return VideoWriter(path, size, fps, transparent=transparent, realtime=realtime)
    if suffix in WRITABLE:
        return PictureFile(path, size, transparent=transparent)
    raise SinkError(
        f"unknown output '{uri}'; known are window, virtual, /dev/videoN, http, a file ending in "
        f"{', '.join((*VIDEOS, *WRITABLE))}, a folder (ending in /), - (standard output) and null"
    )
