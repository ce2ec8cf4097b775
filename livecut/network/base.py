"""What every network here is to training, engines and export."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator

import torch.nn.functional as F
from torch import Tensor, nn

from livecut.errors import ModelError

Measure = Callable[[Tensor, Tensor], dict[str, Tensor]]
"""Losses by name, of logits (N, 1, H, W) and a target of the same shape in 0..1."""


class Network(nn.Module):
    """Float RGB (N, 3, H, W) in, H and W multiples of `stride`; logits (N, 1, H/s, W/s) out.

    s is `output_stride`; the sigmoid of a logit is alpha.
    """

    stride: int
    output_stride: int
    exportable = True
    """Whether ONNX can express it."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """The logits."""

    def losses(self, x: Tensor, target: Tensor, measure: Measure) -> dict[str, Tensor]:
        """The losses by name on a batch; `target` is (N, 1, H, W) in 0..1 at the input's size."""
        return measure(self(x).float(), F.avg_pool2d(target, self.output_stride))

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """Those that pretrained weights fill, and that learn more slowly where they did."""
        yield from ()

    def load_pretrained(self, name: str) -> None:
        """Take weights that torchvision offers under `name`. Raises ModelError."""
        raise ModelError(f"this network takes no pretrained weights '{name}'; leave --encoder out")
