"""Which mask is believed, and `livecut relabel` as a person runs it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from livecut.errors import ConfigError
from livecut.evaluation.dataset import read_folder
from livecut.frame import Image
from livecut.training.relabel import (
    CONFIRMED,
    JOINED,
    KEPT,
    LEFT_OUT,
    TAKEN,
    judge,
    read_agreement,
    relabel_folder,
)
from tests.commands.test_cli import assert_one_clear_line, run


def block(first: int, last: int, value: int = 255) -> Image:
    mask = np.zeros((20, 100), np.uint8)
    mask[:, first:last] = value
    return mask


MASK = block(20, 60)
NEAR, FAR = block(20, 58, 250), block(20, 40, 250)


@pytest.mark.parametrize(
    ("alpha", "agree", "join", "drop", "expected", "verdict"),
    [
        (FAR, 0.85, False, False, FAR, TAKEN),
        (FAR, 0.84, False, False, MASK, KEPT),
        (FAR, 0.84, False, True, None, LEFT_OUT),
        (NEAR, 0.2, False, True, NEAR, CONFIRMED),
        (block(50, 90, 200), 0.9, True, False, cv2.max(MASK, block(50, 90, 200)), JOINED),
        (FAR, 0.2, True, False, MASK, KEPT),
    ],
)
def test_whom_to_believe(
    alpha: Image, agree: float, join: bool, drop: bool, expected: Image | None, verdict: str
) -> None:
    found, said = judge(MASK, alpha, agree, join=join, drop=drop)
    assert said == verdict
    assert found is expected or np.array_equal(found, expected)  # type: ignore[arg-type]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three pictures for training, of two sources, and one for validation."""
    folder = tmp_path / "data"
    for split, names in (("train", ("desk_1", "desk_2", "sofa_1")), ("val", ("desk_9",))):
        for part, content in (("images", np.zeros((20, 100, 3), np.uint8)), ("masks", MASK)):
            (folder / split / part).mkdir(parents=True)
            for name in names:
                cv2.imwrite(str(folder / split / part / f"{name}.png"), content)
    (folder / "rooms").mkdir()
    return folder


@pytest.fixture
def teachers(tmp_path: Path) -> Path:
    folder = tmp_path / "teachers"
    folder.mkdir()
    for name in ("desk_1", "desk_2"):
        cv2.imwrite(str(folder / f"{name}.png"), FAR)
    (folder / "agreement.tsv").write_text("name\tagree\ndesk_1\t0.95\ndesk_2\t0.5\n")
    return folder


def test_a_folder_is_relabelled(data: Path, teachers: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = relabel_folder(read_folder(data).train, teachers, data, out)
    assert found == {"desk": {TAKEN: 1, KEPT: 1}, "sofa": {KEPT: 1}}
    made = read_folder(out)
    masks = {p.image.stem: p.read()[1] for p in made.train}
    assert np.array_equal(masks["desk_1"], FAR)
    assert np.array_equal(masks["desk_2"], MASK)
    assert np.array_equal(masks["sofa_1"], MASK)
    assert len(made.val) == 1


def test_what_is_dropped_has_no_picture_either(data: Path, teachers: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = relabel_folder(read_folder(data).train, teachers, data, out, drop=True)
    assert found == {"desk": {TAKEN: 1, LEFT_OUT: 1}, "sofa": {LEFT_OUT: 1}}
    assert [p.image.stem for p in read_folder(out).train] == ["desk_1"]


def test_relabel_prints_a_table(data: Path, teachers: Path, tmp_path: Path) -> None:
    done = run("relabel", "--data", data, "--teachers", teachers, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    row = next(line for line in done.stdout.splitlines() if line.startswith(b"desk"))
    assert row.split() == [b"desk", b"1", b"0", b"0", b"1", b"0"]
    again = run("relabel", "--data", data, "--teachers", teachers, "-o", tmp_path / "out")
    assert_one_clear_line(again, "is there already")


def test_bad_tables_and_alpha_are_named(data: Path, teachers: Path, tmp_path: Path) -> None:
    pairs = read_folder(data).train
    (teachers / "desk_1.png").unlink()
    with pytest.raises(ConfigError, match=r"desk_1\.png"):
        relabel_folder(pairs, teachers, data, tmp_path / "a")
    cv2.imwrite(str(teachers / "desk_1.png"), FAR[:10])
    with pytest.raises(ConfigError, match="they must agree"):
        relabel_folder(pairs, teachers, data, tmp_path / "b")
    (teachers / "agreement.tsv").write_text("name\tagree\ndesk_1\tmuch\n")
    with pytest.raises(ConfigError, match="expected both"):
        read_agreement(teachers)
    (teachers / "agreement.tsv").unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        read_agreement(teachers)
