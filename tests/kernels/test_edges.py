"""The colours at soft edges against the reference."""

from __future__ import annotations

import numpy as np
import pytest

from livecut.frame import Cutout, Frame, Size
from livecut.kernels import reference
from livecut.kernels.edges import (
    EdgeColourEstimator,
    cell_means,
    cell_size,
    cells_min_size,
    corner_colours,
    premultiply_cells,
)
from tests.kernels.cases import ALPHAS, SIZES, alpha_of, apart, noise, picture


@pytest.mark.parametrize("size", [(64, 48), (61, 37), (1, 1), (20, 8), (320, 181)])
@pytest.mark.parametrize("cell", [8, 16])
def test_cell_means_are_exact_at_their_ends(size: Size, cell: int) -> None:
    alpha = noise(size, 1)[..., 0].copy()
    alpha[:16, :16], alpha[-1:, -1:] = 0, 255
    alpha[16:32, 16:32] = 255
    mean = np.empty((-(-size[1] // cell), -(-size[0] // cell)), np.float32)
    cell_means(alpha, cell, mean)
    assert apart(mean, reference.cell_means(alpha / 255, cell)).max() < 1e-6
    for y, x in np.ndindex(mean.shape):
        block = alpha[y * cell : (y + 1) * cell, x * cell : (x + 1) * cell]
        assert (mean[y, x] == 0) == (not block.any())
        assert (mean[y, x] == 1) == bool((block == 255).all())


@pytest.mark.parametrize("shape", [(12, 14), (1, 1), (1, 9), (5, 2)])
def test_corner_colours(shape: tuple[int, int]) -> None:
    """Half a level of rounding, at the corners of soft cells; others are left alone."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*shape, 3), np.uint8)
    mean = (rng.random(shape) * 3 - 1).clip(0, 1).astype(np.float32)
    mean[0, 0] = 0.5
    weighted = np.empty((*shape, 4), np.float32)
    out = np.full((shape[0] + 1, shape[1] + 1, 3), 7, np.uint8)
    premultiply_cells(image, mean, weighted)
    corner_colours(weighted, mean, out)
    soft = np.zeros(out.shape[:2], bool)
    for y, x in np.argwhere((mean > 0) & (mean < 1)):
        soft[y : y + 2, x : x + 2] = True
    expected = reference.corner_colours(image, mean.astype(np.float64))
    assert apart(out, expected)[soft].max() <= 0.51
    assert (out[~soft] == 7).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ALPHAS)
def test_estimator(size: Size, kind: str) -> None:
    """To the level that reducing the frame to cells rounds off, and half of one for each colour."""
    image, alpha, cell = picture(size), alpha_of(kind, size), cell_size(size)
    mean, colours, used = EdgeColourEstimator(size)(Cutout(Frame(image, 0, 0.0, 0.0), alpha))
    assert used == cell
    expected = reference.cell_means(alpha / 255, cell)
    assert apart(mean, expected).max() < 1e-6
    reduced = reference.reduce(image, cells_min_size(size))
    cells = reference.resize(reduced, (mean.shape[1], mean.shape[0]))
    soft = np.zeros(colours.shape[1:3], bool)
    for y, x in np.argwhere((mean > 0) & (mean < 1)):
        soft[y : y + 2, x : x + 2] = True
    for got, share in zip(colours, (expected, 1 - expected), strict=True):
        difference = apart(got, reference.corner_colours(cells, share))[soft]
        assert difference.max(initial=0) <= 2.5


def test_corner_colours_are_those_of_the_nearest_of_the_person() -> None:
    """Red above, blue below, alpha falling to the right; no white of the background in them."""
    mean = np.zeros((12, 14), np.float32)
    mean[:, :6], mean[:, 6], mean[:, 7] = 1, 0.5, 0.01
    image = np.full((12, 14, 3), 255, np.uint8)
    image[:6, :6], image[6:, :6] = (0, 0, 200), (200, 0, 0)
    weighted, out = np.empty((12, 14, 4), np.float32), np.zeros((13, 15, 3), np.uint8)
    premultiply_cells(image, mean, weighted)
    corner_colours(weighted, mean, out)
    assert np.abs(out[1, 6].astype(int) - (0, 0, 200)).max() <= 2
    assert np.abs(out[11, 6].astype(int) - (200, 0, 0)).max() <= 2
    assert np.abs(out[6, 6].astype(int) - (100, 0, 100)).max() <= 2
    assert out[:, 6:9, 1].max() <= 16, "of the cell at 0.5, which is half background"
    assert not out[:, :5].any(), "not computed where nothing is soft"
    assert not out[:, 9:].any()
