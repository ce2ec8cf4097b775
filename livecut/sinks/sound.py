"""The sound of a video file, carried over into another one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer

if TYPE_CHECKING:
    from av.packet import Packet

    AnyPacket = Packet[Any]

SECOND = Fraction(1, av.time_base)
GAP = Fraction(1, 20)
"""Seconds by which sound has to be late or early to be moved; less is rounding of its times."""

RATE = 48_000
"""Samples per second where an encoder does not take as many as there are."""
LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
"""Places of the channels by their number: not every file names them."""
COPIED = {
    "mp4": ("aac", "mp3", "ac3", "eac3", "alac", "flac", "opus"),
    "mov": ("aac", "mp3", "ac3", "eac3", "alac", "pcm_"),
    "matroska": ("",),
    "webm": ("opus", "vorbis"),
}
"""Beginnings of the codecs that are copied into a container, by FFmpeg's name of it: those that
its players know, which is less than what FFmpeg would write."""


def copies(output: OutputContainer, codec: str) -> bool:
    """Whether sound of this codec is copied into this file."""
    return codec in output.supported_codecs and codec.startswith(COPIED[output.format.name])


class Sound:
    """All sound tracks of a file, with their languages, written beside the pictures made of it.

    A track is copied, byte for byte, where the container takes its codec; else it is encoded anew,
    as Opus in WebM and as AAC elsewhere. Times are in seconds from the start of the file, which is
    where `Source.position` counts from. What cannot be decoded is passed over, as players do.
    """

    def __init__(self, path: Path, output: OutputContainer) -> None:
        """Add the tracks to `output`, which has not begun yet. Raises FFmpegError and OSError."""
        self.left_out: list[str] = []
        """Codecs of tracks that can be neither copied nor decoded here."""
        self._output = output
        self._tracks: dict[int, _Track] = {}
        self._input: InputContainer = av.open(f"file:{path}")
        self._start = (self._input.start_time or 0) * SECOND
        for stream in self._input.streams.audio:
            track = _Track.of(stream, output, self._start)
            if track is None:
                self.left_out.append(stream.codec.name if stream.codec_context else "unknown")
            else:
                self._tracks[stream.index] = track
        self._packets = self._demux()
        self._pending: AnyPacket | None = None

    def carry(self, until: float = math.inf) -> None:
        """Write all that begins before `until` and was not written yet. Raises FFmpegError."""
        while packet := self._pending or next(self._packets, None):
            self._pending = packet
            if self._tracks[packet.stream.index].begins(packet) >= until:
                return
            self._pending = None
            for done in self._tracks[packet.stream.index].convert(packet):
                self._output.mux(done)

    def finish(self) -> None:
        """Write what the encoders still hold, and close the file. Raises FFmpegError."""
        for track in self._tracks.values():
            for done in track.flush():
                self._output.mux(done)
        self.close()

    def close(self) -> None:
        """Close the file that is read."""
        self._input.close()

    def _demux(self) -> Iterator[AnyPacket]:
        """The packets of the tracks that have a time, up to where the file ends or is damaged."""
        streams = [self._input.streams[index] for index in self._tracks]
        if not streams:
            return
        try:
            for packet in self._input.demux(streams):
                if packet.pts is not None and packet.dts is not None:
                    yield packet
        except av.FFmpegError:
            return


class _Track:
    """One track, copied; the base of one that is encoded anew."""

    def __init__(self, stream: AudioStream, out: AudioStream, start: Fraction) -> None:
        assert stream.time_base is not None
        self._time_base, self._out, self._start = stream.time_base, out, start
        self._last: int | None = None
        language = stream.metadata.get("language")
        out.metadata.clear()  # the rest may tell of devices and places
        out.metadata.update({"language": language} if language else {})

    @staticmethod
    def of(stream: AudioStream, output: OutputContainer, start: Fraction) -> _Track | None:
        """A track of `output` for a stream; None where nothing can be made of it."""
        if not stream.codec_context or stream.time_base is None:
            return None
        if copies(output, stream.codec.canonical_name):
            return _Track(stream, output.add_stream_from_template(stream), start)
        codec = "libopus" if output.format.name == "webm" else "aac"
        rates = av.Codec(codec, "w").audio_rates or [RATE]
        out = output.add_stream(codec, rate=stream.rate if stream.rate in rates else RATE)
        assert isinstance(out, AudioStream)
        out.layout = LAYOUTS.get(stream.channels, "stereo")
        return _Encoded(stream, out, start)

    def begins(self, packet: AnyPacket) -> float:
        """Seconds from the start of the file at which a packet is heard."""
        assert packet.pts is not None
        return float(packet.pts * self._time_base - self._start)

    def convert(self, packet: AnyPacket) -> Iterator[AnyPacket]:
        """The packets to write for one that was read; nothing for one that steps back in time."""
        assert packet.pts is not None
        assert packet.dts is not None
        if self._last is not None and packet.dts <= self._last:
            return
        self._last = packet.dts
        shift = round(self._start / self._time_base)
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        packet.stream = self._out
        yield packet

    def flush(self) -> Iterator[AnyPacket]:
        """The packets still to write at the end."""
        yield from ()


class _Encoded(_Track):
    """One track, decoded and encoded anew."""

    def __init__(self, stream: AudioStream, out: AudioStream, start: Fraction) -> None:
        super().__init__(stream, out, start)
        self._decoder = stream.codec_context
        self._due: int | None = None
        """Samples from the start of the file to the frame to come; None before the first."""

    def convert(self, packet: AnyPacket) -> Iterator[AnyPacket]:
        return self._encode(packet)

    def flush(self) -> Iterator[AnyPacket]:
        yield from self._encode(None)
        yield from self._out.encode(None)

    def _encode(self, packet: AnyPacket | None) -> Iterator[AnyPacket]:
        try:
            frames = self._decoder.decode(packet)
        except av.FFmpegError:
            return
        for frame in frames:
            step = Fraction(1, frame.sample_rate)
            if frame.pts is not None and frame.time_base:
                said = round((frame.pts * frame.time_base - self._start) / step)
                if self._due is None or abs(said - self._due) * step > GAP:
                    self._due = said
            frame.pts, frame.time_base = self._due or 0, step
            self._due = frame.pts + frame.samples
            yield from self._out.encode(frame)
