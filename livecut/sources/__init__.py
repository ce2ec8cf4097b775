"""Sources of pictures, and `open_source`, which makes one from a word of the command line."""

from __future__ import annotations

import os
from pathlib import Path

import cv2

from livecut.errors import SourceError
from livecut.hardware import v4l2
from livecut.pictures import READABLE
from livecut.sources.base import Source
from livecut.sources.picture import Picture

DEMO = Path(__file__).parents[1] / "assets" / "demo.mp4"
SCHEMES = ("rtsp", "rtsps", "http", "https")
KINDS = (
    "a camera (0, 1, /dev/video0), a video or picture file, "
    "an rtsp:// or http:// stream, - (YUV4MPEG2 on standard input) or demo"
)


# OpenCV prints what is raised here as one line, and printing is the program's affair.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def open_source(
    uri: str,
    *,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    fourcc: str | None = None,
) -> Source:
    """Open what `uri` names: a camera, file, picture, stream, "-" or "demo".

    A camera's `uri` is its number, its device file or (on Linux) its name, as errors list it.

    `size`, (width, height), is asked of a camera, and what else there is gets scaled to it. `fps`
    and `fourcc`, the four letters of a pixel format, are asked of a camera; nothing else takes
    them. Raises SourceError.
    """
    if size is not None and min(size) < 1:
        raise SourceError(f"a size of {size[0]}x{size[1]} holds no picture")
    if _names_camera(uri):
        from livecut.sources.camera import Camera

        return Camera(uri, size=size, fps=fps, fourcc=fourcc)
    for option, value in (("--fps", fps), ("--fourcc", fourcc)):
        if value is not None:
            raise SourceError(f"{option} {value} can be asked of a camera only, not of {uri}")
    from livecut.sources.video import Pipe, Stream, VideoFile

    if uri == "-":
        return Pipe(size=size)
    if uri == "demo":
        return VideoFile(DEMO, size=size, name="demo")
    scheme, separator, _ = uri.partition("://")
    if separator:
        if scheme.lower() not in SCHEMES:
            raise SourceError(f"{scheme}:// is not a stream that livecut reads; give {KINDS}")
        return Stream(uri, size=size)
    path = Path(uri)
    if not os.path.exists(path):  # says no, where Path.exists would raise, to an overlong name
        raise SourceError(f"there is no file {uri!r}; give {KINDS}")
    if path.suffix.lower() in READABLE:
        return Picture(path, size=size)
    return VideoFile(path, size=size)


def _names_camera(uri: str) -> bool:
    if uri.isdecimal() or uri.startswith("/dev/"):
        return True
    if uri in ("-", "demo") or "://" in uri or os.path.exists(uri):
        return False
    return any(device.card == uri for device in v4l2.devices())
