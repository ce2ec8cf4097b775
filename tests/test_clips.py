"""Clips made of stills."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from livecut.training import clips as module
from livecut.training.clips import FRAMES, clips, motions, moved, soft

LEVEL = 200
SIZE = 96, 64


def figures(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A bright square on black, its mask, and a grey room."""
    mask = torch.zeros(count, SIZE[1], SIZE[0], dtype=torch.uint8)
    mask[:, 20:44, 36:60] = 255
    image = (mask[..., None] > 0) * torch.full((3,), LEVEL, dtype=torch.uint8)
    return image, mask, torch.full_like(image, 90)


def test_alpha_moves_with_what_it_is_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut out or not, what is bright is the figure, in every frame; begun scenes apart, it moves smoothly."""
    monkeypatch.setattr(module, "NOISE", 0.0)
    torch.manual_seed(0)
    frames, alphas, begins = clips(*figures(60))
    assert frames.shape == (FRAMES, 60, 3, SIZE[1], SIZE[0])
    assert alphas.shape == (FRAMES, 60, 1, SIZE[1], SIZE[0])
    assert begins[0].all()
    bright, inside = frames.mean(2) > 140, alphas[:, :, 0] > 0.5
    assert (bright ^ inside).float().mean() < 0.005
    assert 0.05 < inside.float().mean() < 0.4
    assert 0 < begins[1:].sum() < 20, "some turn into another"
    change = alphas.diff(dim=0).abs().mean((2, 3, 4))
    assert change[~begins[1:]].max() < 0.15
    still = (change < 1e-3).all(0).float().mean()
    assert still < 0.2, "even those that do not move are bent a little"
    shown = frames[0, :, :, 2, 2].mean(1)
    assert 10 < (shown > 60).sum() < 50, "about half are before the room"


def test_without_rooms_all_of_the_picture_moves() -> None:
    torch.manual_seed(1)
    image, mask, _ = figures(8)
    frames, alphas, _ = clips(image, mask, None)
    outside = alphas[:, :, 0] < 0.01
    assert frames.mean(2)[outside].mean() < 12, "no room, but noise"


def test_clips_are_fixed_by_the_seed() -> None:
    made = []
    for _ in range(2):
        torch.manual_seed(5)
        made.append(clips(*figures(4))[0])
    assert torch.equal(*made)


def test_motion_is_rigid_and_in_pixels() -> None:
    """A disc stays a disc of its size where nothing grows, in a picture that is not square."""
    ys, xs = np.mgrid[: SIZE[1], : SIZE[0]]
    disc = torch.from_numpy(((xs - 48) ** 2 + (ys - 32) ** 2 < 144).astype(np.float32))
    torch.manual_seed(2)
    paths = motions(200, *SIZE, disc.device)
    growth = torch.linalg.det(paths[..., :2]).sqrt()
    planes = disc.expand(200, 1, -1, -1)
    for t in range(FRAMES):
        there = moved(planes, paths[t])[:, 0]
        whole = (there[:, 0].amax(1) + there[:, -1].amax(1) + there[..., 0].amax(1)) < 0.1
        whole &= there[..., -1].amax(1) < 0.1
        area = there.sum((1, 2)) / disc.sum()
        assert torch.allclose(area[whole], growth[t][whole] ** -2, rtol=0.05)
        rows, columns = ((there.amax(axis) > 0.5).sum(1).float() for axis in (2, 1))
        assert ((rows - columns).abs()[whole] <= 2).all()
    assert (paths.diff(dim=0).abs().amax((0, 2, 3)) < 1e-6).float().mean() > 0.15, (
        "some stand still"
    )


def test_soft_keeps_a_mask_off_its_edge() -> None:
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 4:] = 1
    [row] = soft(mask)[0, 0, 3:4].tolist()
    assert row[:4] == [0] * 4
    assert 0 < row[4] < row[5] < 1 == row[7] == row[6]
