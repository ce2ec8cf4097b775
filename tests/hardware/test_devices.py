"""`livecut run` on real V4L2 devices: camera in, v4l2loopback out, read back by ffmpeg.

Needs /dev/video0 (a camera) and /dev/video10 (a v4l2loopback); /dev/video11, a second loopback, and
LIVECUT_VM, the folder of the USB webcam's emulator, for the tests that play those.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from livecut.frame import Image, as_image
from livecut.sources.video import DEMO
from tests.sources.test_camera import webcam
from tests.waiting import pause

pytestmark = pytest.mark.camera
__all__ = ["webcam"]
OUT = "/dev/video10"


@contextmanager
def livecut(log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """`livecut run` until the body ends, then Ctrl-C; it must end well."""
    code = "from livecut.commands.main import main; main()"
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-c", code, "run", *arguments], stderr=file)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        status = process.wait(90)
    assert status == 0, log.read_text()
    assert "Traceback" not in log.read_text()


def grab(path: Path) -> Image:
    """A picture that ffmpeg reads from the loopback."""
    command = ["ffmpeg", "-v", "error", "-y", "-f", "v4l2", "-i", OUT, "-frames:v", "1", str(path)]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return as_image(cv2.imread(str(path)))


def grab_until(path: Path, good: Any, seconds: float = 240) -> Image:
    """The first picture that `good` likes, or the last one read; leaves livecut time in between."""
    end = time.monotonic() + seconds
    while True:
        try:
            image = grab(path)
        except (AssertionError, subprocess.TimeoutExpired):
            if time.monotonic() > end:
                raise
        else:
            if good(image) or time.monotonic() > end:
                return image
        pause(3)


def is_placeholder(image: Image) -> bool:
    """Dark grey with a little white writing, and nothing else."""
    grey = np.abs(image.astype(int) - 40).max(axis=-1) < 8
    return 0.8 < grey.mean() < 0.999 and bool(np.ptp(image.astype(int), axis=-1).max() < 40)


def is_green(image: Image) -> bool:
    return bool((np.abs(image.astype(int) - (0x40, 0xB1, 0)).max(axis=-1) < 12).mean() > 0.3)


@pytest.mark.parametrize("time_round", ["first", "again"])
def test_camera_to_loopback(tmp_path: Path, time_round: str) -> None:
    log = tmp_path / "log"
    with livecut(log, "/dev/video0", "-o", OUT, "-b", "#00b140", "--size", "640x360"):
        image = grab_until(tmp_path / "shot.png", is_green)
        assert image.shape == (360, 640, 3)
        assert is_green(image)
        probe = [
            "ffprobe",
            "-v",
            "error",
            "-f",
            "v4l2",
            "-show_entries",
            "stream=width,height,pix_fmt,r_frame_rate",
            "-of",
            "csv=p=0",
            OUT,
        ]
        found = subprocess.check_output(probe, text=True, timeout=60).strip()
        assert found == "640,360,yuv420p,30/1"
    assert "640x360" in log.read_text()
    assert "asked 640x360" in log.read_text(), "the granted mode is reported beside the asked one"


def is_clip_cut_out(image: Image) -> bool:
    """The demo clip's person before green, skin-coloured."""
    corner, face = image[40:80, 1150:1230].mean((0, 1)), image[240:360, 560:720].mean((0, 1))
    clean = image.shape == (720, 1280, 3) and is_green(image)
    right = np.abs(corner - (0x40, 0xB1, 0)).max() < 12
    return bool(clean and right and face[2] > face[1] + 10 > face[0] + 10)


def test_clip_as_mjpg_webcam(tmp_path: Path) -> None:
    """A person in front of a wall, played as a 1280x720 MJPG webcam: cut out, colours right."""
    if not Path("/dev/video11").exists():
        pytest.skip("no second v4l2loopback at /dev/video11")
    play = [
        "ffmpeg",
        "-v",
        "error",
        "-re",
        "-stream_loop",
        "-1",
        "-i",
        str(DEMO),
        "-vf",
        "scale=1280:720",
        "-c:v",
        "mjpeg",
        "-q:v",
        "4",
        "-f",
        "v4l2",
        "/dev/video11",
    ]
    player = subprocess.Popen(play)
    try:
        pause(2)
        log = tmp_path / "log"
        with livecut(log, "/dev/video11", "-o", OUT, "-b", "#00b140"):
            # The loopback hands out JPEGs that the player writes over just then: libjpeg calls them
            # corrupt, and their pictures are torn.
            assert is_clip_cut_out(grab_until(tmp_path / "shot.png", is_clip_cut_out))
        assert "1280x720 MJPG" in log.read_text()
    finally:
        player.kill()
        player.wait()


def test_unplugged_says_so_and_comes_back(tmp_path: Path, webcam: Any) -> None:
    log = tmp_path / "log"
    with livecut(log, webcam.node, "-o", OUT, "-b", "#00b140"):
        assert is_green(grab_until(tmp_path / "before.png", is_green))
        webcam("unplug")
        assert is_placeholder(grab_until(tmp_path / "during.png", is_placeholder))
        webcam.node = webcam("plug")
        assert is_green(grab_until(tmp_path / "after.png", is_green))
    text = log.read_text()
    assert "unplugged" in text
    assert "the picture is back" in text
