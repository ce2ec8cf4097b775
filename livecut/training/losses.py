"""Losses on logits (N, 1, H, W) and targets of the same shape in 0..1."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from livecut.training.settings import parse_loss


def bce(logits: Tensor, target: Tensor, person_weight: float = 1.0) -> Tensor:
    """Binary cross entropy; person pixels count `person_weight` times."""
    weight = torch.tensor(person_weight, device=logits.device)
    return F.binary_cross_entropy_with_logits(logits, target, pos_weight=weight)


def dice(logits: Tensor, target: Tensor) -> Tensor:
    """1 - Dice, the mean over the pictures, smoothed by one pixel (Milletari et al., 2016)."""
    p = torch.sigmoid(logits)
    both = (p * target).sum((1, 2, 3))
    total = p.square().sum((1, 2, 3)) + target.square().sum((1, 2, 3))
    return (1 - (2 * both + 1) / (total + 1)).mean()


def boundary(logits: Tensor, target: Tensor, person_weight: float = 1.0, reach: int = 2) -> Tensor:
    """Cross entropy of the pixels within `reach` of the mask's edges; 0 where there are none."""
    size = 2 * reach + 1
    widest = F.max_pool2d(target, size, stride=1, padding=reach)
    least = -F.max_pool2d(-target, size, stride=1, padding=reach)
    near = (widest - least > 0.5).to(logits.dtype)
    weight = torch.tensor(person_weight, device=logits.device)
    each = F.binary_cross_entropy_with_logits(
        logits, target, pos_weight=weight, weight=near, reduction="sum"
    )
    return each / near.sum().clamp(min=1)


def l1(logits: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of alpha."""
    return (torch.sigmoid(logits) - target).abs().mean()


def laplacian(logits: Tensor, target: Tensor, levels: int = 4) -> Tensor:
    """L1 of the Laplacian pyramids of alpha; level n, from 0, counts 2 to the n (Hou and Liu,
    2019).

    A level is the difference between a picture and its blurred, halved and doubled self. Levels
    whose sides would be under 2 pixels are left out.
    """
    rest = torch.sigmoid(logits) - target  # the pyramid is linear: that of the difference will do
    total = rest.new_zeros(())
    for level in range(levels):
        if min(rest.shape[2:]) < 4:
            break
        smaller = F.avg_pool2d(_binomial(rest), 2, ceil_mode=True)
        back = F.interpolate(smaller, rest.shape[2:], mode="bilinear", align_corners=False)
        total = total + 2**level * (rest - back).abs().mean()
        rest = smaller
    return total


def _binomial(planes: Tensor) -> Tensor:
    """Planes (N, 1, H, W) blurred by (1, 4, 6, 4, 1) / 16 in both directions."""
    row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], device=planes.device, dtype=planes.dtype) / 16
    padded = F.pad(planes, (2, 2, 2, 2), mode="replicate")
    across = F.conv2d(padded, row.view(1, 1, 1, 5))
    return F.conv2d(across, row.view(1, 1, 5, 1))


GHOST_REACH = 1 / 20
"""How far from the person, as a share of the height, alpha becomes a ghost."""
GHOST_LEVEL = 0.1
"""The alpha at which `ghost` has half of its full weight: below one half it is steep, so that faint
washes cost nearly as much as whole things."""


def ghost(logits: Tensor, target: Tensor) -> Tensor:
    """What alpha is kept further than `GHOST_REACH` from the person: 1.1 a / (a + 0.1), the mean
    over the picture; 0 for none, 1 for all of it.
    """
    reach = max(1, round(GHOST_REACH * target.shape[2]))
    near = F.max_pool2d((target > 0.05).to(target.dtype), 2 * reach + 1, stride=1, padding=reach)
    alpha = torch.sigmoid(logits)
    return ((1 + GHOST_LEVEL) * alpha / (alpha + GHOST_LEVEL) * (1 - near)).mean()


LOSSES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "bce": bce,
    "dice": lambda logits, target, _: dice(logits, target),
    "boundary": boundary,
    "l1": lambda logits, target, _: l1(logits, target),
    "laplacian": lambda logits, target, _: laplacian(logits, target),
    "ghost": lambda logits, target, _: ghost(logits, target),
}
"""Losses that a run can add up, each of logits, target and the weight of person pixels."""


def measure(
    losses: Iterable[str], logits: Tensor, target: Tensor, person_weight: float
) -> dict[str, Tensor]:
    """The losses that NAME or NAME=WEIGHT ask for, weighted, by name."""
    chosen = [parse_loss(text) for text in losses]
    return {name: w * LOSSES[name](logits, target, person_weight) for name, w in chosen}
