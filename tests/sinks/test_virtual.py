"""The virtual camera: on real V4L2 devices (marker camera), and its errors without any."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from livecut.errors import SinkError
from livecut.frame import Image, Output
from livecut.hardware import v4l2
from livecut.sinks import open_sink
from livecut.sinks.base import Sink
from livecut.sinks.virtual import OtherVirtualCamera

LOOPBACK, CAMERA = "/dev/video10", "/dev/video0"
W, H = 640, 360
COLOURS = [(255, 255, 255), (0, 255, 255), (255, 255, 0), (0, 255, 0),
           (255, 0, 255), (0, 0, 255), (255, 0, 0), (20, 40, 60)]  # fmt: skip
linux = pytest.mark.skipif(sys.platform != "linux", reason="V4L2 is Linux only")


def bars(width: int = W, height: int = H) -> Image:
    image = np.zeros((height, width, 3), np.uint8)
    for i, colour in enumerate(COLOURS):
        image[:, i * width // 8 : (i + 1) * width // 8] = colour
    return image


def middles(image: Image) -> Image:
    """The colour in the middle of each bar."""
    height, width = image.shape[:2]
    return image[height // 2, width // 16 :: width // 8]


def is_placeholder(image: Image) -> bool:
    return bool(image.max() < 16)


class Feeder:
    """Writes a picture to a sink 30 times a second until it is told to stop."""

    def __init__(self, sink: Sink, image: Image) -> None:
        self._sink, self._image, self._stop = sink, image, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        due, index = time.perf_counter(), 0
        while not self._stop.is_set():
            self._sink.write(Output(self._image, None, index, due))
            due, index = due + 1 / 30, index + 1
            self._stop.wait(due - time.perf_counter())

    def __enter__(self) -> Feeder:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


class Reader:
    """A real ffmpeg that reads the loopback and hands its pictures over."""

    def __init__(self, width: int = W, height: int = H) -> None:
        self.shape = (height, width, 3)
        command = (
            f"ffmpeg -v error -nostdin -f v4l2 -i {LOOPBACK} -fflags nobuffer "
            "-f rawvideo -pix_fmt bgr24 -sws_flags accurate_rnd -"
        )
        self.process = subprocess.Popen(
            command.split(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def read(self) -> Image:
        assert self.process.stdout is not None
        size = self.shape[0] * self.shape[1] * 3
        data = self.process.stdout.read(size)
        assert len(data) == size, "ffmpeg has ended"
        return np.frombuffer(data, np.uint8).reshape(self.shape)

    def shows(self, wanted: Callable[[Image], bool], most: int = 120) -> bool:
        """Whether one of the next pictures is as wanted; it is read then, and none after it."""
        return any(wanted(self.read()) for _ in range(most))

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def loopback() -> str:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    return LOOPBACK


@pytest.mark.camera
@pytest.mark.parametrize("size", [(640, 360), (1280, 720), (321, 241)])
def test_colours_and_size_arrive(size: tuple[int, int], loopback: str) -> None:
    image = bars(*size)
    width, height = size[0] & ~1, size[1] & ~1
    with (
        open_sink(loopback, size=size, fps=30) as sink,
        Feeder(sink, image),
        Reader(width, height) as reader,
    ):
        assert reader.shows(lambda image: not is_placeholder(image))
        got = reader.read()
    assert np.abs(middles(got).astype(int) - middles(bars(width, height))).max() <= 3


@pytest.mark.camera
def test_the_device_says_what_it_carries(loopback: str) -> None:
    with open_sink(loopback, size=(W, H), fps=30) as sink, Feeder(sink, bars()):
        assert sink.paced
        assert sink.name == f"{loopback} (livecut)"
        asked = f"ffmpeg -hide_banner -nostdin -f v4l2 -i {loopback} -frames:v 1 -f null -"
        said = subprocess.run(asked.split(), capture_output=True, text=True, timeout=20).stderr
    assert "yuv420p" in said
    assert f"{W}x{H}" in said
    assert "30 fps" in said


@pytest.mark.camera
def test_virtual_finds_it_and_reopens_at_another_size(loopback: str) -> None:
    for width, height in ((640, 360), (320, 240), (640, 360)):
        with open_sink("virtual", size=(width, height), fps=25) as sink:
            assert sink.name.startswith(loopback)
            sink.write(Output(bars(width, height), None, 0, 0.0))
        sink.close()


@pytest.mark.camera
def test_no_person_is_left_in_the_device(loopback: str) -> None:
    sink = open_sink(loopback, size=(W, H), fps=30)
    with Reader() as reader:
        with Feeder(sink, bars()):
            assert reader.shows(lambda image: not is_placeholder(image))
        sink.close()
        assert reader.shows(is_placeholder)
        # 0.12.7 ends the stream here, newer ones wait: both without another picture.
    with open_sink(loopback, size=(W, H), fps=30), Reader() as reader:
        assert is_placeholder(reader.read())


@pytest.mark.camera
def test_abort_leaves_no_person_either(loopback: str) -> None:
    sink = open_sink(loopback, size=(W, H), fps=30)
    with Reader() as reader:
        with Feeder(sink, bars()):
            assert reader.shows(lambda image: not is_placeholder(image))
        sink.abort()
        assert reader.shows(is_placeholder)


@pytest.mark.camera
def test_another_size_under_a_reader_is_refused(loopback: str) -> None:
    sink = open_sink(loopback, size=(W, H), fps=30)
    with Reader() as reader:
        with Feeder(sink, bars()):
            reader.read()
        sink.close()
        with pytest.raises(SinkError, match=r"stays at 640x360|busy"):
            open_sink(loopback, size=(320, 240), fps=30)
    with open_sink(loopback, size=(320, 240), fps=30):  # once the reader has gone
        pass


@pytest.mark.camera
@pytest.mark.parametrize("uri", [LOOPBACK, "virtual"])
def test_fed_by_another(uri: str, loopback: str) -> None:
    with ExitStack() as others:
        for device in v4l2.devices():
            if device.driver == v4l2.LOOPBACK_DRIVER and device.output:
                others.enter_context(open_sink(device.path, size=(W, H), fps=30))
        with pytest.raises(SinkError, match=f"^{loopback}.* is busy: "):
            open_sink(uri, size=(W, H), fps=30)


@pytest.mark.camera
def test_a_camera_is_no_output() -> None:
    with pytest.raises(SinkError, match=f"^{CAMERA} is a camera \\(vivid\\), not a v4l2loopback"):
        open_sink(CAMERA, size=(W, H), fps=30)


@pytest.mark.camera
def test_devices_and_their_sizes() -> None:
    found = {device.path: device for device in v4l2.devices()}
    assert found[CAMERA].capture
    assert not found[CAMERA].output
    assert found[LOOPBACK].driver == v4l2.LOOPBACK_DRIVER
    assert found[LOOPBACK].output
    assert (1280, 720) in v4l2.frame_sizes(CAMERA, "YUYV")
    assert v4l2.frame_sizes(CAMERA, "MJPG") == []
    assert v4l2.frame_sizes("/dev/video4711", "MJPG") == []


@linux
@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("/dev/video4711", r"^there is no /dev/video4711.*sudo modprobe v4l2loopback"),
        ("/dev/videos/x", r"unknown output '/dev/videos/x'"),
    ],
)
def test_no_such_device(uri: str, message: str) -> None:
    with pytest.raises(SinkError, match=message):
        open_sink(uri, size=(W, H), fps=30)


@linux
def test_no_loopback_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = v4l2.Device("/dev/video0", "Webcam", "uvcvideo", "usb-1", True, False)
    monkeypatch.setattr(v4l2, "devices", lambda: [camera])
    with pytest.raises(SinkError, match=r"^there is no v4l2loopback .*modprobe v4l2loopback excl"):
        open_sink("virtual", size=(W, H), fps=30)
    denied = v4l2.Device("/dev/video9", "livecut", "", "", False, False, error=13)
    monkeypatch.setattr(v4l2, "devices", lambda: [camera, denied])
    with pytest.raises(SinkError, match=r"^no permission to write /dev/video9; join the group"):
        open_sink("virtual", size=(W, H), fps=30)


@linux
def test_what_is_no_video_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from livecut.sinks.virtual import VirtualCamera

    path = tmp_path / "video3"
    path.touch()
    with pytest.raises(SinkError, match="video3 is not a video device; load one with"):
        VirtualCamera(str(path), (W, H), 30)


@linux
def test_size_and_transparency_are_checked_first() -> None:
    with pytest.raises(SinkError, match="1x1 is too small"):
        open_sink("virtual", size=(1, 1), fps=30)
    with pytest.raises(SinkError, match=r"'virtual' cannot hold transparency; .*\.webm"):
        open_sink("virtual", size=(W, H), fps=30, transparent=True)


class FakeCamera:
    """pyvirtualcam.Camera, as far as it is used."""

    device = "OBS Virtual Camera"

    def __init__(self, *, width: int, height: int, fps: float, fmt: str) -> None:
        if fps > 100:
            raise RuntimeError("'obs' backend:\nis not installed")
        self.size, self.sent, self.closed = (width, height), list[Image](), False

    def send(self, image: Image) -> None:
        assert image.flags.c_contiguous
        if len(self.sent) >= 3:
            raise RuntimeError("gone")
        self.sent.append(image.copy())

    def close(self) -> None:
        self.closed = True


def test_elsewhere_by_pyvirtualcam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    made: list[FakeCamera] = []

    def camera(**options: object) -> FakeCamera:
        made.append(FakeCamera(**options))  # type: ignore[arg-type]
        return made[-1]

    fake = SimpleNamespace(Camera=camera, PixelFormat=SimpleNamespace(BGR="bgr"))
    monkeypatch.setitem(sys.modules, "pyvirtualcam", fake)
    with open_sink("virtual", size=(17, 9), fps=30) as sink:
        assert sink.paced
        assert sink.name == "virtual (OBS Virtual Camera)"
        sink.write(Output(bars(17, 9), None, 0, 0.0))
    assert made[0].size == (16, 8)
    assert made[0].sent[0].max() == made[0].sent[2].max() == 24  # plain, before and after
    assert np.array_equal(made[0].sent[1], bars(17, 9)[:8, :16])
    assert made[0].closed

    with pytest.raises(SinkError, match=r"^no virtual camera: 'obs' backend: is not installed; "):
        open_sink("virtual", size=(W, H), fps=200)
    with pytest.raises(SinkError, match="device names are for Linux"):
        open_sink("/dev/video10", size=(W, H), fps=30)


def test_elsewhere_lost_while_written(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = SimpleNamespace(Camera=FakeCamera, PixelFormat=SimpleNamespace(BGR="bgr"))
    monkeypatch.setitem(sys.modules, "pyvirtualcam", fake)
    sink = OtherVirtualCamera((16, 8), 30)
    output = Output(bars(16, 8), None, 0, 0.0)
    sink.write(output)
    sink.write(output)
    with pytest.raises(SinkError, match=r"^virtual \(OBS Virtual Camera\): gone$"):
        sink.write(output)
    sink.abort()
    sink.close()


def test_elsewhere_without_pyvirtualcam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(SinkError, match=r'pip install "livecut\[virtualcam\]"$'):
        OtherVirtualCamera((W, H), 30)


@linux
def test_reading_the_device_list_raises_nothing() -> None:
    assert isinstance(v4l2.devices(), list)
    assert all(os.path.exists(device.path) for device in v4l2.devices())
