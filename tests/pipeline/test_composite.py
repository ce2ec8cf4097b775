"""One picture over another background, from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import livecut
from livecut.frame import Image
from livecut.testing import PERSON, ROOM, room_picture, shows_room


def person() -> tuple[Image, Image]:
    image = room_picture(128, 96)
    return image, np.where((image == PERSON).all(-1), np.uint8(255), np.uint8(0))


def test_over_a_colour_a_file_and_an_array_of_any_size(tmp_path: Path) -> None:
    image, alpha = person()
    red = np.full((40, 90, 3), (0, 0, 200), np.uint8)
    cv2.imwrite(str(tmp_path / "red.png"), red)
    for background in ("#c80000", str(tmp_path / "red.png"), red, red[:, ::-1]):
        out = livecut.composite(image, alpha, background)
        assert out.shape == image.shape
        assert out.dtype == np.uint8
        assert np.abs(out[0, 0].astype(int) - (0, 0, 200)).max() <= 1
        assert np.abs(out[60, 64].astype(int) - PERSON).max() <= 1
        assert not shows_room(out)
    assert (image == person()[0]).all(), "the picture given stays"


def test_transparent_gives_bgra_and_blur_is_the_default() -> None:
    image, alpha = person()
    cut = livecut.composite(image, alpha, "transparent")
    assert cut.shape == (96, 128, 4)
    assert (cut[..., 3] == alpha).all()
    blurred = livecut.composite(image, alpha)
    assert np.abs(blurred[0, 0].astype(int) - ROOM).max() <= 2


def test_views_are_taken() -> None:
    image, alpha = person()
    expected = livecut.composite(image, alpha, "black")
    flipped = livecut.composite(image[:, ::-1], alpha[:, ::-1], "black")
    assert (
        flipped == livecut.composite(image[:, ::-1].copy(), alpha[:, ::-1].copy(), "black")
    ).all()
    assert (livecut.composite(image[..., ::-1][..., ::-1], alpha, "black") == expected).all()


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ((None, None), TypeError, "image is None"),
        ((np.zeros((9, 9, 3), np.uint8), None), TypeError, "alpha is NoneType; expected"),
        ((np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9))), TypeError, "alpha is float64"),
        ((np.zeros((9, 9, 3), np.uint8), np.zeros((9, 8), np.uint8)), ValueError, r"\(9, 8\)"),
        (
            (np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9), np.uint8), "nosuch.jpg"),
            livecut.ConfigError,
            "nosuch.jpg",
        ),
        (
            (np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9), np.uint8), None),
            TypeError,
            "background is None",
        ),
    ],
)
def test_other_things_are_refused_in_one_line(
    arguments: Any, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match) as raised:
        livecut.composite(*arguments)
    assert "\n" not in str(raised.value)
