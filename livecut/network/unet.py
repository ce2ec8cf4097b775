"""U-Nets: the classic one, and three with a light decoder. All give logits, without the sigmoid."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from livecut.network.base import Network
from livecut.network.blocks import (
    DoubleConv,
    GlobalGate,
    InvertedResidual,
    LightUp,
    PhasedHead,
    Up,
    conv_norm,
)


class UNet(Network):
    """The classic U-Net, widths 64-128-256-512-512, logits at full size.

    Input: float (N, n_channels, H, W), H and W multiples of `stride` = 16.
    Output: logits (N, n_classes, H, W). 20.5 M parameters, 25.6 GMACs at 256x144.
    """

    stride = 16
    output_stride = 1

    def __init__(self, n_channels: int = 3, n_classes: int = 1) -> None:
        super().__init__()
        widths = (64, 128, 256, 512, 512)
        self.first = DoubleConv(n_channels, widths[0])
        self.down = nn.ModuleList(DoubleConv(a, b) for a, b in pairwise(widths))
        self.up = nn.ModuleList(Up(deep, skip) for skip, deep in reversed(list(pairwise(widths))))
        self.head = nn.Conv2d(widths[0], n_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(F.max_pool2d(x, 2))
        for up in self.up:
            x = up(x, skips.pop())
        logits: Tensor = self.head(x)
        return logits


class MobileUNet(Network):
    """The live U-Net: a shortened MobileNetV2 encoder, a light decoder, logits at half size.

    Input: float (N, 3, H, W), H and W multiples of `stride` = 16; the deepest level is at
    stride 32, rounded up. Output: logits (N, n_classes, H/2, W/2). 0.72 M parameters,
    149 MMACs at 256x144.
    """

    stride = 16
    output_stride = 2
    stages: tuple[tuple[int, int, int, int, int], ...] = (
        (1, 16, 1, 1, 3),
        (6, 24, 2, 2, 3),
        (6, 32, 3, 2, 3),
        (6, 64, 4, 2, 3),
        (6, 96, 3, 1, 3),
        (6, 160, 3, 2, 3),
    )
    """Stages of the encoder, after a stem of stride 2 and width 32.

    Each is (expansion, width, blocks, first stride, kernel size).
    """
    depths: tuple[int, ...] = (1, 2, 3, 2, 1, 2)
    """Number of blocks that are kept of each stage."""
    tapped = (0, 1, 2, 4)
    """Indices of the stages that the decoder takes up, at strides 2, 4, 8 and 16."""
    widths = (64, 64, 48, 32, 16)
    """Widths of the decoder at strides 32, 16, 8, 4 and 2."""

    def __init__(self, n_classes: int = 1) -> None:
        super().__init__()
        stem = nn.Sequential(*conv_norm(3, 32, 3, 2), nn.ReLU6(inplace=True))
        features: list[nn.Module] = [stem]
        self.numbers = [0]
        """Indices of the pretrained encoder's features with the same shapes as `features`."""
        self.taps = []
        width, number = 32, 1
        for stage, depth in zip(self.stages, self.depths, strict=True):
            expand, c_out, blocks, stride, kernel = stage
            for i in range(depth):
                first = stride if i == 0 else 1
                features.append(InvertedResidual(width, c_out, first, expand, kernel))
                self.numbers.append(number + i)
                width = c_out
            number += blocks
            self.taps.append(len(features) - 1)
        self.taps = [self.taps[stage] for stage in self.tapped]
        self.features = nn.ModuleList(features)
        skips = [self.stages[stage][1] for stage in self.tapped]
        deepest, w16, w8, w4, w2 = self.widths
        self.context = GlobalGate(width, deepest)
        self.up16 = LightUp(deepest, skips[3], w16, fit=True)
        self.up8 = LightUp(w16, skips[2], w8)
        self.up4 = LightUp(w8, skips[1], w4)
        self.up2 = LightUp(w4, skips[0], w2)
        self.head: nn.Conv2d | PhasedHead = nn.Conv2d(w2, n_classes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for i, block in enumerate(self.features):
            x = block(x)
            if i in self.taps:
                skips.append(x)
        x = self.context(x)
        for up in (self.up16, self.up8, self.up4, self.up2):
            x = up(x, skips.pop())
        logits: Tensor = self.head(x)
        return logits

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of the encoder."""
        yield from self.features.parameters()


class DeepMobileUNet(MobileUNet):
    """The live U-Net with all blocks of MobileNetV2 but its last.

    1.39 M parameters, 211 MMACs at 256x144, 123 at 192x112.
    """

    depths = (1, 2, 3, 4, 3, 3)


class EfficientUNet(MobileUNet):
    """The quality U-Net: EfficientNet-Lite2's encoder without its last stage, and a wider decoder.

    3.84 M parameters, 1,373 MMACs at 448x256. The encoder is EfficientNet (Tan and Le, 2019) with
    ReLU6 and without squeeze-and-excitation, as in TensorFlow's efficientnet/lite.
    """

    stages = (
        (1, 16, 1, 1, 3),
        (6, 24, 3, 2, 3),
        (6, 48, 3, 2, 5),
        (6, 88, 4, 2, 3),
        (6, 120, 4, 1, 5),
        (6, 208, 5, 2, 5),
    )
    depths = (1, 3, 3, 4, 4, 5)
    widths = (192, 144, 96, 64, 32)
