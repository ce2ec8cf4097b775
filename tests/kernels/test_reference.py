"""The reference itself, against what is known without it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from livecut.frame import BT601, BT709, NV12, YUYV, PixelFormat, i420
from livecut.kernels import reference
from livecut.kernels.constants import ALPHA_MARGIN, GUIDED_EPSILON
from tests.kernels.cases import noise, picture

FORMATS = [YUYV, NV12, i420(BT601), i420(BT709)]


@pytest.mark.parametrize(
    ("bgr", "weights", "yuv"),
    [
        ((0, 0, 0), BT601, (16, 128, 128)),
        ((255, 255, 255), BT709, (235, 128, 128)),
        ((0, 0, 255), BT601, (81, 90, 240)),
        ((0, 255, 0), BT601, (145, 54, 34)),
        ((255, 0, 0), BT601, (41, 240, 110)),
        ((0, 0, 255), BT709, (63, 102, 240)),
        ((0, 255, 0), BT709, (173, 42, 26)),
        ((255, 0, 0), BT709, (32, 240, 118)),
    ],
)
def test_luma_and_chroma_of_the_colour_bars(
    bgr: tuple[int, int, int], weights: tuple[float, float], yuv: tuple[int, int, int]
) -> None:
    """The levels of 100 % colour bars, as test equipment shows them."""
    got = reference.luma_chroma(np.full((1, 1, 3), bgr), weights)[0, 0]
    assert np.round(got).tolist() == list(yuv)


@pytest.mark.parametrize("pixel_format", FORMATS, ids=str)
def test_a_plain_picture_comes_back_from_every_format(pixel_format: PixelFormat) -> None:
    for bgr in ((0, 0, 0), (255, 255, 255), (30, 90, 200), (250, 10, 60)):
        image = np.full((4, 6, 3), bgr, np.uint8)
        back = reference.to_bgr(reference.from_bgr(image, pixel_format), pixel_format)
        assert np.abs(back - image).max() <= 2, "a level of luma or chroma is up to two of colour"


def test_resize_to_half_is_the_mean_of_four() -> None:
    image = noise((64, 48)).astype(float)
    four = image.reshape(24, 2, 32, 2, 3).mean((1, 3))
    assert np.allclose(reference.resize(image, (32, 24)), four)
    assert np.allclose(reference.resize(image, (64, 48)), image)


def test_a_line_is_the_least_squares_of_its_window() -> None:
    guide, alpha = noise((5, 5), 2).astype(float).transpose(2, 0, 1) / 255
    slope, offset = reference.fit_lines(guide, alpha)
    # eps is a ridge on the slope: 25 eps a^2 beside the 25 squared errors.
    x, y = guide.ravel() - guide.mean(), alpha.ravel() - alpha.mean()
    a = (x @ y) / (x @ x + 25 * GUIDED_EPSILON)
    assert slope[2, 2] * (1 - 2 * ALPHA_MARGIN) == pytest.approx(a)
    middle = slope[2, 2] * guide.mean() + offset[2, 2]
    assert middle * (1 - 2 * ALPHA_MARGIN) + ALPHA_MARGIN == pytest.approx(alpha.mean())


def test_guided_filter_moves_an_edge_to_that_of_the_picture() -> None:
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, 37:] = 200
    alpha = np.zeros((10, 20))
    alpha[:, 9:] = 1
    small = np.asarray(cv2.resize(image, (20, 10), interpolation=cv2.INTER_AREA), np.uint8)
    got = reference.guided_filter(image, small, alpha)
    assert (got[:, :37] < 0.3).all()
    assert (got[:, 37:] > 0.7).all()


def test_blur_of_a_point_has_the_variance_of_its_boxes() -> None:
    image, width = np.zeros((41, 41, 3)), 5
    image[20, 20] = 255
    row = reference.blur_background(image, np.zeros((41, 41)), width)[:, :, 0].sum(0)
    variance = (row * (np.arange(41) - 20) ** 2).sum() / row.sum()
    assert variance == pytest.approx(3 * (width**2 - 1) / 12)


def test_blur_takes_no_colour_from_the_person() -> None:
    image, alpha = np.full((30, 40, 3), 90.0), np.zeros((30, 40))
    image[:, :20], alpha[:, :20] = 255, 1
    assert np.abs(reference.blur_background(image, alpha, 3)[:, 25:] - 90).max() < 0.5


def test_edge_colours_are_those_beside_the_edge() -> None:
    """The person is above dark, below bright; the old background has one colour."""
    image, alpha = np.full((64, 96, 3), 150.0), np.zeros((64, 96))
    image[:32, :50], image[32:, :50] = 20, 240
    alpha[:, :48], alpha[:, 48:52] = 1, 0.5
    person, old = reference.edge_colours(image, alpha, 8)
    assert np.abs(person[:16, 40:56] - 20).max() < 8
    assert np.abs(person[48:, 40:56] - 240).max() < 8
    assert np.abs(old[:, 40:60] - 150).max() < 8


def test_soft_edges_are_the_frame_and_alpha_at_their_ends() -> None:
    image, alpha = picture((64, 48)), np.zeros((48, 64))
    alpha[:, 32:] = 1
    person = noise((64, 48)).astype(np.float64)
    old = 255 - person
    colour, shown = reference.soft_edges(image, alpha, person, old)
    assert (shown == alpha).all()
    assert np.allclose(colour[:, 32:], image[:, 32:])
