"""Clips out of stills, on the device that trains: each still moves smoothly, and its alpha with it.

Half of them are cut out and moved before a room that moves by itself, as by a webcam; of the others all of
the picture moves. Nothing moves by its own force: a smooth field bends figures a little instead.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

FRAMES = 8
"""Of a clip."""
CUT_OUT = 0.5
"""Share of the clips whose figure is cut out and moves before a room."""
STILL = 0.25
"""Share of the figures, and of the rooms twice as many, that do not move."""
SPEEDS = 0.002, 0.06
"""The least and most that a figure moves from one frame to the next, as a share of the width."""
BEND = 0.02
"""How far the field bends at most, as a share of the width."""
NOISE = 6.0
"""The most deviation of the sensor's noise, in levels of 0..255."""
DRIFT = 0.04
"""How far the exposure drifts at most, as a share."""
CUTS = 0.1
"""Share of the clips that turn into another in their middle, of which the network is not told."""


def clips(image: Tensor, mask: Tensor, room: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Clips of stills: frames and alphas, and which frames begin a scene.

    `image` and `room` are uint8 BGR (N, H, W, 3), the room without people; `mask` is uint8 (N, H, W), 255 =
    person. Gives float BGR (T, N, 3, H, W) of 0..255, alpha (T, N, 1, H, W) in 0..1, and bool (T, N). All by
    chance, of torch's own generators.
    """
    still = image.permute(0, 3, 1, 2).float()
    alpha = mask[:, None].float() / 255
    (count, _, height, width), device = still.shape, image.device
    path = motions(count, width, height, device)
    shift = bend(count, height, width, device)
    if room is None:
        frames, targets = walk(still, alpha, path, shift)
    else:
        chosen = (torch.rand(count, 1, 1, 1, device=device) < CUT_OUT).float()
        behind = room.permute(0, 3, 1, 2).float()
        pan = motions(count, width, height, device, still_share=2 * STILL, slower=4.0)
        frames, targets = walk(still, torch.lerp(alpha, soft(alpha), chosen), path, shift)
        shown = torch.lerp(torch.ones_like(targets), targets, chosen)
        frames = torch.lerp(torch.stack([moved(behind, m) for m in pan]), frames, shown)
    begins = torch.zeros(FRAMES, count, dtype=torch.bool, device=device)
    begins[0] = True
    if count > 1:
        frames, targets, begins = cut(frames, targets, begins)
    time = torch.linspace(0, 1, FRAMES, device=device).view(-1, 1)
    wave = torch.sin(2 * math.pi * (time + torch.rand(1, count, device=device)))
    gain = 1 + DRIFT * wave * torch.rand(1, count, device=device)
    sigma = NOISE * torch.rand(1, count, 1, 1, 1, device=device)
    noisy = frames * gain[..., None, None, None] + torch.randn_like(frames) * sigma
    return noisy.round().clamp(0, 255), targets, begins


def walk(still: Tensor, alpha: Tensor, path: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Stills and their alpha along a path (T, N, 2, 3), bent by a field: (T, N, 3, H, W) and (T, N, 1, H, W)."""
    both = torch.cat([still, alpha], 1)
    there = torch.stack([moved(both, *at) for at in zip(path, shift, strict=True)])
    return there[:, :, :3], there[:, :, 3:]


def cut(frames: Tensor, alphas: Tensor, begins: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Let some of the clips go on with those of their neighbours."""
    count, device = frames.shape[1], frames.device
    at = torch.randint(2, FRAMES, (count,), device=device)
    at = torch.where(torch.rand(count, device=device) < CUTS, at, FRAMES)
    time = torch.arange(FRAMES, device=device)[:, None]
    wide = (time >= at)[..., None, None, None]
    begins = begins | (time == at)
    return (
        torch.where(wide, frames.roll(1, 1), frames),
        torch.where(wide, alphas.roll(1, 1), alphas),
        begins,
    )


def motions(
    count: int,
    width: int,
    height: int,
    device: torch.device,
    *,
    still_share: float = STILL,
    slower: float = 1.0,
) -> Tensor:
    """Affine maps (T, N, 2, 3), as `affine_grid` takes them, of smooth motions."""

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, device=device)

    speed = torch.exp(uniform(math.log(SPEEDS[0]), math.log(SPEEDS[1]))) / slower
    speed = speed * (uniform(0, 1) >= still_share)
    time = torch.arange(FRAMES, device=device)[:, None] - uniform(0, FRAMES - 1)
    # Some stop, or set out, in the middle; the others swing.
    start = uniform(-FRAMES, FRAMES)
    halting = torch.minimum(time, start) + FRAMES / 2
    swing = torch.sin(time * uniform(0.1, 0.6)) / 0.5
    gone = torch.where(uniform(0, 1) < 0.4, halting, swing) * speed
    way, turn, growth = uniform(0, 2 * math.pi), uniform(-0.6, 0.6), uniform(-0.7, 0.7)
    angle, scale = gone * turn, torch.exp(gone * growth)
    cos, sin, aspect = torch.cos(angle) * scale, torch.sin(angle) * scale, height / width
    x, y = 2 * gone * torch.cos(way), 2 * gone * torch.sin(way) / aspect
    rows = torch.stack([cos, -sin * aspect, x, sin / aspect, cos, y], -1)
    return rows.view(FRAMES, count, 2, 3)


def bend(count: int, height: int, width: int, device: torch.device) -> Tensor:
    """How far each pixel is moved besides: (T, N, H, W, 2), as `grid_sample` counts."""
    rough = torch.randn(count, 4, 4, 6, device=device)
    smooth = F.interpolate(rough, (height, width), mode="bicubic", align_corners=True)
    size = BEND * torch.rand(count, 1, 1, 1, device=device) ** 2
    one, other = (smooth * size).permute(0, 2, 3, 1).chunk(2, 3)
    phase = torch.arange(FRAMES, device=device).view(-1, 1, 1, 1, 1) * 0.5
    return torch.cos(phase) * one + torch.sin(phase) * other


def moved(planes: Tensor, motion: Tensor, shift: Tensor | float = 0.0) -> Tensor:
    """Planes (N, C, H, W) by affine maps (N, 2, 3) and a field; beyond their edges they are mirrored."""
    grid = F.affine_grid(motion, list(planes.shape), align_corners=False) + shift
    return F.grid_sample(planes, grid, padding_mode="reflection", align_corners=False)


def soft(alpha: Tensor) -> Tensor:
    """A mask (N, 1, H, W) a pixel smaller, its edge softened: what stood behind shall not shine through."""
    smaller = -F.max_pool2d(-alpha, 3, 1, 1)
    return F.avg_pool2d(smaller, 3, 1, 1, count_include_pad=False)
