"""The fused kernels against plain NumPy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from livecut.frame import Image
from livecut.kernels.composite import composite, composite_rows, cutout
from livecut.kernels.constants import (
    MOVING_CHANGE,
    SMOOTH_LIFT,
    SMOOTH_LIMIT_MOVING,
    SMOOTH_LIMIT_STILL,
    SMOOTH_SHARE,
    STILL_CHANGE,
)
from livecut.kernels.edges import (
    EdgeColours,
    cell_means,
    cell_size,
    corner_colours,
    premultiply_cells,
)
from livecut.kernels.guided_filter import (
    FULL,
    UNSURE,
    ZERO,
    apply_lines,
    between_columns,
    find_even_blocks,
    find_sure_blocks,
    fit_lines,
    to_levels,
    window_mean,
)
from livecut.kernels.smoothing import smooth

rng = np.random.default_rng(0)


def picture(
    height: int, width: int, channels: int = 3
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return rng.integers(0, 256, (height, width, channels), np.uint8)


def plain(alpha: Image) -> EdgeColours:
    """Edges of a cutout whose person and room have everywhere the colour (40, 80, 120)."""
    height, width = alpha.shape
    cell = cell_size((width, height))
    mean = np.empty((-(-height // cell), -(-width // cell)), np.float32)
    cell_means(alpha, cell, mean)
    colours = np.empty((2, mean.shape[0] + 1, mean.shape[1] + 1, 3), np.uint8)
    colours[:] = (40, 80, 120)
    return mean, colours, cell


def blended(frame: Image, alpha: Image) -> NDArray[np.float64]:
    """The frame, blended with (40, 80, 120) by the smooth step of alpha."""
    a = alpha[..., None] / 255
    s = a * a * (3 - 2 * a)
    return np.asarray(frame * s + np.array([40, 80, 120]) * (1 - s))


@pytest.mark.parametrize(("height", "width"), [(48, 64), (37, 61), (1, 1), (720, 1280)])
def test_composite_is_the_blend(height: int, width: int) -> None:
    frame, back, alpha = (
        picture(height, width),
        picture(height, width),
        picture(height, width, 1)[..., 0],
    )
    out = np.empty_like(frame)
    composite(frame, alpha, plain(alpha), back, out)
    a = alpha[..., None] / 255
    expected = blended(frame, alpha) * a + back * (1 - a)
    assert np.abs(out - expected).max() <= 3.5


def test_alpha_0_and_255_are_exact() -> None:
    frame, back = picture(48, 64), picture(48, 64)
    alpha = np.zeros((48, 64), np.uint8)
    alpha[:, 32:] = 255
    alpha[20, 30], alpha[28, 40] = 100, 100
    out = np.empty_like(frame)
    composite(frame, alpha, plain(alpha), back, out)
    assert (out[alpha == 0] == back[alpha == 0]).all()
    assert (out[alpha == 255] == frame[alpha == 255]).all()


@pytest.mark.parametrize(("height", "few"), [(720, 90), (101, 13), (8, 1), (5, 5)])
def test_composite_rows_equals_resizing_first(height: int, few: int) -> None:
    frame, rows, alpha = picture(height, 64), picture(few, 64), picture(height, 64, 1)[..., 0]
    out, a = np.empty_like(frame), alpha[..., None] / 255
    composite_rows(frame, alpha, rows, out)
    back = np.asarray(cv2.resize(rows, (64, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    assert np.abs(out - (frame * a + back * (1 - a))).max() <= 3


def test_cutout_has_the_persons_colour_and_none_under_alpha_0() -> None:
    frame = picture(48, 64)
    alpha = np.zeros((48, 64), np.uint8)
    alpha[10:20] = 1
    alpha[20:] = 200
    alpha[30:] = 255
    out = np.empty((48, 64, 4), np.uint8)
    cutout(frame, alpha, plain(alpha), out)
    assert not out[:10].any()
    assert np.abs(out[10:30, :, :3] - blended(frame, alpha)[10:30]).max() <= 3
    assert (out[30:, :, :3] == frame[30:]).all()
    assert (out[..., 3] == alpha).all()


def test_a_pixel_is_drawn_to_whom_its_colour_tells() -> None:
    """Alpha is 128 everywhere, the person dark and the room bright."""
    frame = np.full((16, 24, 3), 20, np.uint8)
    frame[:, 8:16] = 220
    frame[:, 16:] = 180
    alpha = np.full((16, 24), 128, np.uint8)
    mean, colours, cell = plain(alpha)
    colours[0], colours[1] = 20, 220
    out = np.empty((16, 24, 4), np.uint8)
    cutout(frame, alpha, (mean, colours, cell), out)
    assert (out[:, :8] == (20, 20, 20, 128)).all(), "the person's stays"
    assert out[:, 8:16, 3].max() < 72, "of the room's colour half of the alpha goes"
    assert (out[:, 16:, 3] > 72).all(), "between, less"
    assert (out[:, 16:, 3] < 128).all()
    assert out[..., 2].max() <= 128, "and no colour stays the room's"
    colours[1] = 24
    cutout(frame, alpha, (mean, colours, cell), out)
    assert (np.abs(out[..., 3].astype(int) - 128) <= 2).all(), "colours too near to tell"


@pytest.mark.parametrize("size", [(64, 48), (61, 37), (1, 1), (20, 8)])
@pytest.mark.parametrize("cell", [8, 16])
def test_survey_is_the_mean_and_exact_at_its_ends(size: tuple[int, int], cell: int) -> None:
    width, height = size
    alpha = picture(height, width, 1)[..., 0]
    alpha[:16, :16], alpha[-1:, -1:] = 0, 255
    alpha[16:32, 16:32] = 255
    mean = np.empty((-(-height // cell), -(-width // cell)), np.float32)
    cell_means(alpha, cell, mean)
    for y, x in np.ndindex(mean.shape):
        block = alpha[y * cell : (y + 1) * cell, x * cell : (x + 1) * cell]
        assert mean[y, x] == pytest.approx(block.mean() / 255, abs=1e-6)
        assert (mean[y, x] == 0) == (not block.any())
        assert (mean[y, x] == 1) == bool((block == 255).all())


def test_spread_cells_takes_the_nearest_of_the_person() -> None:
    """Red above, blue below, alpha falling to the right; the room, white, is nowhere in the colours."""
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
    assert out[:, 6:9, 1].max() <= 16, "of the cell at 0.5, which is half room"
    assert not out[:, :5].any(), "not computed where nothing is soft"
    assert not out[:, 9:].any()


def near_mean(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over 5x5, the edge mirrored as often as it takes."""
    height, width = plane.shape
    wide = np.pad(plane, 2, mode="symmetric")
    near = [wide[y : y + height, x : x + width] for y in range(5) for x in range(5)]
    return np.asarray(np.mean(near, axis=0))


@pytest.mark.parametrize("size", [(53, 37), (16, 4), (5, 1), (2, 3), (1, 1)])
def test_regress_is_the_line_of_least_squares(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    grey, levels = rng.integers(0, 256, (2, *size[::-1]), np.uint8)
    everywhere = np.ones((size[1], max(1, size[0] // 8)), np.uint8)
    slope, offset = np.empty((2, *size[::-1]), np.float32)
    fit_lines(grey, levels, everywhere, slope, offset)
    i, p = grey / 255.0, levels / 255.0
    mean = near_mean
    s = (mean(i * p) - mean(i) * mean(p)) / (mean(i * i) - mean(i) ** 2 + 1e-3)
    o = (mean(p) - s * mean(i) - 0.08) / 0.84 * 255 + 0.5
    assert np.abs(slope - s / 0.84).max() < 1e-4
    assert np.abs(offset - o).max() < 0.02
    out = np.empty_like(slope)
    window_mean(slope, everywhere, out)
    assert np.abs(out - mean(slope.astype(np.float64))).max() < 1e-4


def test_lines_are_fitted_where_they_are_wanted_alone() -> None:
    rng = np.random.default_rng(0)
    grey, levels = rng.integers(0, 256, (2, 12, 45), np.uint8)
    wanted = rng.integers(0, 2, (12, 5), np.uint8)
    everywhere, some = np.full((2, 3, 12, 45), np.nan, np.float32)
    fit_lines(grey, levels, np.ones_like(wanted), everywhere[0], everywhere[1])
    window_mean(everywhere[0], np.ones_like(wanted), everywhere[2])
    fit_lines(grey, levels, wanted, some[0], some[1])
    window_mean(everywhere[0], wanted, some[2])
    columns = np.minimum(np.arange(45) // 8, 4)
    for planes, border in ((slice(0, 2), 4), (slice(2, 3), 2)):
        near = np.zeros((12, 45), bool)
        for y, x in np.argwhere(wanted[:, columns]):
            near[y, max(0, x - border) : x + border + 1] = True
        assert np.array_equal(some[planes][:, near], everywhere[planes][:, near])
        assert np.isnan(some[planes][:, ~near]).all()


def test_to_levels_takes_the_nearest() -> None:
    alpha = np.array([[0, 0.4 / 255, 0.6 / 255, 0.5, 1, 1 + 1e-6]], np.float32)
    out = np.empty(alpha.shape, np.uint8)
    to_levels(alpha, out)
    assert np.array_equal(out, [[0, 0, 1, 128, 255, 255]])


def widened(plane: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR), np.float32)


@pytest.mark.parametrize("width", [64, 161, 7])
def test_apply_lines(width: int) -> None:
    frame = picture(72, width)
    slope, offset = rng.normal(0, 1, (2, 9, 32)).astype(np.float32)
    offset = offset * 100 + 100
    out, unsure = np.empty(frame.shape[:2], np.uint8), np.zeros((9, 4), np.uint8)
    lines = (slope, offset, *between_columns(width, 32))
    apply_lines(frame, lines, unsure, np.ones_like(unsure), out)
    full = [widened(x, (width, 72)) for x in (slope, offset)]
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    expected = np.clip(full[0] * grey + full[1], 0, 255)
    assert np.abs(out - expected).max() <= 1.01 + np.abs(slope).max()


def test_sure_blocks_are_what_would_have_been_computed() -> None:
    """A person's soft edge between much 0 and much 255: skipping what is known changes nothing."""
    frame = picture(90, 161)
    y, x = np.mgrid[:18, :32]
    offset = ((x - 16) * 60 + (y - 9) * 20).astype(np.float32)
    slope = rng.normal(0, 0.3, (18, 32)).astype(np.float32)
    even = np.zeros((18, 4), np.uint8)
    sure, applied = np.empty_like(even), np.empty_like(even)
    find_sure_blocks(slope, offset, even, sure, applied)
    assert {0, 1, 2} == set(sure.ravel().tolist())
    lines = (slope, offset, *between_columns(161, 32))
    skipped, computed = np.empty((2, 90, 161), np.uint8)
    apply_lines(frame, lines, sure, applied, skipped)
    apply_lines(frame, lines, np.zeros_like(sure), np.ones_like(sure), computed)
    assert np.array_equal(skipped, computed)


@pytest.mark.parametrize("size", [(288, 160), (45, 37), (16, 16), (5, 3)])
def test_even_blocks_are_what_their_lines_would_give(size: tuple[int, int]) -> None:
    """Whatever the grey, and alpha as uneven as an even block may be."""
    rng = np.random.default_rng(0)
    (w, h), (width, height) = size, (size[0] * 3, size[1] * 3)
    grey = rng.choice(np.array([0, 255], np.uint8), (h, w))
    x = np.mgrid[:h, :w][1]
    levels = np.where(x < w // 2, 0, 253).astype(np.uint8) + rng.integers(0, 3, (h, w), np.uint8)
    even, means, needed = np.empty((3, h, max(1, w // 8)), np.uint8)
    find_even_blocks(levels, even, means, needed)
    if w > 100:
        assert {ZERO, FULL, UNSURE} == set(even.ravel().tolist())
        assert needed.mean() < 0.3
    slope, offset, mean_slope, mean_offset = np.empty((4, h, w), np.float32)
    everywhere = np.ones_like(even)
    fit_lines(grey, levels, everywhere, slope, offset)
    window_mean(slope, everywhere, mean_slope)
    window_mean(offset, everywhere, mean_offset)
    lines = (mean_slope, mean_offset, *between_columns(width, w))
    frame = np.repeat(rng.choice(np.array([0, 255], np.uint8), (height, width, 1)), 3, axis=2)
    computed, skipped = np.empty((2, height, width), np.uint8)
    apply_lines(frame, lines, np.zeros_like(even), everywhere, computed)
    apply_lines(frame, lines, even, everywhere, skipped)
    assert np.array_equal(skipped, computed)


def test_says_that_kernels_are_compiled_the_first_time_alone(tmp_path: Path) -> None:
    code = "import numpy as np; from livecut.kernels.guided_filter import to_levels; "
    code += "to_levels(np.ones((1, 1), np.float32), np.ones((1, 1), np.uint8))"
    said = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        ).stderr
        for _ in range(2)
    ]
    assert said[0].count("compiling for this processor") == 1
    assert said[1] == ""


def smoothed(before: float, alpha: float, change: int) -> float:
    state, now = np.full((4, 4), before, np.float32), np.full((4, 4), alpha, np.float32)
    smooth(now, state, np.full((4, 4), change, np.uint8))
    assert (state == now).all()
    assert (now == now[0, 0]).all()
    return float(now[0, 0])


STILL, MOVING = int(STILL_CHANGE), int(MOVING_CHANGE)


def test_smooth_averages_noise_and_follows_motion() -> None:
    kept = SMOOTH_SHARE * (1 - 0.05 / SMOOTH_LIMIT_MOVING)
    assert smoothed(0.5, 0.55, 20) == pytest.approx(0.55 - 0.05 * kept)
    assert smoothed(0.5, 1.0, 20) == 1, "no lag where the alpha really changes"


def test_smooth_by_the_pictures_motion() -> None:
    kept = SMOOTH_SHARE * (1 - 0.4 / SMOOTH_LIMIT_STILL)
    assert smoothed(0.9, 0.5, STILL) == pytest.approx(0.5 + 0.4 * kept)
    assert smoothed(0.9, 0.5, 0) == smoothed(0.9, 0.5, STILL)
    assert 0.5 < smoothed(0.9, 0.5, (STILL + MOVING) // 2) < smoothed(0.9, 0.5, STILL)
    assert smoothed(0.9, 0.5, MOVING) == smoothed(0.9, 0.5, 255) == 0.5


def test_smooth_raises_alpha_so_far_and_lowers_it_freely() -> None:
    assert smoothed(0.4, 0.0, 0) == pytest.approx(SMOOTH_LIFT)
    assert smoothed(0.45, 0.05, 0) == pytest.approx(0.1 + SMOOTH_LIFT), "lift and alpha once more"
    kept = SMOOTH_SHARE * (1 - 0.4 / SMOOTH_LIMIT_STILL)
    assert smoothed(0.2, 0.6, 0) == pytest.approx(0.6 - 0.4 * kept)
