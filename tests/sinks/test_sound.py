"""Sound and time stamps go from a video file into a video file."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from livecut.frame import Output
from livecut.pipeline.pipeline import Pipeline
from livecut.sinks import open_sink
from livecut.sources import open_source
from livecut.testing import FakeEngine, room_picture
from tests.clips import flat, write
from tests.commands.test_cli import run

RATE = 48_000
CLICK = 0.6
"""Seconds at which the sound of each clip has its only loud sample run."""


def film(
    path: Path,
    codec: str,
    *,
    times: list[float] | None = None,
    seconds: float = 1.2,
    tracks: int = 1,
    channels: str = "mono",
    rate: int = RATE,
) -> Path:
    """A film of 30 pictures a second, or at `times`, with silence and one click in each track."""
    times = times if times is not None else [n / 30 for n in range(30)]
    with av.open(path, "w") as container:
        video = container.add_stream("libvpx" if path.suffix == ".webm" else "libx264", 30)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = Fraction(1, 90_000)
        sounds = [container.add_stream(codec, rate=rate) for _ in range(tracks)]
        for number, sound in enumerate(sounds):
            assert isinstance(sound, av.AudioStream)
            sound.layout = channels
            sound.metadata["language"] = ("eng", "deu")[number]
            sound.metadata["title"] = "recorded at home"
        for time in times:
            picture = av.VideoFrame.from_ndarray(room_picture(), "bgr24")
            picture.pts, picture.time_base = round(time * 90_000), Fraction(1, 90_000)
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        wave = np.zeros(round(seconds * rate), np.float32)
        wave[round(CLICK * rate) : round(CLICK * rate) + rate // 100] = 0.9
        for sound in sounds:
            assert isinstance(sound, av.AudioStream)
            for start in range(0, len(wave), 1000):
                part = wave[start : start + 1000]
                count = sound.layout.nb_channels
                frame = av.AudioFrame.from_ndarray(np.tile(part, (count, 1)), "fltp", channels)
                frame.sample_rate, frame.pts = rate, start
                frame.time_base = Fraction(1, rate)
                container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
    return path


def convert(source: Path, out: Path, **options: Any) -> Path:
    Pipeline(str(source), "#000000", [str(out)], engine=FakeEngine(), **options).run()
    return out


def times_of(path: Path) -> list[float]:
    with av.open(path) as container:
        return [float(frame.time or 0) for frame in container.decode(video=0)]


def clicks(path: Path) -> list[float]:
    """Seconds from the first picture to the click, in each track."""
    first, found = times_of(path)[0], list[float]()
    with av.open(path) as container:
        count = len(container.streams.audio)
    for track in range(count):
        with av.open(path) as container:
            at = math.nan
            for frame in container.decode(audio=track):
                samples = np.abs(frame.to_ndarray().astype(np.float64)).reshape(-1)
                step = frame.layout.nb_channels if not frame.format.is_planar else 1
                samples = samples[::step][: frame.samples]
                if frame.format.name.startswith("s"):
                    samples /= 2.0 ** (8 * frame.format.bytes - 1)
                loud = np.flatnonzero(samples > 0.4)
                if len(loud) and math.isnan(at):
                    at = float(frame.time or 0) + int(loud[0]) / frame.sample_rate
            found.append(at - first)
    return found


def packets(path: Path, track: int = 0) -> list[bytes]:
    with av.open(path) as container:
        return [bytes(p) for p in container.demux(audio=track) if p.size]


def codecs(path: Path) -> list[str]:
    with av.open(path) as container:
        return [s.codec.canonical_name for s in container.streams.audio]


def end(path: Path) -> float:
    """Seconds from the first picture to the end of the sound."""
    with av.open(path) as container:
        frames = list(container.decode(audio=0))
    last = frames[-1]
    return float(last.time or 0) + last.samples / last.sample_rate - times_of(path)[0]


@pytest.mark.parametrize(
    ("name", "codec", "out"),
    [
        ("a.mp4", "aac", "b.mp4"),
        ("a.mp4", "aac", "b.mov"),
        ("a.mp4", "aac", "b.mkv"),
        ("a.mkv", "libmp3lame", "b.mp4"),
        ("a.mkv", "flac", "b.mp4"),
        ("a.mov", "pcm_s16le", "b.mov"),
        ("a.mov", "pcm_s16le", "b.mkv"),
        ("a.webm", "libopus", "b.webm"),
        ("a.webm", "libopus", "b.mp4"),
    ],
)
def test_sound_is_copied_byte_for_byte_and_in_sync(
    name: str, codec: str, out: str, tmp_path: Path
) -> None:
    source = film(tmp_path / name, codec)
    made = convert(source, tmp_path / out)
    assert codecs(made) == codecs(source)
    assert b"".join(packets(made)) == b"".join(packets(source))
    assert clicks(made) == pytest.approx(clicks(source), abs=0.002)
    assert len(times_of(made)) == 30


@pytest.mark.parametrize(
    ("name", "codec", "out", "expected"),
    [
        ("a.mp4", "aac", "b.webm", "opus"),
        ("a.mov", "pcm_s16le", "b.mp4", "aac"),
        ("a.webm", "libopus", "b.mov", "aac"),
        ("a.mkv", "flac", "b.webm", "opus"),
    ],
)
@pytest.mark.parametrize(("channels", "rate"), [("mono", 48_000), ("stereo", 44_100)])
def test_sound_that_the_container_does_not_take_is_encoded(
    name: str, codec: str, out: str, expected: str, channels: str, rate: int, tmp_path: Path
) -> None:
    if codec == "libopus":
        rate = RATE
    source = film(tmp_path / name, codec, channels=channels, rate=rate)
    made = convert(source, tmp_path / out)
    assert codecs(made) == [expected]
    assert clicks(made) == pytest.approx(clicks(source), abs=0.01)
    assert end(made) == pytest.approx(end(source), abs=0.06)


def test_times_and_sound_of_a_variable_rate_stay(tmp_path: Path) -> None:
    """As a phone films: the pauses between the pictures differ, and one is long."""
    pauses = np.random.default_rng(3).integers(20, 60, 20) / 1000
    times = [0.0, *np.cumsum(pauses).tolist()]
    times = [*times[:10], *(time + 0.4 for time in times[10:])]
    source = film(tmp_path / "a.mp4", "aac", times=times, seconds=1.6)
    assert times_of(source) == pytest.approx(times, abs=1e-4)
    for name, exact in (("b.mp4", 2e-5), ("b.mkv", 1e-3), ("b.webm", 1e-3)):
        made = times_of(convert(source, tmp_path / name))
        assert np.subtract(made, made[0]) == pytest.approx(times, abs=exact), name
        assert clicks(tmp_path / name) == pytest.approx(clicks(source), abs=0.01)


@pytest.mark.parametrize("fps", [15.0, 24.0, 30.0, 60.0, 29.97])
def test_variable_rate_becomes_constant_when_told(fps: float, tmp_path: Path) -> None:
    """Each picture is the newest that is due; the sound stays where it was."""
    times = [0.0, 0.05, 0.11, 0.12, 0.2, 0.5, 0.52, 0.9]
    source = film(tmp_path / "a.mp4", "aac", times=times)
    shown = list[float]()
    with open_source(str(source), fps=fps) as opened:
        out = np.empty((48, 64, 3), np.uint8)
        while opened.read(out) is not None:
            assert opened.position is not None
            shown.append(opened.position)
        assert opened.fps == pytest.approx(fps, abs=1e-3)
    rate = Fraction(fps).limit_denominator(1001)
    assert shown == pytest.approx([float(n / rate) for n in range(len(shown))])
    assert 0.9 <= shown[-1] + 1 / fps <= 1.1
    with open_source(str(source), fps=fps) as opened:
        made = tmp_path / "b.mp4"
        with open_sink(str(made), size=(64, 48), fps=opened.fps, sound=opened.sound) as sink:
            Pipeline(opened, "#000000", [sink], engine=FakeEngine()).run()
    with av.open(made) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == rate
        pts = sorted(p.pts for p in container.demux(stream) if p.pts is not None)
        assert stream.time_base is not None
        assert [n * stream.time_base for n in pts] == [n / rate for n in range(len(shown))]
    assert packets(made) == packets(source)
    assert clicks(made) == pytest.approx(clicks(source), abs=0.002)


def test_constant_rate_stays_exact(tmp_path: Path) -> None:
    """Also from Matroska, which counts in milliseconds."""
    step = Fraction(1001, 30_000)
    first = tmp_path / "a.mkv"
    with open_sink(str(first), size=(64, 48), fps=float(1 / step)) as sink:
        for index in range(40):
            sink.write(Output(room_picture(), None, index, 0.0))
    for source, name in ((first, "b.mp4"), (tmp_path / "b.mp4", "c.mp4")):
        with av.open(convert(source, tmp_path / name)) as container:
            stream = container.streams.video[0]
            assert stream.average_rate == stream.base_rate == 1 / step
            assert stream.time_base is not None
            pts = sorted(p.pts for p in container.demux(stream) if p.pts is not None)
            assert [n * stream.time_base for n in pts] == [n * step for n in range(40)]


def test_every_track_comes_with_its_language_and_nothing_else(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mkv", "aac", tracks=2)
    for name in ("b.mkv", "b.webm", "b.mp4"):
        made = convert(source, tmp_path / name)
        with av.open(made) as container:
            languages = [s.metadata.get("language") for s in container.streams.audio]
            assert languages == ["eng", "deu"]
            assert "home" not in str([s.metadata for s in container.streams])
        assert b"recorded at home" not in made.read_bytes()
        assert clicks(made) == pytest.approx(clicks(source), abs=0.01)


def test_sound_that_is_longer_than_the_pictures_is_kept(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", "aac", seconds=4)
    made = convert(source, tmp_path / "b.mp4")
    assert packets(made) == packets(source)


@pytest.mark.parametrize("out", ["b.mp4", "b.webm"])
def test_sound_ends_with_a_run_that_is_ended_early(out: str, tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", "aac")
    made = convert(source, tmp_path / out, max_frames=24)
    assert len(times_of(made)) == 24
    assert end(made) == pytest.approx(24 / 30, abs=0.06)
    assert clicks(made) == pytest.approx(clicks(source), abs=0.01)


def test_no_sound_when_told_so_and_where_there_is_none(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", "aac")
    assert codecs(convert(source, tmp_path / "b.mp4", no_sound=True)) == []
    silent = write(tmp_path / "silent.mp4", [flat((64, 48), (200, 60, 40))] * 5)
    assert codecs(convert(silent, tmp_path / "c.mp4")) == []
    done = run("run", source, "-b", "green", "-o", tmp_path / "d.mp4", "--no-sound")
    assert done.returncode == 0, done.stderr
    assert codecs(tmp_path / "d.mp4") == []
    done = run("run", source, "-b", "green", "-o", tmp_path / "e.mp4")
    assert done.returncode == 0, done.stderr
    assert packets(tmp_path / "e.mp4") == packets(source)


def test_damaged_sound_loses_no_picture(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mkv", "aac", seconds=3)
    data = bytearray(source.read_bytes())
    bad = packets(source)[20]
    at = data.find(bad)
    assert at > 0
    data[at : at + len(bad)] = b"\xff" * len(bad)
    source.write_bytes(data)
    for name in ("b.mkv", "b.webm"):
        assert len(times_of(convert(source, tmp_path / name))) == 30
        assert codecs(tmp_path / name)


def test_truncated_film_gives_what_there_is(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mkv", "aac")
    data = source.read_bytes()
    source.write_bytes(data[: len(data) * 3 // 5])
    made = convert(source, tmp_path / "b.mkv")
    assert 0 < len(packets(made)) < 80
    assert len(times_of(made)) > 0
