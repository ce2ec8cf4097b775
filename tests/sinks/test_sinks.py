"""Files, folders and pipes, read back by a real ffmpeg; and what happens when they fail."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
import tracemalloc
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from livecut.errors import SinkError
from livecut.frame import Image, Output
from livecut.kernels.pixels import I420
from livecut.sinks import open_sink
from livecut.sinks.base import Sink, exact_rate
from livecut.sinks.encoder import Encoder
from livecut.sinks.pipe import Pipe

W, H = 128, 96
COLOURS = [(255, 255, 255), (0, 0, 0), (0, 0, 255), (0, 255, 0),
           (255, 0, 0), (30, 60, 200), (128, 128, 128), (200, 180, 40)]  # fmt: skip
ALPHAS = [255, 0, 128, 64, 255, 0, 200, 255]
NTSC = 30000 / 1001
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


def bars(width: int = W, height: int = H, *, alpha: bool = False) -> Image:
    image = np.zeros((height, width, 4 if alpha else 3), np.uint8)
    for i, colour in enumerate(COLOURS):
        image[:, i * width // 8 : (i + 1) * width // 8, :3] = colour
        if alpha:
            image[:, i * width // 8 : (i + 1) * width // 8, 3] = ALPHAS[i]
    return image


def middles(image: Image) -> Image:
    height, width = image.shape[:2]
    return image[height // 2, width // 16 :: width // 8]


def far(got: Image, expected: Image) -> int:
    return int(np.abs(got.astype(int) - expected.astype(int)).max())


def feed(sink: Sink, image: Image, count: int, fps: float = NTSC) -> None:
    for i in range(count):
        sink.write(Output(image, None, i, 7.0 + i / fps))


def decode(path: Path, size: tuple[int, int], pixels: str = "bgr24", decoder: str = "") -> Image:
    """All the pictures of a file, by a real ffmpeg."""
    command = ["ffmpeg", "-v", "error", *(["-c:v", decoder] if decoder else []), "-i", str(path),
               "-f", "rawvideo", "-pix_fmt", pixels, "-fps_mode", "passthrough",
               "-sws_flags", "accurate_rnd+full_chroma_int", "-"]  # fmt: skip
    data = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(data, np.uint8).reshape(-1, size[1], size[0], 4 if pixels == "bgra" else 3)


def probe(path: Path, *entries: str) -> dict[str, str]:
    """What ffprobe says of the only stream."""
    command = ["ffprobe", "-v", "error", "-count_packets", "-show_entries",
               f"stream={','.join(entries)}", "-of", "default=nw=1", str(path)]  # fmt: skip
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return dict(line.split("=", 1) for line in lines)


# Video files


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "codec"),
    [("o.mp4", "h264"), ("o.mkv", "h264"), ("o.mov", "h264"), ("o.webm", "vp9"), ("O.MP4", "h264")],
)
def test_video(name: str, codec: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with open_sink(str(path), size=(W, H), fps=NTSC) as sink:
        assert not sink.paced
        feed(sink, bars(), 20)
        assert not path.exists()
    sink.close()
    assert os.listdir(tmp_path) == [name]
    said = probe(
        path, "codec_name", "width", "height", "pix_fmt", "avg_frame_rate", "nb_read_packets",
        "color_space", "color_range", "color_primaries", "color_transfer",
    )  # fmt: skip
    assert Fraction(said.pop("avg_frame_rate")) == pytest.approx(NTSC, rel=1e-3)
    assert said == {
        "codec_name": codec, "width": str(W), "height": str(H), "pix_fmt": "yuv420p",
        "nb_read_packets": "20", "color_space": "bt709", "color_range": "tv",
        "color_primaries": "bt709", "color_transfer": "bt709",
    }  # fmt: skip
    got = decode(path, (W, H))
    assert len(got) == 20
    assert far(middles(got[-1]), middles(bars())) <= 6


@needs_ffmpeg
@pytest.mark.parametrize(
    ("fps", "expected"),
    [(NTSC, "30000/1001"), (24000 / 1001, "24000/1001"), (25, "25/1"), (12.5, "25/2")],
)
def test_rate_is_exact(fps: float, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "o.mp4"
    with open_sink(str(path), size=(W, H), fps=fps) as sink:
        feed(sink, bars(), 10)
    said = probe(path, "avg_frame_rate", "r_frame_rate", "nb_frames")
    assert said == {"avg_frame_rate": expected, "r_frame_rate": expected, "nb_frames": "10"}


@needs_ffmpeg
def test_index_stands_in_front(tmp_path: Path) -> None:
    path = tmp_path / "o.mp4"
    with open_sink(str(path), size=(W, H), fps=30) as sink:
        feed(sink, bars(), 3)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "codec", "decoder"),
    [("o.webm", "vp9", "libvpx-vp9"), ("o.mov", "prores", "")],
)
def test_transparent_video(name: str, codec: str, decoder: str, tmp_path: Path) -> None:
    path = tmp_path / name
    image = bars(alpha=True)
    with open_sink(str(path), size=(W, H), fps=30, transparent=True) as sink:
        feed(sink, image, 5)
    said = probe(path, "codec_name", "nb_read_packets")
    assert said == {"codec_name": codec, "nb_read_packets": "5"}
    got = middles(decode(path, (W, H), "bgra", decoder)[-1])
    assert far(got[:, 3], middles(image)[:, 3]) <= 4
    assert far(got[:, :3], middles(image)[:, :3]) <= 8


@needs_ffmpeg
@pytest.mark.parametrize("name", ["o.mp4", "o.webm"])
def test_odd_sizes_lose_a_row_and_a_column(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with open_sink(str(path), size=(W + 1, H + 1), fps=30) as sink:
        feed(sink, bars(W + 1, H + 1), 2)
    assert far(middles(decode(path, (W, H))[-1]), middles(bars())) <= 6


@needs_ffmpeg
@pytest.mark.parametrize("name", ["o.mp4", "o.mkv", "o.webm"])
def test_live_video_keeps_true_time(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    times = [100.0, 100.02, 100.02, 100.1, 100.5, 101.0]  # two at the same time, and a gap
    with open_sink(str(path), size=(W, H), fps=30, realtime=True) as sink:
        for i, time in enumerate(times):
            sink.write(Output(bars(), None, i, time))
    command = f"ffprobe -v error -show_entries packet=pts_time -of csv=p=0 {path}"
    said = subprocess.run(command.split(), check=True, capture_output=True, text=True).stdout
    got = sorted(float(line.strip(",")) for line in said.split())
    assert got == pytest.approx([0.0, 0.02, 0.021, 0.1, 0.5, 1.0], abs=0.0011)
    assert len(set(got)) == len(times)


def test_an_old_file_stays_until_the_new_one_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "o.mp4"
    path.write_bytes(b"old")
    with pytest.raises(SinkError, match="it is there already"):
        open_sink(str(path), size=(W, H), fps=30)
    sink = open_sink(str(path), size=(W, H), fps=30, overwrite=True)
    feed(sink, bars(), 3)
    assert path.read_bytes() == b"old"
    sink.abort()
    assert path.read_bytes() == b"old"
    with open_sink(str(path), size=(W, H), fps=30, overwrite=True) as sink:
        feed(sink, bars(), 3)
    assert path.stat().st_size > 100
    assert os.listdir(tmp_path) == ["o.mp4"]


def test_a_file_made_meanwhile_stays_and_the_video_keeps_its_part(tmp_path: Path) -> None:
    path, part = tmp_path / "o.mp4", tmp_path / "o.mp4.part"
    sink = open_sink(str(path), size=(W, H), fps=30)
    feed(sink, bars(), 3)
    path.write_bytes(b"another's")
    with pytest.raises(SinkError, match=r"the whole file is .*o\.mp4\.part"):
        sink.close()
    sink.abort()
    sink.close()
    assert path.read_bytes() == b"another's"
    with av.open(str(part)) as container:
        assert len(list(container.decode(video=0))) == 3


@pytest.mark.parametrize("name", ["o.mp4", "o.webm", "o.png", "o.jpg"])
@pytest.mark.parametrize("end", ["close", "abort"])
def test_nothing_written_leaves_nothing(name: str, end: str, tmp_path: Path) -> None:
    sink = open_sink(str(tmp_path / name), size=(W, H), fps=30)
    getattr(sink, end)()
    assert os.listdir(tmp_path) == []


def test_strange_names(tmp_path: Path) -> None:
    path = tmp_path / "a:b %03d ü.mp4"
    with open_sink(str(path), size=(W, H), fps=30) as sink:
        feed(sink, bars(), 2)
    assert path.stat().st_size > 100


def test_closed_sinks_take_no_more(tmp_path: Path) -> None:
    sink = open_sink(str(tmp_path / "o.mp4"), size=(W, H), fps=30)
    sink.close()
    with pytest.raises(ValueError, match="is closed"):
        feed(sink, bars(), 1)


def full_disk(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Encoder, method, fail)


@pytest.mark.parametrize("method", ["encode", "finish"])
def test_failing_encoder(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = open_sink(str(tmp_path / "o.mp4"), size=(W, H), fps=30)
    full_disk(monkeypatch, method)
    if method == "finish":
        feed(sink, bars(), 1)
    fails = sink.close if method == "finish" else lambda: feed(sink, bars(), 1)
    with pytest.raises(SinkError, match=r"^cannot write .*o\.mp4: No space left on device$"):
        fails()
    sink.abort()
    sink.close()
    assert os.listdir(tmp_path) == []


FILL = """
import os, resource, signal, sys
import numpy as np
from livecut.errors import SinkError
from livecut.frame import Output
from livecut.sinks import open_sink

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
noise = np.random.default_rng(1).integers(0, 255, (96, 128, 3), np.uint8)
sink = open_sink(sys.argv[1], size=(128, 96), fps=30)
try:
    for i in range(int(sys.argv[2])):
        sink.write(Output(noise, None, i, i / 30))
    sink.close()
except SinkError as e:
    print(e)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
@pytest.mark.parametrize("count", [3, 300])
@pytest.mark.parametrize("name", ["o.mp4", "o.mkv", "o.webm", "o.png", "d/"])
def test_a_file_that_cannot_grow(name: str, count: int, tmp_path: Path) -> None:
    """Like a full disk, seen while writing or only at the end, with the real encoder."""
    run = subprocess.run(
        [sys.executable, "-c", FILL, f"{tmp_path}/{name}", str(count)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert run.stderr == ""
    if run.stdout == "":  # so small that it fitted
        assert (tmp_path / name).stat().st_size <= 30_000
    else:
        assert run.stdout.startswith("cannot write ")
        assert run.stdout.count("\n") == 1
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]


# Pictures and folders


@pytest.mark.parametrize("name", ["o.png", "o.jpg", "o.jpeg", "o.webp", "o.bmp", "O.PNG"])
def test_picture(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with open_sink(str(path), size=(W, H), fps=30) as sink:
        feed(sink, np.zeros_like(bars()), 1)
        feed(sink, bars(), 1)
        assert not path.exists()
    got = np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), np.uint8)
    assert got.shape == (H, W, 3)
    assert far(middles(got), middles(bars())) <= (0 if "png" in name.lower() else 6)
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", ["o.png", "o.webp"])
def test_transparent_picture(name: str, tmp_path: Path) -> None:
    image = bars(alpha=True)
    with open_sink(str(tmp_path / name), size=(W, H), fps=30, transparent=True) as sink:
        feed(sink, image, 1)
    got = np.asarray(cv2.imread(str(tmp_path / name), cv2.IMREAD_UNCHANGED), np.uint8)
    assert np.array_equal(got[..., 3], image[..., 3])


@pytest.mark.parametrize("transparent", [False, True])
def test_folder(transparent: bool, tmp_path: Path) -> None:
    image = bars(alpha=transparent)
    uri = str(tmp_path / "made") + "/"
    with open_sink(uri, size=(W, H), fps=30, transparent=transparent) as sink:
        feed(sink, image, 2)
        feed(sink, image // 2, 1)
    assert sorted(os.listdir(uri)) == ["000000.png", "000001.png", "000002.png"]
    for name, expected in (("000001.png", image), ("000002.png", image // 2)):
        got = np.asarray(cv2.imread(uri + name, cv2.IMREAD_UNCHANGED))
        assert np.array_equal(got, expected)


def test_folder_that_exists_needs_no_slash(tmp_path: Path) -> None:
    with open_sink(str(tmp_path), size=(W, H), fps=30) as sink:
        feed(sink, bars(), 1)
    assert os.listdir(tmp_path) == ["000000.png"]


def test_null() -> None:
    with open_sink("null", size=(W, H), fps=30, transparent=True) as sink:
        feed(sink, bars(), 1)
        feed(sink, bars(alpha=True), 1)
        assert sink.pressed() == []


# Mistakes


@pytest.mark.parametrize("uri", ["nowhere/o.mp4", "nowhere/o.png", "nowhere/deep/"])
def test_folder_missing(uri: str, tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"^cannot write .*: there is no folder .*nowhere; make it"):
        open_sink(str(tmp_path) + "/" + uri, size=(W, H), fps=30)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("uri", ["o.avi", "o", "o.mp4.part", "windows", "x.jpgg"])
def test_unknown(uri: str) -> None:
    with pytest.raises(SinkError, match=r"^unknown output '.*'; known are window, .*\.mp4, \.mkv"):
        open_sink(uri, size=(W, H), fps=30)


@pytest.mark.parametrize("uri", ["o.mp4", "o.mkv", "o.jpg", "o.bmp", "-", "virtual", "/dev/video1"])
def test_no_transparency(uri: str) -> None:
    with pytest.raises(
        SinkError, match=r"transparency; .* window, .*folder/, out\.mov, \.webm, \.png, \.webp$"
    ):
        open_sink(uri, size=(W, H), fps=30, transparent=True)


def test_too_small(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="1x5 is too small"):
        open_sink(str(tmp_path / "o.mp4"), size=(1, 5), fps=30)
    with open(os.devnull, "wb") as nowhere, pytest.raises(SinkError, match="5x1 is too small"):
        Pipe((5, 1), 30, fd=nowhere.fileno())
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do all")
def test_no_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SinkError, match="no permission"):
        open_sink(str(tmp_path / "o.mp4"), size=(W, H), fps=30)


@pytest.mark.parametrize("uri", ["o.mp4", "o.png", "f/", "null"])
def test_wrong_pictures(uri: str, tmp_path: Path) -> None:
    uri = uri if uri == "null" else f"{tmp_path}/{uri}"
    with open_sink(uri, size=(W, H), fps=30) as sink:
        with pytest.raises(
            ValueError, match=r"got a picture of \(96, 100, 3\), expected \(96, 128"
        ):
            feed(sink, bars(100, H), 1)
        with pytest.raises(TypeError, match="got a picture of float32, expected uint8"):
            feed(sink, bars().astype(np.float32), 1)


# I420 and the pipe


def test_i420_matches_its_definition() -> None:
    image = np.random.default_rng(0).integers(0, 256, (36, 50, 3), np.uint8)
    picture = I420((50, 36), b"FRAME\n")
    picture.convert(image)
    assert bytes(picture.data[:6]) == b"FRAME\n"
    data = np.frombuffer(picture.data, np.uint8)[6:].astype(float)
    b, g, r = np.moveaxis(image.astype(float) / 255, 2, 0)
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    u, v = (b - luma) / 1.772, (r - luma) / 1.402
    quarter = (18, 2, 25, 2)
    expected = [
        16 + 219 * luma,
        128 + 224 * u.reshape(quarter).mean((1, 3)),
        128 + 224 * v.reshape(quarter).mean((1, 3)),
    ]
    assert np.abs(data - np.concatenate([plane.ravel() for plane in expected])).max() < 1.1


def drain(sink_size: tuple[int, int], times: list[float], *, fps: float, realtime: bool) -> bytes:
    """What a Pipe writes for pictures at these times; picture number i is the grey 10 i."""
    read, write = os.pipe()
    chunks: list[bytes] = []

    def collect() -> None:
        with os.fdopen(read, "rb") as stream:
            chunks.append(stream.read())

    thread = threading.Thread(target=collect)
    thread.start()
    with Pipe(sink_size, fps, realtime=realtime, fd=write) as sink:
        for i, time in enumerate(times):
            image = np.full((sink_size[1], sink_size[0], 3), 10 * i, np.uint8)
            sink.write(Output(image, None, i, time))
    os.close(write)
    thread.join()
    return chunks[0]


def greys(data: bytes, size: int) -> list[int]:
    """The numbers of the pictures in a YUV4MPEG2 stream, told by their luma."""
    header, _, rest = data.partition(b"\n")
    assert header.startswith(b"YUV4MPEG2 ")
    frames = [rest[i : i + size + 6] for i in range(0, len(rest), size + 6)]
    assert all(frame.startswith(b"FRAME\n") and len(frame) == size + 6 for frame in frames)
    return [round((frame[6] - 16) * 255 / 219 / 10) for frame in frames]


def test_pipe_of_a_file() -> None:
    data = drain((17, 9), [0.0, 5.0, 5.0], fps=NTSC, realtime=False)
    header = b"YUV4MPEG2 W16 H8 F30000:1001 Ip A1:1 C420jpeg XCOLORRANGE=LIMITED\n"
    assert data.startswith(header)
    assert greys(data, 16 * 8 * 3 // 2) == [0, 1, 2]


def test_live_pipe_keeps_true_time() -> None:
    jitter = [0.0, 0.13, 0.17, 0.3]
    assert greys(drain((16, 8), jitter, fps=10, realtime=True), 192) == [0, 1, 2, 3]
    gap = [0.0, 0.1, 0.5, 0.6]
    assert greys(drain((16, 8), gap, fps=10, realtime=True), 192) == [0, 1, 1, 1, 1, 2, 3]
    fast = [i / 20 for i in range(12)]
    assert 6 <= len(greys(drain((16, 8), fast, fps=10, realtime=True), 192)) <= 7


WRITE = """
import sys
import numpy as np
from livecut.errors import SinkError
from livecut.frame import Output
from livecut.sinks import open_sink

image = np.load(sys.argv[1])
try:
    with open_sink("-", size=(image.shape[1], image.shape[0]), fps=25) as sink:
        for i in range(int(sys.argv[2])):
            sink.write(Output(image, None, i, i / 25))
except SinkError as e:
    sys.exit(f"error: {e}")
"""


@needs_ffmpeg
def test_pipe_into_ffmpeg(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", bars())
    path = tmp_path / "o.mkv"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(tmp_path / "image.npy"), "12"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    command = ["ffmpeg", "-v", "error", "-i", "-", "-c:v", "ffv1", str(path)]
    subprocess.run(command, stdin=writer.stdout, check=True)
    _, errors = writer.communicate()
    assert (writer.returncode, errors) == (0, b"")
    said = probe(path, "avg_frame_rate", "nb_read_packets", "width", "height", "color_range")
    assert said == {
        "width": str(W), "height": str(H), "avg_frame_rate": "25/1", "nb_read_packets": "12",
        "color_range": "tv",
    }  # fmt: skip
    assert far(middles(decode(path, (W, H))[-1]), middles(bars())) <= 3


@pytest.mark.skipif(sys.platform == "win32", reason="needs head")
def test_broken_pipe_is_one_line(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", bars())
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(tmp_path / "image.npy"), "500"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    subprocess.run(
        ["head", "-c", "100"], stdin=writer.stdout, stdout=subprocess.DEVNULL, check=True
    )
    assert writer.stdout is not None
    writer.stdout.close()
    assert writer.stderr is not None
    errors = writer.stderr.read()
    writer.stderr.close()
    assert writer.wait() == 1
    assert errors == b"error: the program that reads the output has ended\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_terminal_is_no_output() -> None:
    import pty

    master, slave = pty.openpty()
    try:
        with pytest.raises(SinkError, match=r"^standard output is a terminal; pipe it"):
            Pipe((W, H), 30, fd=slave)
    finally:
        os.close(master)
        os.close(slave)


def test_no_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(SinkError, match="there is no standard output"):
        open_sink("-", size=(W, H), fps=30)


@pytest.mark.parametrize("kind", ["null", "o.png", "o.mp4", "pipe"])
def test_steady_state_allocates_no_picture(kind: str, tmp_path: Path) -> None:
    image = bars(640, 360)
    with open(os.devnull, "wb") as nowhere:
        sink = (
            Pipe((640, 360), 30, fd=nowhere.fileno())
            if kind == "pipe"
            else open_sink(
                kind if kind == "null" else f"{tmp_path}/{kind}", size=(640, 360), fps=30
            )
        )
        feed(sink, image, 3)
        tracemalloc.start()
        feed(sink, image, 10)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        sink.close()
    assert peak < 640 * 360 // 4


def test_rate_as_a_fraction() -> None:
    assert exact_rate(NTSC) == Fraction(30000, 1001)
    assert exact_rate(15.0) == 15
    assert exact_rate(29.97) == Fraction(2997, 100)
