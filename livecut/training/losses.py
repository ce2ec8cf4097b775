"""Losses on logits (N, 1, H, W) and targets of the same shape in 0..1."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor


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


LOSSES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "bce": bce,
    "dice": lambda logits, target, _: dice(logits, target),
    "boundary": boundary,
}
"""Losses that a run can add up, each of logits, target and the weight of person pixels."""


def measure(
    names: Iterable[str], logits: Tensor, target: Tensor, person_weight: float
) -> dict[str, Tensor]:
    """The losses named, by name."""
    return {name: LOSSES[name](logits, target, person_weight) for name in names}
