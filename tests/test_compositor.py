"""The fused kernels against plain NumPy."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from livecut.compositor import cpu

rng = np.random.default_rng(0)


def picture(
    height: int, width: int, channels: int = 3
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return rng.integers(0, 256, (height, width, channels), np.uint8)


@pytest.mark.parametrize(("height", "width"), [(48, 64), (37, 61), (1, 1), (720, 1280)])
def test_composite_is_the_linear_blend(height: int, width: int) -> None:
    frame, back, alpha = (
        picture(height, width),
        picture(height, width),
        picture(height, width, 1)[..., 0],
    )
    out = np.empty_like(frame)
    cpu.composite(frame, alpha, back, out)
    a = alpha[..., None] / 255
    expected = frame * a + back * (1 - a)
    assert np.abs(out - expected).max() <= 1.5


def test_alpha_0_and_255_are_exact() -> None:
    frame, back = picture(48, 64), picture(48, 64)
    alpha = np.zeros((48, 64), np.uint8)
    alpha[:, 32:] = 255
    out = np.empty_like(frame)
    cpu.composite(frame, alpha, back, out)
    assert (out[:, :32] == back[:, :32]).all()
    assert (out[:, 32:] == frame[:, 32:]).all()


@pytest.mark.parametrize(("height", "few"), [(720, 90), (101, 13), (8, 1), (5, 5)])
def test_composite_rows_equals_resizing_first(height: int, few: int) -> None:
    frame, rows, alpha = picture(height, 64), picture(few, 64), picture(height, 64, 1)[..., 0]
    out, expected = np.empty_like(frame), np.empty_like(frame)
    cpu.composite_rows(frame, alpha, rows, out)
    back = cv2.resize(rows, (64, height), interpolation=cv2.INTER_LINEAR)
    cpu.composite(frame, alpha, np.asarray(back, np.uint8), expected)
    assert np.abs(out.astype(int) - expected).max() <= 2


def test_cutout_clears_what_is_under_alpha_0() -> None:
    frame = picture(48, 64)
    alpha = np.zeros((48, 64), np.uint8)
    alpha[10:20] = 1
    alpha[20:] = 200
    out = np.empty((48, 64, 4), np.uint8)
    cpu.cutout(frame, alpha, out)
    assert not out[:10].any()
    assert (out[10:, :, :3] == frame[10:]).all()
    assert (out[..., 3] == alpha).all()


@pytest.mark.parametrize("size", [(53, 37), (16, 4), (5, 1), (2, 3), (1, 1)])
def test_regress_is_the_line_of_least_squares(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, size[::-1], np.uint8)
    alpha = rng.random(size[::-1], np.float32)
    slope, offset = np.empty((2, *size[::-1]), np.float32)
    cpu.regress(grey, alpha, 1e-3, 0.08, slope, offset)

    def mean(plane: NDArray[np.float64]) -> NDArray[np.float64]:
        """Over 5x5, the edge mirrored as often as it takes."""
        wide = np.pad(plane, 2, mode="symmetric")
        near = [wide[y : y + size[1], x : x + size[0]] for y in range(5) for x in range(5)]
        return np.asarray(np.mean(near, axis=0))

    i, p = grey / 255.0, np.floor(alpha * 255 + 0.5).astype(np.float64) / 255
    s = (mean(i * p) - mean(i) * mean(p)) / (mean(i * i) - mean(i) ** 2 + 1e-3)
    o = (mean(p) - s * mean(i) - 0.08) / 0.84 * 255 + 0.5
    assert np.abs(slope - s / 0.84).max() < 1e-4
    assert np.abs(offset - o).max() < 0.02
    out = np.empty_like(slope)
    cpu.mean_5x5(slope, out)
    assert np.abs(out - mean(slope.astype(np.float64))).max() < 1e-4


def test_apply_linear() -> None:
    frame = picture(72, 64)
    slope, offset = rng.normal(0, 1, (2, 9, 64)).astype(np.float32)
    offset = offset * 100 + 100
    out = np.empty(frame.shape[:2], np.uint8)
    cpu.apply_linear(frame, slope, offset, np.zeros((9, 4), np.uint8), out)
    full = [cv2.resize(x, (64, 72), interpolation=cv2.INTER_LINEAR) for x in (slope, offset)]
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    expected = np.clip(full[0] * grey + full[1], 0, 255)
    assert np.abs(out - expected).max() <= 1.01 + np.abs(slope).max()


def test_known_blocks_are_what_would_have_been_computed() -> None:
    """A person's soft edge between much 0 and much 255: skipping what is known changes nothing."""
    frame = picture(90, 161)
    y, x = np.mgrid[:18, :32]
    offset = ((x - 16) * 60 + (y - 9) * 20).astype(np.float32)
    slope = rng.normal(0, 0.3, (18, 32)).astype(np.float32)
    flat = np.empty((18, 4), np.uint8)
    cpu.saturation(slope, offset, flat)
    assert {0, 1, 2} == set(flat.ravel().tolist())
    both = cv2.resize(np.vstack([slope, offset]), (161, 36), interpolation=cv2.INTER_LINEAR)
    lines = both.astype(np.float32)
    skipped, computed = np.empty((2, 90, 161), np.uint8)
    cpu.apply_linear(frame, lines[:18], lines[18:], flat, skipped)
    cpu.apply_linear(frame, lines[:18], lines[18:], np.zeros_like(flat), computed)
    assert np.array_equal(skipped, computed)


def settled(before: float, alpha: float, change: int, lift: float = 1.0) -> float:
    state, now = np.full((4, 4), before, np.float32), np.full((4, 4), alpha, np.float32)
    moves = np.full((4, 4), change, np.uint8)
    cpu.settle(now, state, moves, 0.6, (0.3, 0.8), (4.0, 12.0), lift)
    assert (state == now).all()
    assert (now == now[0, 0]).all()
    return float(now[0, 0])


def test_settle_averages_noise_and_follows_motion() -> None:
    assert settled(0.5, 0.55, 20) == pytest.approx(0.55 - 0.05 * 0.6 * (1 - 0.05 / 0.3))
    assert settled(0.5, 1.0, 20) == 1, "no lag where the alpha really changes"


def test_settle_by_the_pictures_motion() -> None:
    followed = 0.6 * (1 - 0.4 / 0.8)
    assert settled(0.9, 0.5, 4) == pytest.approx(0.5 + 0.4 * followed)
    assert settled(0.9, 0.5, 0) == settled(0.9, 0.5, 4)
    assert 0.5 < settled(0.9, 0.5, 8) < settled(0.9, 0.5, 4)
    assert settled(0.9, 0.5, 12) == settled(0.9, 0.5, 255) == 0.5


def test_settle_raises_alpha_so_far_and_lowers_it_freely() -> None:
    assert settled(0.4, 0.0, 0, lift=0.05) == pytest.approx(0.05)
    assert settled(0.45, 0.05, 0, lift=0.05) == pytest.approx(0.15), "lift and alpha once more"
    assert settled(0.2, 0.6, 0, lift=0.05) == pytest.approx(0.6 - 0.4 * 0.6 * 0.5)
