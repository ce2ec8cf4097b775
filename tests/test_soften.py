"""Soft edges for hard masks, on figures that the test makes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from livecut.cli import cli
from livecut.errors import ConfigError
from livecut.frame import Image, as_image
from livecut.labelled import read_folder
from livecut.training.soften import REACH, soften, soften_folder

SIZE = (200, 150)


def disc(at: tuple[int, int] = (100, 75)) -> Image:
    mask = np.zeros(SIZE[::-1], np.uint8)
    cv2.circle(mask, at, 45, 255, -1)
    return mask


def blurred(mask: Image) -> Image:
    return as_image(cv2.GaussianBlur(mask, (0, 0), 1.2))


def test_takes_the_teachers_edge_and_nothing_else() -> None:
    mask = disc()
    teacher = blurred(mask)
    got = soften(mask, teacher)
    person = (mask > 127).astype(np.uint8)
    far = np.maximum(*(cv2.distanceTransform(m, cv2.DIST_L2, 3) for m in (person, 1 - person)))
    near = far <= REACH * np.hypot(*mask.shape)
    assert (got[near] == teacher[near]).all()
    assert (got[~near] == mask[~near]).all()
    assert ((got > 0) & (got < 255)).sum() > 100


def test_where_the_teacher_is_wrong_the_mask_stays() -> None:
    """It misses the left half, and sees somebody on the right."""
    mask = disc()
    teacher = blurred(mask)
    teacher[:, :100] = 0
    teacher[40:110, 150:] = 255
    got = soften(mask, teacher)
    assert (got[:, :90] == mask[:, :90]).all()
    assert (got[60:90, 147:] == mask[60:90, 147:]).all()
    soft = (got > 0) & (got < 255)
    assert soft[:, 105:125].any(), "above and below on the right it is right"


def test_a_mask_without_an_edge_stays() -> None:
    teacher = np.full(SIZE[::-1], 128, np.uint8)
    for level in (0, 255):
        mask = np.full(SIZE[::-1], level, np.uint8)
        assert (soften(mask, teacher) == mask).all()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for part in ("train/images", "train/masks", "val/images", "val/masks", "rooms"):
        (root / part).mkdir(parents=True)
    for split in ("train", "val"):
        for i in range(3):
            mask = disc((90 + 5 * i, 75))
            cv2.imwrite(str(root / split / "images" / f"a_{i}.png"), cv2.merge([mask] * 3))
            cv2.imwrite(str(root / split / "masks" / f"a_{i}.png"), mask)
    cv2.imwrite(str(root / "rooms" / "r.png"), np.zeros((20, 20, 3), np.uint8))
    return root


def test_a_folder_that_was_broken_off_goes_on(folder: Path, tmp_path: Path) -> None:
    out, asked = tmp_path / "soft", list[Image]()

    def teacher(image: Image) -> Image:
        asked.append(image)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return blurred(as_image(image[..., 0]))

    pairs = read_folder(folder).train
    with pytest.raises(KeyboardInterrupt):
        soften_folder(pairs, teacher, folder, out)
    with pytest.raises(ConfigError):
        read_folder(out)
    soften_folder(pairs, teacher, folder, out)
    assert len(asked) == 4, "the first was not done again"
    found, before = read_folder(out), read_folder(folder)
    assert (len(found.train), len(found.val), len(found.rooms)) == (3, 3, 1)
    for soft, hard in zip(found.train, before.train, strict=True):
        assert (soft.read()[0] == hard.read()[0]).all()
        mask = soft.read()[1]
        assert ((mask > 0) & (mask < 255)).any()
        assert set(np.unique(hard.read()[1])) == {0, 255}
    assert not list(out.rglob("*.part"))


def test_by_command_with_a_bad_folder(tmp_path: Path) -> None:
    for part in ("images", "masks"):
        (tmp_path / "flat" / part).mkdir(parents=True)
        for i in range(20):
            cv2.imwrite(str(tmp_path / "flat" / part / f"{i}.png"), cv2.merge([disc()] * 3))
    data = ["--data", str(tmp_path / "flat"), "--out", str(tmp_path / "soft")]
    done = CliRunner().invoke(cli, ["soften", *data, "--model", "live", "--device", "cpu"])
    assert isinstance(done.exception, ConfigError)
    assert "has no train/images and train/masks" in str(done.exception)
    assert not (tmp_path / "soft").exists()
