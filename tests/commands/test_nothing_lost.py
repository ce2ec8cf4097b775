"""No command replaces a file unasked, and none ever replaces one that it reads."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.clips import flat, write
from tests.commands.test_cli import assert_one_clear_line, frames_in, run

PERSON = (200, 60, 40)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write(tmp_path / "in.mp4", [flat((64, 48), PERSON)] * 4)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "in.png"
    cv2.imwrite(str(path), flat((64, 48), PERSON))
    return path


def assert_refused(tmp_path: Path, *arguments: str | Path, says: str) -> None:
    """One line, and every file below `tmp_path` as it was."""
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert_one_clear_line(run(*arguments), says)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("link", ["itself", "soft", "hard", "folder", "part"])
def test_the_file_that_is_read_is_never_replaced(link: str, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    if link == "itself":
        out = clip
    elif link == "soft":
        out.symlink_to(clip)
    elif link == "hard":
        os.link(clip, out)
    elif link == "folder":
        (tmp_path / "door").symlink_to(tmp_path)
        out = tmp_path / "door" / "in.mp4"
    else:
        (tmp_path / "out.mp4.part").symlink_to(clip)
    assert_refused(
        tmp_path, "run", clip, "-b", "green", "-o", out, "--overwrite", says="which is read"
    )


def test_no_file_of_several_sources_and_no_background_is_replaced(
    clip: Path, picture: Path, tmp_path: Path
) -> None:
    other = write(tmp_path / "other.mp4", [flat((64, 48), PERSON)] * 4)
    several = ("run", "--source", clip, "--source", other, "--overwrite")
    assert_refused(tmp_path, *several, "-o", other, "-o", tmp_path / "b.mp4", says="which is read")
    twice = ("-o", tmp_path / "b.mp4", "-o", tmp_path / "x" / ".." / "b.mp4")
    (tmp_path / "x").mkdir()
    assert_refused(tmp_path, *several, *twice, says="two outputs would write")
    one = ("run", clip, "--overwrite", "-b")
    assert_refused(tmp_path, *one, other, "-o", other, says="which is read")
    assert_refused(tmp_path, *one, picture, "-o", picture, says="which is read")


def test_a_frame_that_is_the_background_is_not_replaced(clip: Path, tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    cv2.imwrite(str(frames / "000002.png"), flat((64, 48), (0, 255, 0)))
    words = ("run", clip, "-b", frames / "000002.png", "-o", f"{frames}/")
    assert_refused(tmp_path, *words, "--overwrite", says="which is read")


@pytest.mark.parametrize("name", ["out.mp4", "out.webm", "out.png", "out/"])
def test_a_run_replaces_a_file_only_when_told(name: str, clip: Path, tmp_path: Path) -> None:
    words = ("run", clip, "-b", "green", "-o", f"{tmp_path}/{name}", "--max-frames", "2")
    done = run(*words)
    assert done.returncode == 0, done.stderr
    assert_refused(tmp_path, *words, says="give --overwrite")
    done = run(*words, "--overwrite")
    assert done.returncode == 0, done.stderr


def test_an_unfinished_file_is_neither_replaced_nor_read(clip: Path, tmp_path: Path) -> None:
    part = tmp_path / "out.mkv.part"
    part.write_bytes(write(tmp_path / "whole.mkv", [flat((64, 48), PERSON)] * 4).read_bytes())
    words = ("run", clip, "-b", "green", "-o", tmp_path / "out.mkv")
    assert_refused(tmp_path, *words, says="another run writes or left unfinished")
    read = ("run", part, "-b", "green", "-o", tmp_path / "b.mkv")
    assert_refused(tmp_path, *read, says="is unfinished")
    behind = ("run", clip, "-b", part, "-o", tmp_path / "b.mkv")
    assert_refused(tmp_path, *behind, says="is unfinished")
    done = run(*words, "--overwrite")
    assert done.returncode == 0, done.stderr
    assert len(frames_in(tmp_path / "out.mkv")) == 4
    assert not part.exists()


def test_image_replaces_nothing_that_it_reads(picture: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    picture.rename(folder / "a.png")
    cv2.imwrite(str(folder / "b.png"), flat((64, 48), PERSON))
    assert_refused(
        tmp_path, "image", folder, "-o", folder, "--overwrite", says="photos/a.png, which is read"
    )
    (tmp_path / "a.png").symlink_to(folder / "b.png")
    link = ("image", folder / "b.png", "-o", tmp_path / "a.png", "--alpha", "--overwrite")
    assert_refused(tmp_path, *link, says="which is read")
    behind = ("image", folder / "a.png", "-b", folder / "b.png", "-o", folder / "b.png")
    assert_refused(tmp_path, *behind, "--overwrite", says="which is read")


def test_image_replaces_pictures_only_when_told(tmp_path: Path) -> None:
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        cv2.imwrite(str(folder / name), flat((64, 48), PERSON))
    assert run("image", folder, "-o", out, "--alpha").returncode == 0
    (out / "a.png").unlink()
    again = ("image", folder, "-o", out, "--cutout")
    assert_refused(tmp_path, *again, says="it is there already, and so is 1 other")
    done = run(*again, "--overwrite")
    assert done.returncode == 0, done.stderr
    for name in ("a.png", "b.png", "c.png"):
        found = cv2.imread(str(out / name), cv2.IMREAD_UNCHANGED)
        assert found is not None
        assert np.asarray(found).shape == (48, 64, 4)
