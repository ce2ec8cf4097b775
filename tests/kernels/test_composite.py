"""The composites against the reference, in levels of 0..255."""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from livecut.frame import Cutout, Frame, Image, Size
from livecut.kernels import reference
from livecut.kernels.composite import (
    composite,
    composite_rows,
    cutout,
    premultiply,
    unpremultiply,
)
from livecut.kernels.edges import (
    EdgeColourEstimator,
    EdgeColours,
    cell_means,
    cell_size,
    cells_min_size,
)
from tests.kernels.cases import ALPHAS, SIZES, alpha_of, apart, noise, picture

ONE, OTHER = (40, 80, 120), (200, 180, 160)


def plain(alpha: Image, person: tuple[int, ...], old: tuple[int, ...]) -> EdgeColours:
    """Edges of a cutout whose person and old background have everywhere the same two colours."""
    height, width = alpha.shape
    cell = cell_size((width, height))
    mean = np.empty((-(-height // cell), -(-width // cell)), np.float32)
    cell_means(alpha, cell, mean)
    colours = np.empty((2, mean.shape[0] + 1, mean.shape[1] + 1, 3), np.uint8)
    colours[0], colours[1] = person, old
    return mean, colours, cell


def softened(
    frame: Image, alpha: Image, person: tuple[int, ...], old: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The reference's colour and alpha for `plain`."""
    colours = (np.full(frame.shape, colour, np.float64) for colour in (person, old))
    return reference.soft_edges(frame, alpha / 255, *colours)


@pytest.mark.parametrize("size", [(64, 48), (61, 37), (1, 1), (1280, 720)])
@pytest.mark.parametrize("old", [ONE, OTHER])
def test_composite_with_plain_colours(size: Size, old: tuple[int, ...]) -> None:
    frame, background, alpha = noise(size), picture(size), alpha_of("noise", size)
    out = np.empty_like(frame)
    composite(frame, alpha, plain(alpha, ONE, old), background, out)
    expected = reference.composite(*softened(frame, alpha, ONE, old), background)
    assert apart(out, expected).max() <= 3.5
    assert apart(out, expected).mean() <= 0.8


@pytest.mark.parametrize("old", [ONE, OTHER])
def test_cutout_with_plain_colours(old: tuple[int, ...]) -> None:
    frame, alpha = noise((64, 48)), np.zeros((48, 64), np.uint8)
    alpha[10:20], alpha[20:30], alpha[30:] = 1, 200, 255
    out = np.empty((48, 64, 4), np.uint8)
    cutout(frame, alpha, plain(alpha, ONE, old), out)
    expected = reference.cutout(*softened(frame, alpha, ONE, old))
    both = (out[..., 3] > 0) == (expected[..., 3] > 0)  # 0 or 1 is a matter of rounding
    assert both.mean() > 0.99
    assert not out[:10].any()
    assert apart(out, expected)[both].max() <= 3
    assert (out[30:, :, :3] == frame[30:]).all()
    assert (out[..., 3] == alpha).all() or old != ONE, "with one colour alpha alone decides"


@pytest.mark.parametrize(
    ("size", "kind"), [*product(SIZES, ALPHAS), ((1440, 1440), "soft")], ids=str
)
def test_composite_and_cutout(size: Size, kind: str) -> None:
    """To a level on average of the soft pixels; exact where alpha is 0 or 255.

    The kernels round the person's and the old background's colours to bytes. Where these two are
    near each other, a level of them moves a pixel's place between them far: by up to 16 levels.
    """
    frame, background, alpha = picture(size), noise(size), alpha_of(kind, size)
    edges = EdgeColourEstimator(size)(Cutout(Frame(frame, 0, 0.0, 0.0), alpha))
    reduced = reference.reduce(frame, cells_min_size(size))
    colours = reference.edge_colours(reduced, alpha / 255, cell_size(size))
    colour, shown = reference.soft_edges(frame, alpha / 255, *colours)
    soft = (alpha > 0) & (alpha < 255)
    out, straight = np.empty_like(frame), np.empty((*alpha.shape, 4), np.uint8)
    composite(frame, alpha, edges, background, out)
    cutout(frame, alpha, edges, straight)
    expected, cut = reference.composite(colour, shown, background), reference.cutout(colour, shown)
    both = soft & (straight[..., 3] > 0) & (cut[..., 3] > 0)  # 0 or 1 is a matter of rounding
    if soft.any():
        assert apart(out, expected)[soft].max() <= 16
        assert apart(out, expected)[soft].mean() <= 1
        assert apart(straight, cut)[..., 3].max() <= 16
    if both.any():
        assert apart(straight, cut)[both].max() <= 16
        assert apart(straight, cut)[both].mean() <= 1
    assert (out[alpha == 0] == background[alpha == 0]).all()
    assert (out[alpha == 255] == frame[alpha == 255]).all()
    assert not straight[straight[..., 3] == 0].any()
    assert not straight[alpha == 0].any()
    assert (straight[alpha == 255][:, :3] == frame[alpha == 255]).all()
    assert (straight[alpha == 255][:, 3] == 255).all()


def test_a_pixel_is_drawn_to_whom_its_colour_tells() -> None:
    """Alpha is 128 everywhere, the person dark and the old background bright."""
    frame = np.full((16, 24, 3), 20, np.uint8)
    frame[:, 8:16] = 220
    frame[:, 16:] = 180
    alpha = np.full((16, 24), 128, np.uint8)
    out = np.empty((16, 24, 4), np.uint8)
    cutout(frame, alpha, plain(alpha, (20,) * 3, (220,) * 3), out)
    assert (out[:, :8] == (20, 20, 20, 128)).all(), "the person's stays"
    assert out[:, 8:16, 3].max() < 72, "of the background's colour half of the alpha goes"
    assert (out[:, 16:, 3] > 72).all(), "between, less"
    assert (out[:, 16:, 3] < 128).all()
    assert out[..., 2].max() <= 128, "and no colour stays the background's"
    cutout(frame, alpha, plain(alpha, (20,) * 3, (24,) * 3), out)
    assert (np.abs(out[..., 3].astype(int) - 128) <= 2).all(), "colours too near to tell"


@pytest.mark.parametrize(("height", "few"), [(720, 90), (101, 13), (8, 1), (5, 5), (1, 1)])
@pytest.mark.parametrize("kind", ALPHAS)
def test_composite_rows(height: int, few: int, kind: str) -> None:
    """The background is cut to whole levels, and the composite too."""
    size = (64, height)
    frame, rows, alpha = noise(size), picture((64, few)), alpha_of(kind, size)
    out = np.empty_like(frame)
    composite_rows(frame, alpha, rows, out)
    expected = reference.composite(frame, alpha / 255, reference.resize(rows, size))
    assert apart(out, expected).max() <= 3
    assert (out[alpha == 255] == frame[alpha == 255]).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ALPHAS)
@pytest.mark.parametrize("box", [3, 9])
def test_blur_of_the_background(size: Size, kind: str, box: int) -> None:
    """Exact but for the last rounding."""
    image, alpha = picture(size), alpha_of(kind, size)
    weighted = np.empty((*alpha.shape, 4), np.float32)
    premultiply(image, alpha, weighted)
    for _ in range(3):
        cv2.blur(weighted.copy(), (box, box), dst=weighted, borderType=cv2.BORDER_REPLICATE)
    out = np.empty_like(image)
    unpremultiply(weighted, out)
    assert apart(out, reference.blur_background(image, alpha / 255, box)).max() <= 0.51
