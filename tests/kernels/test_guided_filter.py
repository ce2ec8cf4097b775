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
    find_sure_blocks,
    fit_lines,
    window_mean,
)
from tests.kernels.cases import SIZES, apart, noise, picture


@pytest.mark.parametrize("size", [(53, 37), (16, 4), (5, 1), (2, 3), (1, 1)])
def test_fit_lines(size: Size) -> None:
    """The kernel rounds alpha to levels first: so does the test."""
    grey, levels = noise(size, 2).transpose(2, 0, 1)
    slope, offset, mean = np.empty((3, *size[::-1]), np.float32)
    fit_lines(np.ascontiguousarray(grey), levels / np.float32(255), slope, offset)
    a, b = reference.fit_lines(grey / 255, levels / 255)
    assert apart(slope, a).max() < 1e-4
    assert apart(offset, b * 255 + 0.5).max() < 0.02, "in levels"
    for plane, expected in ((slope, a), (offset, b * 255 + 0.5)):
        window_mean(plane, mean)
        assert apart(mean, reference.window_mean(expected)).max() < 0.02


def test_apply_lines() -> None:
    """Grey in eight bits is one level off at most, alpha is cut to whole levels."""
    rng, frame = np.random.default_rng(0), noise((64, 72))
    slope, offset = rng.normal(0, 1, (2, 9, 64)).astype(np.float32)
    offset = offset * 100 + 100
    out = np.empty(frame.shape[:2], np.uint8)
    apply_lines(frame, slope, offset, np.zeros((9, 4), np.uint8), out)
    a, b = (reference.resize(lines, (64, 72)) for lines in (slope, offset))
    expected = (a * reference.grey(frame) + b).clip(0, 255)
    assert apart(out, expected).max() <= 1.01 + np.abs(slope).max()


def test_sure_blocks_are_what_would_have_been_computed() -> None:
    """A person's soft edge between much 0 and much 255: skipping what is known changes nothing."""
    rng, frame = np.random.default_rng(0), noise((161, 90))
    y, x = np.mgrid[:18, :32]
    offset = ((x - 16) * 60 + (y - 9) * 20).astype(np.float32)
    slope = rng.normal(0, 0.3, (18, 32)).astype(np.float32)
    sure = np.empty((18, 4), np.uint8)
    find_sure_blocks(slope, offset, sure)
    assert {UNSURE, ZERO, FULL} == set(sure.ravel().tolist())
    both = cv2.resize(np.vstack([slope, offset]), (161, 36), interpolation=cv2.INTER_LINEAR)
    lines = both.astype(np.float32)
    skipped, computed = np.empty((2, 90, 161), np.uint8)
    apply_lines(frame, lines[:18], lines[18:], sure, skipped)
    apply_lines(frame, lines[:18], lines[18:], np.zeros_like(sure), computed)
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
