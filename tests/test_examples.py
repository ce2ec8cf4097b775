"""Each of examples/ runs, on the beginning of the demo clip."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.clips import shorten_demo

EXAMPLES = Path(__file__).parent.parent / "examples"
Run = Callable[..., None]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs an example by its name with arguments, in a folder that has clip.mp4 of 8 frames."""
    monkeypatch.chdir(tmp_path)
    shorten_demo(tmp_path / "clip.mp4", 8)

    def run(name: str, *arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")

    return run


def frames(path: str) -> list[np.ndarray]:
    """The pictures of a video."""
    capture, found = cv2.VideoCapture(path), []
    while (read := capture.read())[0]:
        found.append(read[1])
    return found


def test_a_picture_is_cut_out(run: Run) -> None:
    cv2.imwrite("me.png", frames("clip.mp4")[0])
    run("cutout.py", "me.png", "out.png")
    out = cv2.imread("out.png", cv2.IMREAD_UNCHANGED)
    assert out is not None
    assert out.shape == (360, 640, 4)
    assert (out[..., 3] == 255).mean() > 0.1
    assert (out[..., 3] == 0).mean() > 0.1


def test_a_source_is_gone_through_frame_by_frame(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run("cutouts.py", "clip.mp4")
    shares = [float(line.removesuffix(" %")) for line in capsys.readouterr().out.splitlines()]
    assert len(shares) == 8
    assert all(10 < share < 90 for share in shares)


def test_a_background_of_ones_own(run: Run) -> None:
    run("own_background.py", "clip.mp4", "out.mp4")
    before, after = frames("clip.mp4"), frames("out.mp4")
    assert len(after) == len(before)
    corner, middle = np.s_[:40, -40:], np.s_[100:140, 300:340]
    change = cv2.absdiff(before[4], after[4])
    assert change[corner].mean() > 40
    assert change[middle].mean() < 15


def test_several_sources_on_one_network(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("several_sources.py", "out", "clip.mp4", "clip.mp4")
    assert capsys.readouterr().out.count("clip.mp4: 8 frames, ") == 2
    assert [len(frames(f"out/{number}.mp4")) for number in (1, 2)] == [8, 8]


def test_mattes_of_a_video(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("matte.py", "clip.mp4", "mattes")
    assert capsys.readouterr().out == "8 mattes in mattes\n"
    matte = cv2.imread("mattes/000007.png", cv2.IMREAD_UNCHANGED)
    assert matte is not None
    assert matte.shape == (360, 640)
    assert 0.1 < matte.mean() / 255 < 0.9


def test_every_example_is_tried_and_listed() -> None:
    names = {path.name for path in EXAMPLES.glob("*.py")}
    here = Path(__file__).read_text(encoding="utf-8")
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert len(names) == 5
    assert all(f'run("{name}"' in here and f"examples/{name} " in listed for name in names)
