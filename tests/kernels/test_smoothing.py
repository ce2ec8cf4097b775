"""Temporal smoothing."""

from __future__ import annotations

import numpy as np
import pytest

from livecut.kernels import reference
from livecut.kernels.constants import (
    MOVING_CHANGE,
    SMOOTH_LIFT,
    SMOOTH_LIMIT_MOVING,
    SMOOTH_LIMIT_STILL,
    SMOOTH_SHARE,
    STILL_CHANGE,
)
from livecut.kernels.smoothing import smooth
from tests.kernels.cases import apart

STILL, MOVING = int(STILL_CHANGE), int(MOVING_CHANGE)


@pytest.mark.parametrize("shape", [(40, 60), (1, 1), (3, 7)])
def test_smooth(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    alpha, state = rng.random((2, *shape), np.float32)
    change = rng.integers(0, 16, shape, np.uint8)
    expected = reference.smooth(alpha, state, change)
    smooth(alpha, state, change)
    assert apart(alpha, expected).max() < 1e-6
    assert (state == alpha).all()


def smoothed(before: float, alpha: float, change: int) -> float:
    """Alpha of one pixel after one step."""
    state, now = np.full((4, 4), before, np.float32), np.full((4, 4), alpha, np.float32)
    smooth(now, state, np.full((4, 4), change, np.uint8))
    assert (state == now).all()
    assert (now == now[0, 0]).all()
    return float(now[0, 0])


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
