"""Time codes: painted, carried through the whole picture, read back at the far end of a sink."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from livecut import ConfigError, Pipeline
from livecut.bench import record as records
from livecut.bench import timecode
from livecut.bench.cases import Memory, held_frames
from livecut.bench.measure import measure
from livecut.bench.options import Case
from livecut.bench.sink_readers import Delays
from livecut.frame import Image, as_image
from livecut.testing import Recorder
from tests.commands.test_cli import run

SIZE = (640, 360)


def read(image: Image) -> int | None:
    code = image[timecode.area(image.shape[1], image.shape[0])]
    return timecode.read(as_image(cv2.cvtColor(code, cv2.COLOR_BGR2GRAY)))


@pytest.mark.parametrize("size", [(100, 90), (641, 361), (1280, 720)])
def test_code_is_read_back(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    for number in (0, 1, 1234, 4095, 4096 + 7):
        timecode.paint(image, number)
        assert read(image) == number % timecode.NUMBERS
        again = cv2.resize(image, (size[0] * 3 // 4, size[1] * 3 // 4))
        assert read(as_image(again)) == number % timecode.NUMBERS


@pytest.mark.parametrize("level", [0, 128, 255])
def test_plain_picture_has_no_code(level: int) -> None:
    assert read(np.full((90, 160, 3), level, np.uint8)) is None


def test_wrong_bit_is_noticed() -> None:
    image = np.zeros((360, 640, 3), np.uint8)
    timecode.paint(image, 1234)
    rows, columns = timecode.area(640, 360)
    cell = image[rows, columns][:16, :25]
    cell[:] = 176 - cell
    assert read(image) is None


def test_code_on_the_chest_comes_through_segmentation() -> None:
    """In every frame of the clip the network leaves the code in the picture."""
    recorder = Recorder()
    frames = held_frames(SIZE)[::9]
    source = Memory(frames, coded=True)
    Pipeline(source, "green", [recorder], max_frames=len(frames)).run()
    assert [read(o.image) for o in recorder.frames] == list(range(len(frames)))


def test_delays_count_a_picture_once() -> None:
    image = np.zeros((360, 640, 3), np.uint8)
    code = image[timecode.area(640, 360)][..., 0]
    now = time.perf_counter()
    delays = Delays({5: now - 25, 6: now - 12})
    for number in (5, 5, 6, 9):
        timecode.paint(image, number)
        delays(code)
    image[:] = 0
    delays(code)
    assert [round(delay) for _, delay in delays.seen] == [25, 12]
    assert delays.unreadable == 2


def test_window_is_read_from_the_screen(display: str, tmp_path: Path) -> None:
    """In a process of its own: Qt does not always paint windows that follow one another."""
    pytest.importorskip("mss")
    size = f"{SIZE[0]}x{SIZE[1]}"
    options = ["--path", "window", "--size", size, "--rounds", "1", "--seconds", "1"]
    done = run("bench", *options, "-o", tmp_path / "found", DISPLAY=f":{display}")
    assert done.returncode == 0, done.stderr
    [row] = records.read(tmp_path / "found" / "bench.json")["results"]
    glass, ages = row["stages"]["glass"], row["stages"]["age"]
    assert glass["count"] > 3
    assert ages["p50"] / 2 < glass["p50"] < 2000


def test_window_without_mss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mss", None)
    with pytest.raises(ConfigError, match=r"needs mss; install it with: pip install"):
        measure([Case(size=SIZE, path="window")], rounds=1, seconds=0.1)


@pytest.mark.camera
def test_virtual_camera_is_read_as_a_camera() -> None:
    [result] = measure([Case(size=SIZE, path="virtual")], rounds=1, seconds=5.0)
    assert len(result.pooled("glass")) > 3
    assert np.median(result.pooled("glass")) < 5000
