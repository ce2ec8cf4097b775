"""The layers that livecut's U-Nets are made of.

All work on float tensors of shape (N, C, H, W). Convolutions before a batch norm carry no bias.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv_norm(
    c_in: int, c_out: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """A same-padded convolution and its batch norm."""
    pad = kernel // 2
    conv = nn.Conv2d(c_in, c_out, kernel, stride, pad, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(c_out)]


class DoubleConv(nn.Sequential):
    """(3x3 convolution, batch norm, ReLU) twice: the block of U-Net (Ronneberger et al., 2015)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(
            *conv_norm(c_in, c_out, 3),
            nn.ReLU(inplace=True),
            *conv_norm(c_out, c_out, 3),
            nn.ReLU(inplace=True),
        )


def centre_crop(x: Tensor, height: int, width: int) -> Tensor:
    """Cut (N, C, H, W) to the middle (N, C, height, width)."""
    top, left = (x.shape[-2] - height) // 2, (x.shape[-1] - width) // 2
    return x[..., top : top + height, left : left + width]


class Up(nn.Module):
    """2x2 transposed convolution, the skip concatenated (its centre, where it is larger), DoubleConv.

    Without `crops`, which an export cannot trace, the skip has to be of the same size.
    """

    def __init__(self, c_in: int, c_skip: int) -> None:
        super().__init__()
        self.crops = True
        self.up = nn.ConvTranspose2d(c_in, c_skip, 2, stride=2)
        self.conv = DoubleConv(2 * c_skip, c_skip)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.up(x)
        if self.crops:
            skip = centre_crop(skip, x.shape[-2], x.shape[-1])
        out: Tensor = self.conv(torch.cat([skip, x], dim=1))
        return out


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise, project 1x1: the block of MobileNetV2 (Sandler et al., 2018).

    The input is added where stride and width allow it.
    """

    def __init__(self, c_in: int, c_out: int, stride: int, expand: int, kernel: int = 3) -> None:
        super().__init__()
        hidden = c_in * expand
        layers: list[nn.Module] = []
        if expand != 1:
            layers.append(nn.Sequential(*conv_norm(c_in, hidden), nn.ReLU6(inplace=True)))
        depthwise = conv_norm(hidden, hidden, kernel, stride, groups=hidden)
        layers += [nn.Sequential(*depthwise, nn.ReLU6(inplace=True)), *conv_norm(hidden, c_out)]
        self.conv = nn.Sequential(*layers)
        self.residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return x + out if self.residual else out


class GlobalGate(nn.Module):
    """1x1 projection scaled per channel by what the whole picture shows (LR-ASPP, Howard et al., 2019)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.project = nn.Sequential(*conv_norm(c_in, c_out), nn.ReLU(inplace=True))
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(c_in, c_out, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.project(x) * self.gate(x)
        return out


class LightUp(nn.Module):
    """A decoder step that costs little: project both, upsample the deep one, add, refine depthwise.

    Projecting before the upsampling equals a 1x1 convolution over their concatenation at a quarter of
    the operations for the deep half.
    """

    def __init__(self, c_in: int, c_skip: int, c_out: int, *, fit: bool = False) -> None:
        """With `fit` the deep half is brought to the skip's size, else doubled, which is faster."""
        super().__init__()
        self.fit = fit
        self.deep = nn.Conv2d(c_in, c_out, 1, bias=False)
        self.skip = nn.Sequential(*conv_norm(c_skip, c_out))
        self.refine = nn.Sequential(
            *conv_norm(c_out, c_out, 3, groups=c_out),
            *conv_norm(c_out, c_out),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x, side = self.deep(x), self.skip(skip)
        if self.fit:
            x = F.interpolate(x, size=side.shape[-2:], mode="bilinear", align_corners=False)
        else:
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        x = F.relu(x + side, inplace=True)
        refined: Tensor = self.refine(x)
        return x + refined


class PhasedHead(nn.Module):
    """A 3x3 convolution to one channel, computed for blocks of 2x4 pixels at once; same result.

    Runtimes with blocked layouts pad one output channel to eight, and do seven eighths of the work
    for nothing. Here the eight pixels of a block are the channels: a 4x6 kernel at stride (2, 4),
    then a rearrangement. Height and width must be multiples of 2 and 4.
    """

    def __init__(self, head: nn.Conv2d) -> None:
        super().__init__()
        self.conv = nn.Conv2d(head.in_channels, 8, (4, 6), stride=(2, 4), padding=1)
        with torch.no_grad():
            self.conv.weight.zero_()
            for y in range(2):
                for x in range(4):
                    self.conv.weight[4 * y + x, :, y : y + 3, x : x + 3] = head.weight[0]
            assert head.bias is not None
            assert self.conv.bias is not None
            self.conv.bias.copy_(head.bias.expand(8))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        n, _, h, w = out.shape
        return out.view(n, 2, 4, h, w).permute(0, 3, 1, 4, 2).reshape(n, 1, 2 * h, 4 * w)
