"""The guided filter's kernels against the reference."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from livecut.frame import Size
from livecut.kernels import reference
from livecut.kernels.guided_filter import (
    FULL,
    UNSURE,
    ZERO,
    GuidedFilter,
    apply_lines,
    between_columns,
    find_even_blocks,
    find_sure_blocks,
    fit_lines,
    to_levels,
    window_mean,
)
from tests.kernels.cases import SIZES, apart, noise, picture


@pytest.mark.parametrize("size", [(53, 37), (16, 4), (5, 1), (2, 3), (1, 1)])
def test_fit_lines(size: Size) -> None:
    grey, levels = np.ascontiguousarray(noise(size, 2).transpose(2, 0, 1))
    everywhere = np.ones((size[1], max(1, size[0] // 8)), np.uint8)
    slope, offset, mean = np.empty((3, *size[::-1]), np.float32)
    fit_lines(grey, levels, everywhere, slope, offset)
    a, b = reference.fit_lines(grey / 255, levels / 255)
    assert apart(slope, a).max() < 1e-4
    assert apart(offset, b * 255 + 0.5).max() < 0.02, "in levels"
    for plane, expected in ((slope, a), (offset, b * 255 + 0.5)):
        window_mean(plane, everywhere, mean)
        assert apart(mean, reference.window_mean(expected)).max() < 0.02


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


@pytest.mark.parametrize("width", [64, 161, 7])
def test_apply_lines(width: int) -> None:
    """Grey in eight bits is one level off at most, alpha is cut to whole levels."""
    rng, frame = np.random.default_rng(0), noise((width, 72))
    slope, offset = rng.normal(0, 1, (2, 9, 32)).astype(np.float32)
    offset = offset * 100 + 100
    out, unsure = np.empty(frame.shape[:2], np.uint8), np.zeros((9, 4), np.uint8)
    lines = (slope, offset, *between_columns(width, 32))
    apply_lines(frame, lines, unsure, np.ones_like(unsure), out)
    a, b = (reference.resize(line, (width, 72)) for line in (slope, offset))
    expected = (a * reference.grey(frame) + b).clip(0, 255)
    assert apart(out, expected).max() <= 1.01 + np.abs(slope).max()


def test_sure_blocks_are_what_would_have_been_computed() -> None:
    """A person's soft edge between much 0 and much 255: skipping what is known changes nothing."""
    rng, frame = np.random.default_rng(0), noise((161, 90))
    y, x = np.mgrid[:18, :32]
    offset = ((x - 16) * 60 + (y - 9) * 20).astype(np.float32)
    slope = rng.normal(0, 0.3, (18, 32)).astype(np.float32)
    even = np.zeros((18, 4), np.uint8)
    sure, applied = np.empty_like(even), np.empty_like(even)
    find_sure_blocks(slope, offset, even, sure, applied)
    assert {UNSURE, ZERO, FULL} == set(sure.ravel().tolist())
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


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["noise", "soft", "zero", "full"])
def test_the_whole_filter(size: Size, kind: str) -> None:
    """To 5 levels where grey decides by noise, 3 where alpha is smooth; exact where it is plain."""
    image = picture(size)
    small = max(1, size[0] // 3), max(1, size[1] // 3)
    shape = small[1], small[0], 3
    small_image = cv2.resize(image, small, interpolation=cv2.INTER_AREA).reshape(shape)
    few = max(1, small[0] // 2), max(1, small[1] // 2)
    alpha = np.asarray(noise(few, 1)[..., 0] / 255, np.float32)
    if kind == "soft":
        alpha = np.asarray(cv2.resize(alpha / 2 + 0.25, small), np.float32).reshape(shape[:2])
    if kind in ("zero", "full"):
        alpha[:] = kind == "full"
    out = np.empty(image.shape[:2], np.uint8)
    GuidedFilter(size, small)(image, np.asarray(small_image, np.uint8), alpha, out)
    expected = reference.guided_filter(image, small_image, alpha) * 255
    assert apart(out, expected).max() <= {"noise": 5, "soft": 3, "zero": 0, "full": 0}[kind]
    assert apart(out, expected).mean() <= 0.75
