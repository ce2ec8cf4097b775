"""The two U-Nets: the classic one and the live one. Both give logits; the sigmoid is outside."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from livecut.network.blocks import (
    DoubleConv,
    GlobalGate,
    InvertedResidual,
    LightUp,
    PhasedHead,
    Up,
    conv_norm,
)


class UNet(nn.Module):
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


class MobileUNet(nn.Module):
    """The live U-Net: the first 11 blocks of MobileNetV2, a light decoder, logits at half size.

    Input: float (N, n_channels, H, W), H and W multiples of `stride` = 16.
    Output: logits (N, n_classes, H/2, W/2). 0.33 M parameters, 145 MMACs at 256x144.
    The encoder has torchvision's layout, so that ImageNet weights fit (`load_encoder`).
    """

    stride = 16
    output_stride = 2
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 1, 1))
    """The encoder's (expansion, width, blocks, first stride), after the stride-2 stem of 32."""

    def __init__(self, n_channels: int = 3, n_classes: int = 1) -> None:
        super().__init__()
        stem = nn.Sequential(*conv_norm(n_channels, 32, 3, 2), nn.ReLU6(inplace=True))
        features: list[nn.Module] = [stem]
        width = 32
        for expand, c_out, blocks, stride in self.stages:
            for i in range(blocks):
                features.append(InvertedResidual(width, c_out, stride if i == 0 else 1, expand))
                width = c_out
        self.features = nn.ModuleList(features)
        self.taps = (1, 3, 6)
        self.context = GlobalGate(width, 64)
        self.up8 = LightUp(64, 32, 48)
        self.up4 = LightUp(48, 24, 32)
        self.up2 = LightUp(32, 16, 24)
        self.head: nn.Conv2d | PhasedHead = nn.Conv2d(24, n_classes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for i, block in enumerate(self.features):
            x = block(x)
            if i in self.taps:
                skips.append(x)
        x = self.context(x)
        x = self.up8(x, skips[2])
        x = self.up4(x, skips[1])
        x = self.up2(x, skips[0])
        logits: Tensor = self.head(x)
        return logits
