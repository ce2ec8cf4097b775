"""Pictures from one pixel format to another on the device. On the CPU: `livecut.kernels.pixels`.

Planes are BGR (3, H, W) of 0..255; `write` expects whole numbers. Luma is computed in the planes'
type, which in float16 is within an eighth of a level, chroma in float32.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from livecut.frame import PixelFormat
from livecut.kernels.constants import CHROMA_ZERO, LUMA_BLACK, MATRIX_BITS
from livecut.kernels.pixels import yuv_matrix

_ONE = 1 << MATRIX_BITS


def to_yuv(pixel_format: PixelFormat) -> Tensor:
    """Matrix from BGR to the bytes of a format, float32 (3, 4).

    The rows are Y, U and V; the columns B, G, R and the offset, which holds a half for rounding.
    """
    offsets = torch.tensor([[LUMA_BLACK + 0.5], [CHROMA_ZERO + 0.5], [CHROMA_ZERO + 0.5]])
    return torch.cat(
        [torch.from_numpy(yuv_matrix(*pixel_format.weights)).float() / _ONE, offsets], 1
    )


def from_yuv(pixel_format: PixelFormat) -> list[list[float]]:
    """Matrix from luma and chroma, less their offsets, to BGR: rows B, G, R, columns Y, U, V."""
    matrix: list[list[float]] = np.linalg.inv(yuv_matrix(*pixel_format.weights) / _ONE).tolist()
    return matrix


def read(
    picture: Tensor, pixel_format: PixelFormat, matrix: list[list[float]], out: Tensor
) -> None:
    """Write a picture of bytes, of its format's shape, into planes `out`.

    `matrix` is that of `from_yuv`. A pixel's chroma is that of its pair (YUYV) or of its four
    (NV12), as OpenCV has it.
    """
    if pixel_format.name == "BGR":
        out.copy_(picture.permute(2, 0, 1))
        return
    height, width = out.shape[1:]
    if pixel_format.name == "YUYV":
        luma, pairs = picture[..., 0], picture.view(height, width // 2, 4)
        u, v = _spread(pairs[..., 1], 1, out), _spread(pairs[..., 3], 1, out)
    else:
        luma = picture[:height]
        pairs = picture[height:].view(height // 2, width // 2, 2)
        u, v = _spread(pairs[..., 0], 2, out), _spread(pairs[..., 1], 2, out)
    bright = (luma.to(out.dtype) - LUMA_BLACK).clamp_(min=0)
    for plane, (_, by_u, by_v) in zip(out, matrix, strict=True):
        torch.add(u * by_u, v, alpha=by_v, out=plane)
    out.add_(bright, alpha=matrix[0][0]).round_().clamp_(0, 255)


def _spread(chroma: Tensor, rows: int, like: Tensor) -> Tensor:
    """Repeat each sample of chroma at its two pixels, in `rows` rows, less CHROMA_ZERO."""
    height, width = chroma.shape
    at = (chroma.to(like.dtype) - CHROMA_ZERO)[:, None, :, None]
    return at.expand(height, rows, width, 2).reshape(height * rows, width * 2)


def write(planes: Tensor, pixel_format: PixelFormat, matrix: Tensor, out: Tensor) -> None:
    """Write opaque planes into the bytes `out` in a format; `matrix` is that of `to_yuv`.

    An odd last row or column is left out where it has no place; chroma is the mean of its pixels.
    """
    if pixel_format.name == "BGR":
        out.view(*planes.shape[1:], 3).copy_(planes.permute(1, 2, 0))
        return
    w, h = pixel_format.size((planes.shape[2], planes.shape[1]))
    planes, packed = planes[:, :h, :w], pixel_format.name == "YUYV"
    luma = _times(matrix[:1].to(planes.dtype), planes).view(h, w)
    chroma = _times(matrix[1:], F.avg_pool2d(planes, (1, 2) if packed else 2).float())
    if packed:
        quads = out.view(h, w // 2, 2, 2)
        quads[..., 0].copy_(luma.view(h, w // 2, 2))
        quads[..., 1].copy_(chroma.view(2, h, w // 2).permute(1, 2, 0))
        return
    out[: w * h].view(h, w).copy_(luma)
    if pixel_format.name == "I420":
        out[w * h :].view(2, -1).copy_(chroma)
    else:
        out[w * h :].view(-1, 2).copy_(chroma.T)


def _times(matrix: Tensor, planes: Tensor) -> Tensor:
    return torch.addmm(matrix[:, 3:], matrix[:, :3], planes.reshape(3, -1))


def cutout(planes: Tensor, alpha: Tensor, pixel_format: PixelFormat, out: Tensor) -> None:
    """Write BGRA or RGBA bytes (H, W, 4): straight alpha, black where `alpha` (H, W) is 0."""
    planes = planes if pixel_format.name == "BGRA" else planes.flip(0)
    out[..., :3] = (planes.round() * (alpha > 0)).permute(1, 2, 0)
    out[..., 3] = alpha
