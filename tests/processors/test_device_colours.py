"""Pixel formats on the device, in and out, against the reference."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from livecut.frame import BGR, BGRA, NV12, RGBA, YUYV, PixelFormat, Size
from livecut.kernels import reference
from livecut.kernels.pixels import convert
from livecut.processors.cuda import colours
from tests.kernels.cases import apart, noise
from tests.kernels.test_pixels import FORMATS, SIZES, every_pair, picture

DTYPES = [torch.float32, torch.float16]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("pixel_format", [BGR, YUYV, NV12], ids=str)
def test_reads(pixel_format: PixelFormat, dtype: torch.dtype) -> None:
    """One level apart: the device's matrix has 15 bits, and float16 has fewer."""
    for image in (picture((64, 48)), noise((64, 48))):
        raw = convert(image, pixel_format)
        expected = image if pixel_format == BGR else reference.to_bgr(raw, pixel_format)
        out = torch.zeros(3, 48, 64, dtype=dtype)
        colours.read(torch.from_numpy(raw), pixel_format, colours.from_yuv(pixel_format), out)
        difference = apart(out.permute(1, 2, 0).float().numpy(), expected)
        assert difference.max() <= (pixel_format != BGR)
        assert difference.mean() < (0.005 if dtype is torch.float32 else 0.2)
        assert (out == out.round()).all()


def test_reads_every_pair_of_bytes() -> None:
    """All of luma and chroma, out of range too."""
    raw = every_pair()
    out = torch.zeros(3, *raw.shape[:2])
    colours.read(torch.from_numpy(raw), YUYV, colours.from_yuv(YUYV), out)
    difference = apart(out.permute(1, 2, 0).numpy(), reference.to_bgr(raw, YUYV))
    assert difference.max() <= 1
    assert difference.mean() < 0.005


@pytest.mark.parametrize("size", [*SIZES, (2, 2), (320, 181)])
@pytest.mark.parametrize("pixel_format", [BGR, *FORMATS], ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_writes(pixel_format: PixelFormat, size: Size, dtype: torch.dtype) -> None:
    """One level apart at most, on average by an eighth in float16."""
    for image in (picture(size), noise(size)):
        planes = torch.from_numpy(image).permute(2, 0, 1).to(dtype)
        out = torch.zeros(pixel_format.count(size), dtype=torch.uint8)
        colours.write(planes, pixel_format, colours.to_yuv(pixel_format), out)
        expected = image if pixel_format == BGR else reference.from_bgr(image, pixel_format)
        difference = apart(out.numpy().reshape(pixel_format.shape(size)), expected)
        assert difference.max() <= (pixel_format != BGR)
        seldom = 0.125 if dtype is torch.float16 else 0.01
        assert difference.sum() <= max(1, seldom * difference.size)


@pytest.mark.parametrize("pixel_format", [BGRA, RGBA], ids=str)
def test_cuts_out(pixel_format: PixelFormat) -> None:
    image = picture((61, 43))
    alpha = np.random.default_rng(0).integers(0, 3, (43, 61), np.uint8)
    expected = reference.cutout(image.astype(float), alpha / 255).astype(np.uint8)
    out = torch.empty(43, 61, 4, dtype=torch.uint8)
    planes = torch.from_numpy(image).permute(2, 0, 1).float()
    colours.cutout(planes, torch.from_numpy(alpha), pixel_format, out)
    assert (out.numpy() == convert(expected, pixel_format)).all()
