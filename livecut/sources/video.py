"""Video files, streams, and YUV4MPEG2 on standard input, decoded by FFmpeg through PyAV."""

from __future__ import annotations

import os
import sys
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from io import FileIO
from pathlib import Path
from typing import Any, ClassVar

import av
import cv2
import numpy as np
from av.error import ExitError, FFmpegError, InvalidDataError
from av.video.reformatter import Colorspace, VideoReformatter

from livecut.errors import SourceError
from livecut.files import UNFINISHED
from livecut.frame import Image, taken_as_bt709
from livecut.sources.base import Source
from livecut.sources.constant import ConstantRate
from livecut.urls import public_url

UNSPECIFIED = (
    2  # FFmpeg's colour space of pictures that do not name theirs; PyAV has no name for it
)
OLD = int(av.__version__.partition(".")[0]) < 19
LENIENT: dict[str, Any] = {"metadata_errors": "replace"} if OLD else {}
"""Options that let a video pass whose title is no UTF-8; since PyAV 19 all of them pass."""
HDR = {16: "PQ", 18: "HLG"}
"""FFmpeg's numbers of the transfer curves whose brightest white is not that of a screen."""
MILLISECOND = Fraction(1, 1000)
TIMEOUT = 5.0
"""Seconds that a stream may be silent."""
SCHEMES = ("rtsp", "rtsps", "http", "https")
DEMO = Path(__file__).parents[1] / "assets" / "demo.mp4"
TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


class _Video(Source):
    """The base of files, streams and pipes."""

    realtime = False

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
    _timeout = TIMEOUT
    _first: Fraction | None = None
    """Seconds of the first frame, where its times are not exact."""

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
        self.realtime = self.realtime and self._container.duration is None
        # Decoding frames in parallel delays each of them, which a live picture cannot afford, and
        # where cores are few it takes them from the network.
        ahead = not self.realtime and (os.cpu_count() or 1) > 4
        stream.thread_type = "AUTO" if ahead else "SLICE"
        self._stream = stream
        self._packets = self._container.demux(stream)
        first = self._next()
        if first is None:
            raise SourceError(f"{self.name} holds no picture that can be decoded")
        curve = stream.codec_context.color_trc
        if curve in HDR:
            raise SourceError(
                f"{self.name} is HDR ({HDR[curve]}), whose colours livecut cannot show "
                "right; convert it to BT.709 by tone mapping first, or film without HDR"
            )
        self._decoded.appendleft(first)
        self._first = None
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
        due = self._due()
        if due is None:
            return None
        timestamp = time.perf_counter()
        frame, self.position = due
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

    def _due(self) -> tuple[av.VideoFrame, float | None] | None:
        """The frame to give now, and its `position`; None at the end."""
        frame = self._next()
        return None if frame is None else (frame, self._position(frame))

    def _position(self, frame: av.VideoFrame) -> float | None:
        """Seconds since the start of the file; where it counts in ms, at its own rate's times."""
        if frame.pts is None or frame.time_base is None or self._container is None:
            return None
        seconds = frame.pts * frame.time_base
        seconds -= Fraction(self._container.start_time or 0, av.time_base)
        rate = self._stream.average_rate
        if rate and frame.time_base >= MILLISECOND:
            self._first = seconds if self._first is None else self._first
            exact = self._first + round((seconds - self._first) * rate) / rate
            if abs(exact - seconds) <= MILLISECOND / 2 + Fraction(1, av.time_base):
                return float(exact)
        return float(seconds)

    def reopen(self) -> None:
        self.close()
        self._start()

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None
            self._decoded.clear()

    def _failure(self, error: FFmpegError) -> SourceError:
        """An error of FFmpeg in plain words."""
        if isinstance(error, ExitError):
            return self._silence()
        if isinstance(error, InvalidDataError):
            return SourceError(f"{self.name} is not a video that livecut can read, or is damaged")
        return SourceError(f"{self.name} cannot be read: {error.strerror}")

    def _silence(self) -> SourceError:
        return SourceError(f"{self.name} sent nothing for {self._timeout:g} s; is it running?")


class VideoFile(_Video):
    """A video file; its sound is for an output to carry over. `reopen` starts it again."""

    forms: ClassVar[Sequence[str]] = ("clip.mp4",)
    help: ClassVar[str] = "a video, of any kind that FFmpeg reads"
    settings = ("size", "fps")

    def __init__(
        self,
        path: Path,
        *,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        name: str | None = None,
    ) -> None:
        """Open `path`, scaled to `size`; `name` is what people are told.

        With `fps` it has that constant rate: frames are repeated or left out. Raises SourceError.
        """
        self.path: Path = path
        self.sound = path
        self._rate = Fraction(fps).limit_denominator(1001) if fps else None
        super().__init__(name or path.name, size)

    def _start(self) -> None:
        super()._start()
        self._constant: ConstantRate[av.VideoFrame] | None = None
        self._seconds, self._stay = 0.0, 1 / self.fps
        if self._rate is not None:
            rate = float(self._rate)
            self.frames = self.frames and max(1, round(self.frames * rate / self.fps))
            self.fps = rate
            self.description += f", brought to {rate:.4g} fps"

    def _timed(self) -> tuple[av.VideoFrame, float] | None:
        """The next frame of the file with its seconds; the frame before's where it has none."""
        frame = self._next()
        if frame is None:
            return None
        position = self._position(frame)
        self._seconds = self._seconds if position is None else position
        return frame, self._seconds

    def _due(self) -> tuple[av.VideoFrame, float | None] | None:
        if self._rate is None:
            return super()._due()
        self._constant = self._constant or ConstantRate(self._timed, self._rate, self._stay)
        return self._constant.next()

    @classmethod
    def accepts(cls, uri: str) -> bool:
        # os.path.exists says no to an overlong name, for which Path.exists would raise.
        return "://" not in uri and os.path.exists(uri)

    @classmethod
    def open(cls, uri: str, **settings: Any) -> VideoFile:
        return cls(Path(uri), **settings)

    def _connect(self) -> av.container.InputContainer:
        if self.path.suffix == UNFINISHED:
            raise SourceError(
                f"{self.path} is unfinished: a run still writes it, or did not end; to read what "
                "there is of it, rename it"
            )
        if self.path.is_dir():
            raise SourceError(f"{self.path} is a folder; give one video or picture file")
        try:
            if not self.path.stat().st_size:
                raise SourceError(f"{self.path} is empty (0 bytes); give a video")
        except OSError as error:
            raise SourceError(f"{self.path} cannot be read: {error.strerror}") from error
        # The scheme keeps FFmpeg from taking a colon in the name for another protocol's.
        found: av.container.InputContainer = av.open(f"file:{self.path}", **LENIENT)
        return found


class Demo(VideoFile):
    """The clip that comes with livecut."""

    forms = ("demo",)
    help = "the clip that comes with livecut"

    @classmethod
    def accepts(cls, uri: str) -> bool:
        return uri == "demo"

    @classmethod
    def open(cls, uri: str, **settings: Any) -> Demo:
        return cls(DEMO, name="demo", **settings)


class Stream(_Video):
    """A stream from the network.

    It is real-time unless it says how long it is, as a file on a server does.
    """

    forms = ("rtsp://HOST/PATH", "http://HOST/PATH")
    help = "a stream"
    realtime = True

    def __init__(
        self, url: str, *, size: tuple[int, int] | None = None, timeout: float = TIMEOUT
    ) -> None:
        """Connect to `url` and scale to `size`; `timeout` seconds of silence are too long.

        Raises SourceError.
        """
        self._url, self._timeout = url, timeout
        super().__init__(public_url(url), size)

    @classmethod
    def accepts(cls, uri: str) -> bool:
        scheme, separator, _ = uri.partition("://")
        return bool(separator) and scheme.lower() in SCHEMES

    @classmethod
    def open(cls, uri: str, **settings: Any) -> Stream:
        return cls(uri, **settings)

    def _connect(self) -> av.container.InputContainer:
        options = {"analyzeduration": "1000000"}  # µs
        if self._url.lower().startswith("rtsp"):
            options["rtsp_transport"] = "tcp"
        start = time.monotonic()
        try:
            found: av.container.InputContainer = av.open(
                self._url, options=options, timeout=(self._timeout, self._timeout), **LENIENT
            )
        except FFmpegError as error:
            if time.monotonic() - start < self._timeout:
                raise
            raise self._silence() from error  # FFmpeg's own name for it differs by protocol
        return found


class Pipe(_Video):
    """YUV4MPEG2 on standard input, as `ffmpeg -f yuv4mpegpipe -` and `livecut run -o -` write."""

    forms = ("-",)
    help = "YUV4MPEG2 on standard input"

    def __init__(self, *, size: tuple[int, int] | None = None) -> None:
        """Read standard input's header, scale to `size`. Raises SourceError."""
        super().__init__("standard input", size)

    @classmethod
    def open(cls, uri: str, **settings: Any) -> Pipe:
        return cls(**settings)

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
