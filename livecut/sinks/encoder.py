"""Video encoders, by PyAV."""

from __future__ import annotations

import contextlib
import math
from fractions import Fraction
from pathlib import Path

import av
from av.video.reformatter import (
    ColorPrimaries,
    ColorRange,
    Colorspace,
    ColorTrc,
    Interpolation,
    VideoReformatter,
)
from av.video.stream import VideoStream

from livecut.frame import Output
from livecut.sinks.sound import Sound

ERRORS = (OSError, av.FFmpegError)
"""Exceptions that an Encoder raises."""

_CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
_COLORSPACE_BT709 = 1  # FFmpeg's number for a stream's tag; Colorspace.ITU709 is swscale's
_H264 = {"preset": "veryfast", "crf": "20"}
# Without "realtime" VP9 takes seconds per picture.
_VP9 = {"deadline": "realtime", "cpu-used": "7", "row-mt": "1", "crf": "28"}
# One quantiser throughout (4, in FFmpeg's steps of 118): its rate control is five times as slow.
_PRORES = {"profile": "4444", "vendor": "apl0", "flags": "+qscale", "global_quality": "472"}


class Encoder:
    """One video file being written. All methods raise one of ERRORS."""

    def __init__(
        self,
        path: Path,
        suffix: str,
        size: tuple[int, int],
        rate: Fraction,
        time_base: Fraction,
        *,
        transparent: bool,
        sound: Path | None = None,
    ) -> None:
        """Open `path` in the format that `suffix` names, for pictures cut to `size`.

        `rate` is frames per second as the file states it, `time_base` the seconds of one step of
        the times given to `encode`. `sound` is a file whose sound goes along.
        """
        if suffix == ".webm":
            codec, options = "libvpx-vp9", _VP9
            self._pixels = "yuva420p" if transparent else "yuv420p"
        elif transparent:
            codec, options, self._pixels = "prores_ks", _PRORES, "yuva444p10le"
        else:
            codec = "libx264" if "libx264" in av.codecs_available else "h264"
            options, self._pixels = _H264, "yuv420p"
        self._size, self._time_base = size, time_base
        self._input = "bgra" if transparent else "bgr24"
        self._reformat = VideoReformatter().reformat
        # "file:" keeps FFmpeg from taking a colon in the name for a protocol; "faststart" puts the
        # index in front, so that a browser can begin to play at once.
        self._container = av.open(
            f"file:{path}",
            "w",
            format=_CONTAINERS[suffix],
            container_options={"movflags": "+faststart"} if suffix in (".mp4", ".mov") else {},
        )
        stream = self._container.add_stream(codec, rate=rate, options=options)
        assert isinstance(stream, VideoStream)
        self._stream = stream
        context = stream.codec_context
        context.width, context.height = size
        context.pix_fmt = self._pixels
        context.time_base = time_base
        context.bit_rate = 0
        context.thread_count = 0
        context.colorspace = _COLORSPACE_BT709
        context.color_range = ColorRange.MPEG
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        self._sound: Sound | None = None
        self.left_out: list[str] = []
        """Codecs of sound that cannot be carried over."""
        if sound is not None:
            self._sound = Sound(sound, self._container)
            self.left_out = self._sound.left_out
        self._end, self._duration = 0.0, round(1 / rate / time_base)
        self._container.start_encoding()

    def encode(self, output: Output, pts: int) -> None:
        """Add a BGR, BGRA or I420 (BT.709) picture at the time `pts`, in steps of the time base."""
        width, height = self._size
        if output.pixel_format.name == "I420":
            frame = av.VideoFrame.from_ndarray(
                output.image, "yuv420p"
            )  # a copy: the encoder keeps it
            frame.colorspace, frame.color_range = Colorspace.ITU709, ColorRange.MPEG
        else:
            frame = self._reformat(
                av.VideoFrame.from_numpy_buffer(output.image[:height, :width], self._input),
                format=self._pixels,
                interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND,
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
            )
        frame.pts, frame.time_base = pts, self._time_base
        frame.duration = self._duration
        self._container.mux(self._stream.encode(frame))
        self._end = float((pts + self._duration) * self._time_base)
        if self._sound is not None:
            self._sound.carry(float(pts * self._time_base))

    def finish(self, *, whole: bool) -> None:
        """Write what the encoder still holds, the sound to its end where `whole`, and the index.

        Else the sound ends with the last picture.
        """
        self._container.mux(self._stream.encode(None))
        if self._sound is not None:
            self._sound.carry(math.inf if whole else self._end)
            self._sound.finish()
        self._container.close()

    def abort(self) -> None:
        """Close the file in whatever state it is."""
        if self._sound is not None:
            self._sound.close()
        with contextlib.suppress(*ERRORS):
            self._container.close()
