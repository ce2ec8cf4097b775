"""Losses on logits (N, 1, H, W) and targets of the same shape in 0..1."""

from __future__ import annotations

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
