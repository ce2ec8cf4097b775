"""Where pictures come from: video files, pictures, streams and pipes; cameras are in camera.py."""

from __future__ import annotations

import os
import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import av
import cv2
import numpy as np
from av.error import ExitError, FFmpegError, InvalidDataError
from av.video.reformatter import Colorspace, VideoReformatter

from livecut import v4l2
from livecut.errors import SourceError
from livecut.frame import Image, as_image, taken_as_bt709

PICTURES = frozenset(
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
UNSPECIFIED = (
    2  # FFmpeg's colour space of pictures that do not name theirs; PyAV has no name for it
)
TIMEOUT = 5.0  # seconds that a stream may be silent
TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


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

    @abstractmethod
    def read(self, out: Image) -> float | None:
        """Fill `out`, uint8 BGR (H, W, 3) of `size`, C-contiguous, with the next frame.

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
    if path.suffix.lower() in PICTURES:
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


class _Video(Source):
    """What FFmpeg decodes, by way of PyAV: the base of files, streams and pipes."""

    live = False

    def __init__(self, name: str, size: tuple[int, int] | None) -> None:
        self.name = name
        self._scaler = VideoReformatter()
        self._decoded: deque[av.VideoFrame] = deque()
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        self.size = size or self._natural()
        if self.size != self._natural():
            self.description += f", scaled to {self.size[0]}x{self.size[1]}"

    _container: av.container.InputContainer | None = None

    @abstractmethod
    def _connect(self) -> av.container.InputContainer:
        """Open what there is to decode. Raises FFmpegError."""

    def _start(self) -> None:
        """Open, and decode the first picture: no header tells its size and turn as reliably."""
        try:
            self._container = self._connect()
            stream = self._container.streams.best("video")
        except FFmpegError as error:
            raise self._failure(error) from error
        if not isinstance(stream, av.video.VideoStream):
            raise SourceError(f"{self.name} has no pictures in it, only sound or data")
        self.live = self.live and self._container.duration is None
        # Decoding frames in parallel delays each of them, which a live picture cannot afford, and
        # where cores are few it takes them from the network.
        ahead = not self.live and (os.cpu_count() or 1) > 4
        stream.thread_type = "AUTO" if ahead else "SLICE"
        self._stream = stream
        self._packets = self._container.demux(stream)
        first = self._next()
        if first is None:
            raise SourceError(f"{self.name} holds no picture that can be decoded")
        self._decoded.appendleft(first)
        self.fps = float(stream.average_rate or stream.guessed_rate or 30)
        self.frames = self._count()
        width, height = self._natural()
        codec = stream.codec_context.name
        self.description = f"{width}x{height} {codec} {self.fps:.4g} fps"

    def _natural(self) -> tuple[int, int]:
        """(width, height) of the frame to come, the right way up."""
        frame = self._decoded[0]
        turned = frame.rotation % 180 == 90
        return (frame.height, frame.width) if turned else (frame.width, frame.height)

    def _count(self) -> int | None:
        """The number of frames by the header, or by duration and rate where it is not there."""
        stream, container = self._stream, self._container
        if stream.frames:
            return stream.frames
        if stream.duration and stream.time_base:
            return max(1, round(stream.duration * stream.time_base * self.fps))
        if container and container.duration:
            return max(1, round(container.duration / av.time_base * self.fps))
        return None

    def _next(self) -> av.VideoFrame | None:
        """The next frame, None at the end; damaged packets are passed over, as players do."""
        damaged = 0
        while not self._decoded:
            if self._container is None:
                raise SourceError(f"{self.name} is closed")
            try:
                packet = next(self._packets)
            except StopIteration:
                return None
            except InvalidDataError:
                damaged += 1
                if damaged > 100:
                    return None
                self._packets = self._container.demux(self._stream)
                continue
            except FFmpegError as error:
                raise self._failure(error) from error
            try:
                self._decoded.extend(f for f in packet.decode() if isinstance(f, av.VideoFrame))
            except FFmpegError:
                continue
        return self._decoded.popleft()

    def read(self, out: Image) -> float | None:
        frame = self._next()
        if frame is None:
            return None
        timestamp = time.perf_counter()
        turn = TURNS.get(frame.rotation % 360)
        width, height = self.size
        if frame.rotation % 180 == 90:
            width, height = height, width
        # What does not say how its colours are coded is taken as players take it: by its size.
        unsaid = frame.colorspace == UNSPECIFIED
        large = taken_as_bt709(frame.width, frame.height)
        scaled = self._scaler.reformat(
            frame,
            width=width,
            height=height,
            format="bgr24",
            src_colorspace=Colorspace.ITU709 if unsaid and large else None,
        )
        plane = scaled.planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(height, plane.line_size)  # type: ignore[call-overload]
        image = rows[:, : width * 3].reshape(height, width, 3)
        if turn is None:
            np.copyto(out, image)
        else:
            cv2.rotate(image, turn, dst=out)
        return timestamp

    def reopen(self) -> None:
        self.close()
        self._start()

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None
            self._decoded.clear()

    def _failure(self, error: FFmpegError) -> SourceError:
        """What a person is told of an error of FFmpeg."""
        if isinstance(error, ExitError):
            return self._silence()
        if isinstance(error, InvalidDataError):
            return SourceError(f"{self.name} is not a video that livecut can read, or is damaged")
        return SourceError(f"{self.name} cannot be read: {error.strerror}")

    def _silence(self) -> SourceError:
        return SourceError(f"{self.name} sent nothing for {TIMEOUT:g} s; is it running?")


class VideoFile(_Video):
    """A video file; its sound is left out. `reopen` starts it again."""

    def __init__(
        self, path: Path, *, size: tuple[int, int] | None = None, name: str | None = None
    ) -> None:
        """Open `path`, scaled to `size`; `name` is what people are told. Raises SourceError."""
        self._path = path
        super().__init__(name or path.name, size)

    def _connect(self) -> av.container.InputContainer:
        if self._path.is_dir():
            raise SourceError(f"{self._path} is a folder; give one video or picture file")
        try:
            if not self._path.stat().st_size:
                raise SourceError(f"{self._path} is empty (0 bytes); give a video")
        except OSError as error:
            raise SourceError(f"{self._path} cannot be read: {error.strerror}") from error
        # The scheme keeps FFmpeg from taking a colon in the name for another protocol's.
        return av.open(f"file:{self._path}", metadata_errors="replace")


class Stream(_Video):
    """A stream from the network; `live` unless it says how long it is, as a file on a server does."""

    live = True

    def __init__(self, url: str, *, size: tuple[int, int] | None = None) -> None:
        """Connect to `url` within 5 s, scale to `size`. Raises SourceError."""
        self._url = url
        parts = urlsplit(url)
        shown = parts._replace(netloc=parts.netloc.rpartition("@")[2])  # no password on a screen
        super().__init__(shown.geturl(), size)

    def _connect(self) -> av.container.InputContainer:
        options = {"analyzeduration": "1000000"}  # µs
        if self._url.lower().startswith("rtsp"):
            options["rtsp_transport"] = "tcp"
        start = time.monotonic()
        try:
            return av.open(
                self._url, options=options, timeout=(TIMEOUT, TIMEOUT), metadata_errors="replace"
            )
        except FFmpegError as error:
            if time.monotonic() - start < TIMEOUT:
                raise
            raise self._silence() from error  # FFmpeg's own name for it differs by protocol


class Pipe(_Video):
    """YUV4MPEG2 on standard input, as `ffmpeg -f yuv4mpegpipe -` and `livecut run -o -` write."""

    def __init__(self, *, size: tuple[int, int] | None = None) -> None:
        """Read standard input's header, scale to `size`. Raises SourceError."""
        super().__init__("standard input", size)

    def _connect(self) -> av.container.InputContainer:
        if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
            raise SourceError(
                "nothing is piped into standard input; try: ffmpeg -i FILE -f yuv4mpegpipe - "
                "| livecut run -"
            )
        # Unbuffered, or a frame would wait for the first bytes of the one after it.
        pipe = FileIO(sys.stdin.fileno(), closefd=False)
        try:
            return av.open(pipe, "r", format="yuv4mpegpipe")
        except FFmpegError as error:
            raise SourceError(
                "standard input is not YUV4MPEG2; try: ffmpeg -i FILE -f yuv4mpegpipe - "
                "| livecut run -"
            ) from error

    def reopen(self) -> None:
        raise SourceError("standard input can be read only once")
