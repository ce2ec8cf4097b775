"""The U-Nets: the classic one, and those with a light decoder. All give logits; the sigmoid is outside."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livecut.network.base import Network
from livecut.network.blocks import (
    DoubleConv,
    GlobalGate,
    InvertedResidual,
    LastAlpha,
    LightUp,
    PhasedHead,
    Recall,
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
    """The encoder's (expansion, width, blocks, first stride, kernel), after a stride-2 stem of 32."""
    depths: tuple[int, ...] = (1, 2, 3, 2, 1, 2)
    """How many blocks of each stage there are here."""
    tapped = (0, 1, 2, 4)
    """The stages that the decoder takes up, at strides 2, 4, 8 and 16."""
    widths = (64, 64, 48, 32, 16)
    """The decoder's, at strides 32, 16, 8, 4 and 2."""

    def __init__(self, n_classes: int = 1) -> None:
        super().__init__()
        stem = nn.Sequential(*conv_norm(3, 32, 3, 2), nn.ReLU6(inplace=True))
        features: list[nn.Module] = [stem]
        self.numbers = [0]
        """Which of the pretrained encoder's features have the shapes of these, one by one."""
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
        *skips, x = self.encode(x)
        for up in (self.up16, self.up8, self.up4, self.up2):
            x = up(x, skips.pop())
        logits: Tensor = self.head(x)
        return logits

    def encode(self, x: Tensor) -> list[Tensor]:
        """The features at strides 2, 4, 8 and 16, and the deepest, which the decoder begins with."""
        found = []
        for i, block in enumerate(self.features):
            x = block(x)
            if i in self.taps:
                found.append(x)
        return [*found, self.context(x)]

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """Those of the encoder's features."""
        yield from self.features.parameters()


class DeepMobileUNet(MobileUNet):
    """The live U-Net with all blocks of MobileNetV2 but its last: 1.39 M parameters,
    211 MMACs at 256x144, 123 at 192x112.
    """

    depths = (1, 2, 3, 4, 3, 3)


class EfficientUNet(MobileUNet):
    """The quality U-Net: the encoder of EfficientNet-Lite2 but its last stage, and a wider decoder; 3.84 M
    parameters, 1,373 MMACs at 448x256.

    (EfficientNet without squeeze-and-excitation and with ReLU6, as published for small devices; Tan
    and Le, 2019, and TensorFlow's efficientnet/lite.)
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


class RecurrentUNet(MobileUNet):
    """The live U-Net with a memory in its decoder: what a video's frames before showed corrects the next.

    `Recall` at stride 16, with 64 channels remembered, and at stride 8, with 32; and the last alpha at stride 4.
    Together that is a byte for each pixel of the input. For a frame that none came before it gives what the
    network without gives. (RobustVideoMatting has a recurrent decoder; Lin et al., 2021.)
    """

    memory = True
    hidden: tuple[int, int] = (64, 48)
    """The widths of `Recall` at strides 16 and 8."""

    def __init__(self) -> None:
        super().__init__()
        _, w16, w8, w4, _ = self.widths
        self.recall16 = Recall(w16, 64, self.hidden[0])
        self.recall8 = Recall(w8, 32, self.hidden[1])
        self.recall4 = LastAlpha(w4)

    def follow(self, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """The logits, and what is remembered for the next frames: (N, 3, H/2, W/2) in 0..1.

        `before` (N, 4, H/2, W/2) has the alpha of the frame before, and what was remembered of those before;
        all of it is 0 where none came before.
        """
        return self.decode(self.encode(x), before)

    def decode(self, encoded: list[Tensor], before: Tensor) -> tuple[Tensor, Tensor]:
        """The second half of `follow`, of what `encode` gives."""
        *skips, x = encoded
        n, _, h, w = before.shape
        alpha, kept16, kept8 = before[:, :1], before[:, 1:2], before[:, 2:]
        kept16 = kept16.reshape(n, 64, h // 8, w // 8)
        kept8 = kept8.reshape(n, 32, h // 4, w // 4)
        x, kept16 = self.recall16(self.up16(x, skips.pop()), kept16)
        x, kept8 = self.recall8(self.up8(x, skips.pop()), kept8)
        x = self.recall4(self.up4(x, skips.pop()), alpha)
        logits: Tensor = self.head(self.up2(x, skips.pop()))
        return logits, torch.cat([kept16.reshape(n, 1, h, w), kept8.reshape(n, 2, h, w)], 1)

    def recalls(self) -> list[nn.Module]:
        """The layers of `follow` alone."""
        return [self.recall16, self.recall8, self.recall4]


class RecurrentEfficientUNet(RecurrentUNet, EfficientUNet):
    """The quality U-Net with the memory of `RecurrentUNet`."""

    hidden = (144, 96)
