"""Where pictures come from: `Source`, and `open_source`, which makes one from a word of the command line.

Pictures are here; what FFmpeg decodes is in video.py, cameras are in camera.py.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from livecut import v4l2
from livecut.errors import SourceError
from livecut.form import BGR, Form
from livecut.frame import Image, as_image

READABLE = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jp2", ".webp", ".avif", ".bmp", ".dib", ".tif", ".tiff"}
    | {".ppm", ".pgm", ".pbm", ".pnm"}
)
"""The endings, in lower case, of the files that are opened as pictures."""

DEMO = Path(__file__).parent / "assets" / "demo.mp4"
SCHEMES = ("rtsp", "rtsps", "http", "https")
KINDS = (
    "a camera (0, 1, /dev/video0), a video or picture file, "
    "an rtsp:// or http:// stream, - (YUV4MPEG2 on standard input) or demo"
)


# OpenCV prints what is raised here as one line, and printing is the program's affair.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class Source(ABC):
    """Gives pictures one by one, into buffers that belong to the caller."""

    name: str
    """For people: "living_room.mp4", "/dev/video0 (Integrated Camera)"."""
    live: bool
    """Frames come at their own pace, and an old one is worth nothing (a camera, a broadcast)."""
    size: tuple[int, int]
    """(width, height) in pixels of what `read` fills."""
    fps: float
    """Nominal frames per second, above 0."""
    frames: int | None
    """How many there are in all, as far as the source says; None where nobody knows."""
    description: str
    """The form in which the pictures come, for people: "1280x720 h264 30 fps"."""
    form: Form = BGR
    """Of what `read` fills."""
    native: Form | None = None
    """Another form in which it can give its pictures, without converting them."""

    def give(self, form: Form) -> str:
        """Give pictures in the form of `native` from now on; why that cannot be, empty where it can.

        `form` says whether it was.
        """
        return f"{self.name} gives no {form.name}, only {self.form.name}"

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
        from livecut.camera import Camera

        return Camera(uri, size=size, fps=fps, fourcc=fourcc)
    for option, value in (("--fps", fps), ("--fourcc", fourcc)):
        if value is not None:
            raise SourceError(f"{option} {value} can be asked of a camera only, not of {uri}")
    from livecut.video import Pipe, Stream, VideoFile

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


def read_picture(path: Path) -> Image:
    """The picture in a file, as uint8 BGR (H, W, 3), turned as its EXIF data says.

    Grey pictures become BGR, 16 bits become 8, an alpha channel is left out. Raises SourceError.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    if not data.size:
        raise SourceError(f"{path} is empty (0 bytes); give a picture")
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise SourceError(f"{path} is a picture that cannot be decoded: {error.err}") from error
    if image is None:
        raise SourceError(f"{path} is not a picture, or is damaged; give PNG, JPEG, WebP or TIFF")
    return as_image(image)


class Picture(Source):
    """A picture file: a source of one frame."""

    live = False
    fps = 30.0
    frames = 1

    def __init__(self, path: Path, *, size: tuple[int, int] | None = None) -> None:
        """Read `path` and scale it to `size`. Raises SourceError."""
        self.name = path.name
        image = read_picture(path)
        height, width = image.shape[:2]
        self.description = f"{width}x{height} picture"
        self.size = size or (width, height)
        if self.size != (width, height):
            smaller = self.size[0] * self.size[1] < width * height
            interpolation = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
            image = as_image(cv2.resize(image, self.size, interpolation=interpolation))
        self._image = image
        self._shown = False

    def read(self, out: Image) -> float | None:
        if self._shown:
            return None
        self._shown = True
        np.copyto(out, self._image)
        return time.perf_counter()

    def reopen(self) -> None:
        self._shown = False

    def close(self) -> None:
        self._shown = True
