"""What is left of a faint alpha, by plain loops and by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from livecut.kernels import reference
from livecut.kernels.constants import HYSTERESIS_HIGH
from livecut.kernels.hysteresis import drop_ghosts, reach

Plane = NDArray[np.float32]


def without_ghosts(alpha: Plane, steps: int) -> Plane:
    """By the kernel, in a copy."""
    out = alpha.copy()
    height, width = out.shape
    marks = np.full((height + 2, width + 2), 7, np.uint8)
    drop_ghosts(out, steps, marks, np.full(out.size, -1, np.int32))
    return out


@pytest.mark.parametrize("shape", [(80, 144), (144, 80), (17, 23), (1, 9), (1, 1)])
@pytest.mark.parametrize("steps", [1, 3, 6])
def test_it_is_dilation_over_what_is_not_faint(shape: tuple[int, int], steps: int) -> None:
    rng = np.random.default_rng(3)
    for blur in (0.01, 0.8, 2.0):
        noise = np.asarray(rng.random(shape), np.float32)
        alpha = np.asarray(cv2.GaussianBlur(noise, (0, 0), blur), np.float32).reshape(shape)
        alpha = np.clip((alpha - 0.5) * (0.3 + blur) + 0.4, 0, 1).astype(np.float32)
        assert np.array_equal(without_ghosts(alpha, steps), reference.drop_ghosts(alpha, steps))


def test_a_ghost_goes_a_strand_stays_and_a_wash_ends() -> None:
    alpha = np.zeros((80, 144), np.float32)
    alpha[40:, 50:90] = 1
    alpha[5:20, 5:30] = 0.4
    alpha[37:40, 60] = 0.3
    alpha[60, 90:120] = 0.3
    steps = reach(*alpha.shape)
    out = without_ghosts(alpha, steps)
    assert not out[:30].any(), "a poster, however large, that nothing clear belongs to"
    assert (out[37:40, 60] == np.float32(0.3)).all(), "hair on the head"
    assert out[60, 90:120].astype(bool).sum() == steps, "what leads away from the person"
    assert (out[40:, 50:90] == 1).all()


def test_where_nobody_is_clear_nothing_is_left() -> None:
    assert not without_ghosts(np.full((80, 144), HYSTERESIS_HIGH, np.float32), 3).any()


def test_all_person_stays() -> None:
    alpha = np.full((9, 16), 0.9, np.float32)
    assert np.array_equal(without_ghosts(alpha, 2), alpha)
