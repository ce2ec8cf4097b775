"""Each augmentation by itself, on pictures where its effect can be told."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.random import default_rng

from livecut.frame import Image
from livecut.training import augment

pytest.importorskip("torch")

from livecut.evaluation.dataset import Data, Pair, beside
from livecut.training.data import Augmented

SIZE = (96, 64)
GREY = np.full((64, 96, 3), 120, np.uint8)


def disc(x: int, y: int, radius: int) -> Image:
    mask = np.zeros((64, 96), np.uint8)
    cv2.circle(mask, (x, y), radius, 255, -1)
    return mask


def test_perspective_bends_and_uncovers_nothing() -> None:
    straight = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    ones = np.ones((64, 96), np.uint8)
    for seed in range(20):
        m = augment.perspective(straight, SIZE, default_rng(seed))
        assert m.shape == (3, 3)
        assert np.abs(m[2, :2]).max() > 1e-6, "parallels meet"
        assert augment.warp(ones, m, SIZE, cv2.BORDER_CONSTANT).min() == 1
        corner = m @ np.array([96, 64, 1])
        assert (corner[:2] / corner[2] >= np.array([96, 64]) - 1e-3).all()
        assert (corner[:2] / corner[2] <= np.array([96, 64]) * (1 + augment.TILT) + 1e-3).all()


def test_covered_is_what_the_map_fills() -> None:
    rng = default_rng(5)
    for number in range(60):
        mask = np.zeros(rng.integers(60, 300, 2), np.uint8)
        mask[20:50, 10:40] = 255
        m = augment.placement(mask, (144, 80), rng)
        if number % 2:
            m = augment.perspective(m, (144, 80), rng)
        warp = cv2.warpPerspective if number % 2 else cv2.warpAffine
        filled = warp(np.ones_like(mask), m, (144, 80), flags=cv2.INTER_NEAREST)
        assert augment.covered(mask, m, (144, 80)) == pytest.approx(filled.mean(), abs=0.02)


def test_noise_is_of_every_colour_and_by_the_seed() -> None:
    grey = np.full((90, 120, 3), 128, np.uint8)
    once, again = (augment.noisy(grey, 8.0, default_rng(4)) for _ in range(2))
    assert (once == again).all()
    assert np.allclose(once.reshape(-1, 3).std(0), 8, atol=0.4)
    assert (augment.noisy(grey, 8.0, default_rng(6)) != once).mean() > 0.5


def test_low_light_is_darker_and_noisier() -> None:
    for seed in range(10):
        dark = augment.low_light(GREY, default_rng(seed)).astype(float)
        assert 30 < dark.mean() < 80
        assert 3 < dark.std() < 13


def test_motion_blur_is_along_a_line_and_keeps_the_light() -> None:
    lengths = set()
    for seed in range(20):
        image, alpha = np.zeros((64, 96, 3), np.uint8), np.zeros((64, 96), np.uint8)
        image[32, 48], alpha[32, 48] = 250, 250
        blurred, soft = augment.motion_blur(image, alpha, default_rng(seed))
        assert (blurred == soft[..., None]).all(), "picture and alpha alike"
        assert abs(int(soft.sum()) - 250) <= np.count_nonzero(soft)
        ys, xs = np.nonzero(soft)
        spread = np.linalg.svd(np.stack([ys, xs]) - [[ys.mean()], [xs.mean()]])[1]
        assert spread[1] < 0.6 * max(spread[0], 1), "longer than wide"
        lengths.add(len(ys))
    assert min(lengths) >= 3
    assert max(lengths) >= 9


def test_a_thing_before_the_person_is_not_person() -> None:
    white, mask = np.full_like(GREY, 255), disc(48, 40, 20)
    outlines = set()
    for seed in range(20):
        image, alpha = augment.occlude(GREY, mask, white, default_rng(seed))
        thing = (image == 255).all(2)
        assert thing.any()
        assert not alpha[thing].any()
        untouched = (image == 120).all(2)
        assert (alpha == mask)[untouched].all()
        lost = 1 - alpha.sum() / mask.sum()
        assert 0 < lost < 0.8
        outlines.add(int(thing.sum()))
    assert len(outlines) > 10
    nobody = np.zeros_like(mask)
    assert augment.occlude(GREY, nobody, white, default_rng(0)) == (GREY, nobody)


def test_a_second_person_is_behind_the_first() -> None:
    mask, other = disc(48, 40, 20), np.zeros((64, 96, 3), np.uint8)
    seen = 0
    for seed in range(20):
        image, alpha = augment.behind(GREY, mask, other, disc(48, 40, 22), default_rng(seed))
        assert (alpha >= mask).all(), "the union"
        assert (image[mask == 255] == 120).all(), "the first is as it was"
        added = (alpha == 255) & (mask == 0)
        assert (image[added] < 100).all()
        assert (image[alpha == 0] == 120).all()
        seen += bool(added.sum() > 100)
    assert seen > 10


def test_pairs_have_them_all_by_chance(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    called = dict.fromkeys(("perspective", "occlude", "behind", "motion_blur", "low_light"), 0)
    for name in called:
        own = getattr(augment, name)

        def count(*values: object, name: str = name, own: object = own) -> object:
            called[name] += 1
            assert callable(own)
            return own(*values)

        monkeypatch.setattr(augment, name, count)
    cv2.imwrite(str(tmp_path / "a.png"), GREY)
    cv2.imwrite(str(tmp_path / "m.png"), disc(48, 40, 20))
    one = Pair(tmp_path / "a.png", tmp_path / "m.png")
    data = Augmented(Data([one], [one], [tmp_path / "a.png"]))
    for seed in range(600):
        image, alpha = data[0, SIZE, seed]
        assert (image.shape, alpha.shape) == ((64, 96, 3), (64, 96))
    shares = (
        augment.PERSPECTIVE,
        augment.OBJECT,
        augment.SECOND,
        augment.MOTION,
        augment.LOW_LIGHT,
    )
    for (name, times), share in zip(called.items(), shares, strict=True):
        assert share / 2 < times / 600 < 2 * share, name


def test_beside_is_what_no_person_is_in() -> None:
    image, mask = GREY.copy(), disc(20, 40, 15)
    image[mask > 0] = 255
    found = beside(image, mask)
    assert found is not None
    assert found.shape == (64, 60, 3), "to the right of the disc, the larger side"
    assert (found == 120).all()
    low = np.zeros((64, 96), np.uint8)
    low[40:] = 255
    above = beside(GREY, low)
    assert above is not None
    assert above.shape == (40, 96, 3)
    assert beside(GREY, np.full((64, 96), 255, np.uint8)) is None
    atomic_write = beside(GREY, np.zeros((64, 96), np.uint8))
    assert atomic_write is not None
    assert atomic_write.shape == GREY.shape


def test_samples_without_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augment, "EMPTY", 1.0)
    monkeypatch.setattr(augment, "photometry", lambda image, _: image)
    red = np.full((40, 40, 3), (0, 0, 250), np.uint8)
    image, mask = GREY.copy(), disc(20, 40, 15)
    image[mask > 0] = 255
    filled = np.full((64, 96), 255, np.uint8)
    for seed in range(10):
        beside, alpha = augment.pair(image, mask, red, SIZE, default_rng(seed))
        assert not alpha.any()
        assert (beside == 120).all(), "beside the person"
        room, alpha = augment.pair(image, filled, red, SIZE, default_rng(seed))
        assert not alpha.any()
        assert (room == red[0, 0]).all(), "nothing is beside: a room"
        _, alpha = augment.pair(image, filled, None, SIZE, default_rng(seed))
        assert alpha.any(), "no room either: the person stays"
