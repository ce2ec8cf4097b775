"""The metrics, each against a value worked out by hand or the slow way."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from livecut.evaluation.metrics import (
    boundary,
    boundary_f1,
    dtssd,
    flicker,
    grad,
    iou,
    leak,
    mad,
    miss,
    mse,
)
from livecut.frame import Image

NOBODY, EVERYBODY = np.zeros((40, 60), np.uint8), np.full((40, 60), 255, np.uint8)


def blob(seed: int) -> Image:
    """A soft, irregular figure that touches the border, uint8 (40, 60)."""
    noise = np.random.default_rng(seed).normal(size=(40, 60))
    smooth = cv2.GaussianBlur(noise, (0, 0), 5)
    return np.clip(128 + 1500 * smooth, 0, 255).astype(np.uint8)


def test_iou() -> None:
    a, b = np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8)
    assert iou(a, b) == 1
    a[0], b[:, 0] = 128, 128
    assert iou(a, b) == pytest.approx(1 / 3)
    b[b > 0] = 127
    assert iou(a, b) == 0, "127 is background"


def slow_boundary(mask: Image) -> set[tuple[int, int]]:
    h, w = mask.shape
    person = {(y, x) for y in range(h) for x in range(w) if mask[y, x] >= 128}
    return {
        (y, x)
        for y, x in person
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
        if 0 <= v < h and 0 <= u < w and (v, u) not in person
    }


@pytest.mark.parametrize("seed", range(4))
def test_boundary_the_slow_way(seed: int) -> None:
    slow = slow_boundary(blob(seed))
    assert slow
    assert {(int(y), int(x)) for y, x in np.argwhere(boundary(blob(seed)))} == slow


@pytest.mark.parametrize("seed", range(4))
def test_boundary_f1_the_slow_way(seed: int) -> None:
    alpha, mask = blob(seed), np.roll(blob(seed), (0, 1), (0, 1)) if seed else blob(9)
    found, true = slow_boundary(alpha), slow_boundary(mask)
    reach = 0.01 * math.hypot(40, 60)

    def near(one: set[tuple[int, int]], other: set[tuple[int, int]]) -> float:
        return sum(any(math.dist(p, q) <= reach for q in other) for p in one) / len(one)

    precision, recall = near(found, true), near(true, found)
    assert 0 < precision < 1
    expected = 2 * precision * recall / (precision + recall)
    assert boundary_f1(alpha, mask) == pytest.approx(expected)


def test_boundary_f1_tolerates_one_percent_of_the_diagonal() -> None:
    mask = np.zeros((300, 400), np.uint8)  # the diagonal is 500
    mask[:, 200:] = 255
    assert boundary_f1(np.roll(mask, 5, 1)[:, 50:350], mask[:, 50:350]) == 0, "5 is over 4.24"
    wide = np.zeros_like(mask)
    wide[:, 195:] = 255
    assert boundary_f1(wide, mask) == 1
    wide[:, 194:] = 255
    assert boundary_f1(wide, mask) == 0


def test_boundary_f1_where_there_is_no_outline() -> None:
    assert boundary_f1(NOBODY, NOBODY) == 1
    assert boundary_f1(EVERYBODY, NOBODY) == 1, "the picture's border is no outline"
    assert boundary_f1(NOBODY, blob(0)) == boundary_f1(blob(0), NOBODY) == 0


def test_differences_by_hand() -> None:
    alpha = np.array([[0, 51], [204, 255]], np.uint8)
    mask = np.array([[0, 0], [255, 0]], np.uint8)
    assert mad(alpha, mask) == pytest.approx((0.2 + 0.2 + 1) / 4)
    assert mse(alpha, mask) == pytest.approx((0.04 + 0.04 + 1) / 4)
    assert leak(alpha, mask) == pytest.approx((0 + 0.2 + 1) / 3)
    assert miss(alpha, mask) == pytest.approx(0.2)


def test_leak_and_miss_weigh_a_soft_mask() -> None:
    alpha, mask = np.array([[255, 0, 102]], np.uint8), np.array([[204, 51, 102]], np.uint8)
    assert leak(alpha, mask) == pytest.approx(0.2 / (0.2 + 0.8 + 0.6))
    assert miss(alpha, mask) == pytest.approx(0.2 / (0.8 + 0.2 + 0.4))
    assert leak(blob(0), blob(0)) == miss(blob(0), blob(0)) == 0, "a true soft edge is no error"


def test_leak_and_miss_without_background_or_person() -> None:
    assert leak(EVERYBODY, EVERYBODY) == leak(NOBODY, EVERYBODY) == 0
    assert miss(NOBODY, NOBODY) == miss(EVERYBODY, NOBODY) == 0
    assert leak(EVERYBODY, NOBODY) == miss(NOBODY, EVERYBODY) == 1


def slow_slope(alpha: Image) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Magnitude of the gradient as in the benchmark's own text: Gaussians and derivatives, 9x9."""
    padded = np.pad(alpha / 255.0, 4, mode="edge")
    bell = [math.exp(-(x**2) / (2 * 1.4**2)) / (1.4 * math.sqrt(2 * math.pi)) for x in range(-4, 5)]
    rise = [-x * g / 1.4**2 for x, g in zip(range(-4, 5), bell, strict=True)]
    kernel = np.outer(bell, rise)
    kernel /= math.sqrt((kernel**2).sum())
    out = np.zeros(alpha.shape)
    for y in range(alpha.shape[0]):
        for x in range(alpha.shape[1]):
            part = padded[y : y + 9, x : x + 9]
            out[y, x] = math.hypot((part * kernel).sum(), (part * kernel.T).sum())
    return out


@pytest.mark.parametrize("seed", range(2))
def test_grad_the_slow_way(seed: int) -> None:
    alpha, mask = blob(seed), blob(seed + 5)
    expected = ((slow_slope(alpha) - slow_slope(mask)) ** 2).sum() / 1000
    assert expected > 0.1
    assert grad(alpha, mask) == pytest.approx(expected, rel=1e-4)
    assert grad(alpha, alpha) == 0


def test_grad_is_blind_to_a_constant_and_sees_blur() -> None:
    assert grad(EVERYBODY, NOBODY) == pytest.approx(0, abs=1e-9)
    sharp = np.where(np.arange(60) < 30, 0, 255).astype(np.uint8) + np.zeros((40, 1), np.uint8)
    little, much = (np.asarray(cv2.GaussianBlur(sharp, (0, 0), s), np.uint8) for s in (1, 3))
    assert 0 < grad(little, sharp) < grad(much, sharp)


def test_over_time_by_hand() -> None:
    last_alpha, last_mask = (
        np.array([[0, 51], [204, 255]], np.uint8),
        np.array([[0, 0], [255, 255]], np.uint8),
    )
    alpha = np.array([[51, 51], [204, 0]], np.uint8)
    mask = np.array([[0, 255], [255, 0]], np.uint8)
    # Alpha changes by 0.2, 0, 0, -1 and the mask by 0, 1, 0, -1.
    assert dtssd(alpha, mask, last_alpha, last_mask) == pytest.approx(math.sqrt((0.04 + 1) / 4))
    assert flicker(alpha, mask, last_alpha, last_mask) == pytest.approx(0.2 / 2)
    assert dtssd(EVERYBODY, NOBODY, NOBODY, EVERYBODY) == 2, "changes add up where they are opposed"


def test_over_time_a_steady_error_and_true_motion_count_nothing() -> None:
    last, now = blob(1), np.roll(blob(1), 3, 1)
    assert dtssd(now, now, last, last) == 0
    assert dtssd(EVERYBODY, now, EVERYBODY, now) == flicker(EVERYBODY, now, EVERYBODY, now) == 0
    assert flicker(EVERYBODY, EVERYBODY, NOBODY, NOBODY) == 0, "nothing is still"
