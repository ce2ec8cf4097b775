"""Real V4L2 cameras: vivid at /dev/video0, and a USB webcam that can be unplugged.

The webcam is the emulator `uvccam` of the folder that LIVECUT_VM names; without it those tests
are skipped. They need the machine to themselves: run them in the guest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livecut.errors import SourceError
from livecut.frame import Image
from livecut.hardware import v4l2
from livecut.kernels.pixels import to_bgr
from livecut.sources import open_source
from livecut.sources.base import Source
from livecut.sources.camera import STALL, Camera
from tests.waiting import wait_until

pytestmark = pytest.mark.camera


def buffer(source: Camera) -> Image:
    return np.full((source.size[1], source.size[0], 3), 77, np.uint8)


@pytest.fixture
def vivid() -> str:
    """The number of a vivid camera."""
    found = [d.path for d in v4l2.devices() if d.driver == "vivid" and d.capture]
    if not found:
        pytest.skip("no vivid camera")
    return found[0].removeprefix("/dev/video")


class TestVivid:
    def test_granted_mode_is_reported(self, vivid: str) -> None:
        with open_source(vivid) as source:
            assert isinstance(source, Camera)
            assert source.name == f"/dev/video{vivid} (vivid)"
            assert (source.realtime, source.frames) == (True, None)
            assert source.size == (1280, 720)
            granted, _, asked = source.description.partition(" (")
            assert asked == "asked 1280x720 MJPG 30 fps)"
            assert granted.startswith("1280x720 ")
            assert "MJPG" not in granted, "vivid has no MJPG"
            assert granted.endswith(f" {source.fps:.4g} fps")
            assert 0 < source.fps < 30, "vivid does not give this size at 30 fps"

    def test_frames_and_times(self, vivid: str) -> None:
        with open_source(vivid, size=(640, 360), fps=30, fourcc="YUYV") as source:
            assert isinstance(source, Camera)
            assert source.description == "640x360 YUYV 30 fps (asked 640x360 YUYV 30 fps)"
            out = buffer(source)
            times = []
            for _ in range(12):
                stamp = source.read(out)
                assert stamp is not None
                assert 0 <= time.perf_counter() - stamp < 0.5
                times.append(stamp)
            assert out.std() > 20, "colour bars"
            assert (np.diff(times) > 0).all()
            assert 0.02 < np.median(np.diff(times)[3:]) < 0.06

    def test_colours(self, vivid: str) -> None:
        with open_source(vivid, size=(640, 360), fourcc="YUYV") as source:
            out = np.empty((360, 640, 3), np.uint8)
            source.read(out)
        # vivid shows eight bars: white, yellow, cyan, green, magenta, red, blue, black.
        bars = out[300, 40::80].astype(int)
        for bar, bits in zip(bars, (7, 3, 6, 2, 5, 1, 4, 0), strict=True):  # bits: blue green red
            bright = bar > 128
            assert bright.tolist() == [bool(bits & 4), bool(bits & 2), bool(bits & 1)], bars

    @pytest.mark.parametrize("letters", ["YUYV", "NV12"])
    def test_as_it_is(self, vivid: str, letters: str) -> None:
        """The bars again, in the camera's own form, which converted is what OpenCV gives."""
        with open_source(vivid, size=(640, 360), fourcc=letters) as source:
            assert isinstance(source, Camera)
            pixel_format = source.native
            assert pixel_format is not None
            assert pixel_format.name == letters
            out = buffer(source)
            source.read(out)
            assert source.give(pixel_format) == ""
            raw = np.zeros(pixel_format.shape(source.size), np.uint8)
            source.read(raw)
            bars = [
                to_bgr(raw, pixel_format)[300, 40::80].astype(int),
                out[300, 40::80].astype(int),
            ]
            assert np.abs(bars[0] - bars[1]).max() <= 3

    def test_twice_in_a_row(self, vivid: str) -> None:
        for _ in range(2):
            with open_source(vivid, size=(640, 360)) as source:
                assert source.read(np.empty((360, 640, 3), np.uint8)) is not None
        source.close()
        with pytest.raises(SourceError, match="is closed"):
            source.read(np.empty((360, 640, 3), np.uint8))

    def test_reopen(self, vivid: str) -> None:
        with open_source(vivid, size=(640, 360)) as source:
            for _ in range(2):
                assert source.read(np.empty((360, 640, 3), np.uint8)) is not None
                source.reopen()

    def test_by_name(self, vivid: str) -> None:
        with open_source("vivid") as source:
            assert source.name == f"/dev/video{vivid} (vivid)"

    def test_refused_size(self, vivid: str) -> None:
        with pytest.raises(
            SourceError,
            match=rf"/dev/video{vivid} \(vivid\) was asked for 1234x567 and grants \d+x\d+",
        ) as error:
            open_source(vivid, size=(1234, 567), fourcc="YUYV")
        assert "it offers 320x180, 640x360" in str(error.value)

    def test_busy(self, vivid: str) -> None:
        with open_source(vivid, size=(640, 360)) as source:
            source.read(np.empty((360, 640, 3), np.uint8))
            with pytest.raises(SourceError, match=r"\(vivid\) is in use by another program"):
                open_source(vivid)
            source.read(np.empty((360, 640, 3), np.uint8))

    def test_no_such_camera(self, vivid: str) -> None:
        for uri in ("97", "/dev/video97"):
            with pytest.raises(
                SourceError, match=rf"no camera {uri}; give one of /dev/video{vivid} \(vivid\)"
            ):
                open_source(uri)

    def test_forbidden(self, vivid: str) -> None:
        if os.geteuid() == 0:
            Path(f"/dev/video{vivid}").chmod(0o600)
            code = (
                "import os, livecut.sources.camera\n"
                "from livecut.sources import open_source\n"
                "os.setuid(65534)\n"
                f"open_source('{vivid}')\n"
            )
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
            assert "member of the group video" in done.stderr.splitlines()[-1]

    def test_an_output_is_not_a_camera(self) -> None:
        outputs = [d.path for d in v4l2.devices() if d.output and not d.capture]
        if not outputs:
            pytest.skip("no v4l2loopback")
        with pytest.raises(SourceError, match=rf"{outputs[0]} \(.*\) gives no pictures now; give"):
            open_source(outputs[0])

    def test_nothing_of_opencv_on_stderr(self, vivid: str) -> None:
        code = (
            "from livecut.sources import open_source\n"
            f"first = open_source('{vivid}')\n"
            f"open_source('{vivid}')\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 1
        assert "WARN" not in done.stderr
        assert "in use by another program" in done.stderr.splitlines()[-1]


@pytest.fixture
def webcam() -> Iterator[Any]:
    """The emulated USB webcam, plugged in."""
    folder = os.environ.get("LIVECUT_VM")
    if not folder or not Path(folder, "uvccam.py").exists():
        pytest.skip("LIVECUT_VM does not name a folder with uvccam.py")
    sys.path.insert(0, folder)
    try:
        import uvccam  # type: ignore[import-not-found]
    finally:
        sys.path.remove(folder)
    process = uvccam.UvcProc()
    yield process
    process.close()
    process.p.stdout.close()
    wait_until(lambda: not Path(process.node).exists(), timeout=5, every=0.05)


def read_on(source: Source, out: Image) -> None:
    """Read until something is wrong; not for long."""
    for _ in range(300):
        source.read(out)


def stall() -> float:
    """Seconds without a picture after which the camera counts as stopped here."""
    return float(os.environ.get("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", STALL))


class TestUsb:
    def test_granted_mode(self, webcam: Any) -> None:
        with open_source(webcam.node) as source:
            assert source.description == "1280x720 MJPG 30 fps (asked 1280x720 MJPG 30 fps)"
            assert source.name.startswith(f"{webcam.node} (Livecut Test Webcam")
            out = np.zeros((720, 1280, 3), np.uint8)
            assert source.read(out) is not None
            # The emulator's picture: blue grows to the right, green downwards, red is 64.
            assert np.abs(out[200, ::160].astype(int)[:, 0] - np.arange(8) * 32).max() < 12
            assert (
                np.abs(out[100:700:100, 1100].astype(int)[:, 1] - np.arange(1, 7) * 35.5).max() < 12
            )
            assert abs(int(out[400, 1100, 2]) - 64) < 12

    def test_refused_size_lists_what_there_is(self, webcam: Any) -> None:
        with pytest.raises(
            SourceError,
            match=r"asked for 800x600 and grants \d+x\d+; it offers 640x360, 640x480, 1280x720, ",
        ):
            open_source(webcam.node, size=(800, 600))

    def test_the_other_node_of_a_webcam_is_not_a_camera(self, webcam: Any) -> None:
        other = f"/dev/video{int(webcam.node.removeprefix('/dev/video')) + 1}"
        with pytest.raises(
            SourceError, match=f"gives no pictures now; give one of .*{webcam.node}"
        ):
            open_source(other)

    def test_busy(self, webcam: Any) -> None:
        with (
            open_source(webcam.node),
            pytest.raises(SourceError, match="is in use by another program"),
        ):
            open_source(webcam.node)

    def test_damaged_pictures_do_no_harm(self, webcam: Any) -> None:
        with open_source(webcam.node) as source:
            out = np.zeros((720, 1280, 3), np.uint8)
            assert source.read(out) is not None
            webcam("corrupt 5")
            for _ in range(12):
                assert source.read(out) is not None
                assert out.std() > 20

    def test_unplugged_and_plugged_in_again(self, webcam: Any) -> None:
        with open_source(webcam.node) as source:
            out = np.zeros((720, 1280, 3), np.uint8)
            for _ in range(5):
                assert source.read(out) is not None
            webcam("unplug")
            start = time.perf_counter()
            with pytest.raises(SourceError, match=r"Livecut Test Webcam.* was unplugged"):
                read_on(source, out)
            with pytest.raises(SourceError, match="is not back yet"):
                source.reopen()
            assert time.perf_counter() - start < stall(), "neither waits for a picture"
            webcam.node = webcam("plug")
            source.reopen()
            assert webcam.node in source.name
            out[:] = 0
            assert source.read(out) is not None
            assert out.mean() > 20

    def test_another_number(self, webcam: Any) -> None:
        """An open handle keeps the old number taken, so that the camera comes back as another."""
        with open_source(webcam.node) as source:
            out = np.zeros((720, 1280, 3), np.uint8)
            assert source.read(out) is not None
            before = webcam.node
            with open(before, "rb", buffering=0):
                webcam("unplug")
                with pytest.raises(SourceError, match="was unplugged"):
                    read_on(source, out)
                webcam.node = webcam("plug")
                assert webcam.node != before
                source.reopen()
                assert webcam.node in source.name
                assert source.size == (1280, 720)
                assert source.read(out) is not None

    def test_stalled(self, webcam: Any) -> None:
        with open_source(webcam.node) as source:
            out = np.zeros((720, 1280, 3), np.uint8)
            for _ in range(3):
                assert source.read(out) is not None
            webcam("stall")
            start = time.perf_counter()
            with pytest.raises(SourceError, match="has stopped sending pictures"):
                read_on(source, out)
            assert time.perf_counter() - start < stall() + 8
            webcam("resume")
            source.reopen()
            assert source.read(out) is not None
