"""Files are whole or absent, and replaced only where that is wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from livecut.errors import SinkError
from livecut.files import atomic_write, finish_part, make_part, require_free


def test_file_takes_its_place_when_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with atomic_write(path) as part:
        part.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with atomic_write(path) as part:
            part.write_text("half")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_part_of_another_run_is_kept(tmp_path: Path) -> None:
    path, part = tmp_path / "a.mp4", tmp_path / "a.mp4.part"
    assert make_part(path, overwrite=False) == part
    part.write_text("first run")
    with pytest.raises(SinkError, match="another run writes or left unfinished"):
        make_part(path, overwrite=False)
    assert part.read_text() == "first run"
    make_part(path, overwrite=True)
    assert part.read_bytes() == b""


def test_file_made_meanwhile_is_kept_and_so_is_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    make_part(path, overwrite=False).write_text("new")
    path.write_text("made meanwhile")
    with pytest.raises(SinkError, match=r"made it meanwhile; the whole file is .*a\.mp4\.part"):
        finish_part(path, overwrite=False)
    assert path.read_text() == "made meanwhile"
    assert (tmp_path / "a.mp4.part").read_text() == "new"
    finish_part(path, overwrite=True)
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_link_that_leads_nowhere_is_a_file_too(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.symlink_to(tmp_path / "none.mp4")
    with pytest.raises(SinkError, match="it is there already"):
        require_free([path], overwrite=False)
    require_free([path], overwrite=True)


def test_inputs_that_are_no_files_are_passed_over(tmp_path: Path) -> None:
    names = ["0", "demo", "-", "rtsp://192.0.2.7/a", "x" * 5000, "a\0b", ""]
    require_free([tmp_path / "a.mp4"], overwrite=False, inputs=names)
