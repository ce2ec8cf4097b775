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
    """2x2 transposed convolution, concatenation of the skip (its centre if larger), DoubleConv.

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


class Mean(nn.Module):
    """The mean over the picture: (N, C, H, W) to (N, C, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3), keepdim=True)


class GlobalGate(nn.Module):
    """1x1 projection, each channel scaled by a gate on the picture's mean.

    From LR-ASPP (Howard et al., 2019).
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.project = nn.Sequential(*conv_norm(c_in, c_out), nn.ReLU(inplace=True))
        self.gate = nn.Sequential(Mean(), nn.Conv2d(c_in, c_out, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.project(x) * self.gate(x)
        return out


class LightUp(nn.Module):
    """A decoder step that costs little: project both, upsample the deep one, add, refine depthwise.

    Projecting before the upsampling equals a 1x1 convolution over their concatenation, at a quarter
    of the operations for the deep half.
    """

    def __init__(self, c_in: int, c_skip: int, c_out: int, *, fit: bool = False) -> None:
        """Bring the deep half to the skip's size with `fit`; else double it, which is faster."""
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
            x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
        else:
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        x = F.relu(x + side, inplace=True)
        refined: Tensor = self.refine(x)
        return x + refined


class PhasedHead(nn.Module):
    """A 3x3 convolution to one channel, computed for blocks of 4x4 pixels at once; same result.

    Runtimes with blocked layouts pad one output channel to 16, and do most of the work for nothing.
    Here the 16 pixels of a block are the channels: a 6x6 kernel at stride 4, then a rearrangement.
    Height and width must be multiples of 4.
    """

    def __init__(self, head: nn.Conv2d) -> None:
        super().__init__()
        self.conv = nn.Conv2d(head.in_channels, 16, 6, stride=4, padding=1)
        assert head.bias is not None
        assert self.conv.bias is not None
        with torch.no_grad():
            self.conv.weight.zero_()
            for y in range(4):
                for x in range(4):
                    self.conv.weight[4 * y + x, :, y : y + 3, x : x + 3] = head.weight[0]
            self.conv.bias.copy_(head.bias.expand(16))

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(x), 4)


class PackedStem(nn.Module):
    """A 3x3 convolution at stride 2 with ReLU6, computed for two pixels of a row at once.

    The result is the same. ONNX Runtime's quick convolution of bytes takes multiples of 4 channels,
    and a picture has 3. Here four columns of the picture are 4 times as many channels, and two
    columns of the output twice as many: a 3x2 kernel at stride (2, 1). With the channels last in
    memory, neither packing moves anything. The width must be a multiple of 4, the height of 2.
    """

    def __init__(self, stem: nn.Conv2d) -> None:
        """`stem` has a bias, and pads by 1."""
        super().__init__()
        self.wide = 4 * stem.in_channels
        self.narrow = stem.out_channels
        self.conv = nn.Conv2d(self.wide, 2 * self.narrow, (3, 2), stride=(2, 1))
        assert stem.bias is not None
        assert self.conv.bias is not None
        # output column, output channel, four columns, column among them, channel, row
        weight = torch.zeros(2, self.narrow, 2, 4, stem.in_channels, 3)
        with torch.no_grad():
            for x in range(2):
                for k in range(3):
                    four, column = divmod(3 + 2 * x + k, 4)
                    weight[x, :, four, column] = stem.weight[..., k]
            packed = weight.permute(0, 1, 3, 4, 5, 2).reshape(self.conv.weight.shape)
            self.conv.weight.copy_(packed)
            self.conv.bias.copy_(stem.bias.repeat(2))

    def forward(self, x: Tensor) -> Tensor:
        n, _, h, w = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(n, h, w // 4, self.wide)
        x = F.relu6(self.conv(F.pad(rows.permute(0, 3, 1, 2), (1, 0, 1, 0))))
        rows = x.permute(0, 2, 3, 1).reshape(n, h // 2, w // 2, self.narrow)
        return rows.permute(0, 3, 1, 2)
