"""Precision in which a network runs on a device: the fastest that is safe."""

from __future__ import annotations

import copy

import numpy as np
import torch

from livecut.errors import ConfigError
from livecut.models import PRECISIONS
from livecut.network.base import Network, Portable
from livecut.options import ProcessorOptions
from livecut.processors.cuda.streams import Device

HALF_TOLERANCE = 8 / 255
"""Largest difference in alpha between half precision and float32, on a picture of noise."""


def choose_precision(
    network: Network,
    device: Device,
    precision: str = ProcessorOptions.precision,
) -> tuple[Portable, torch.dtype]:
    """The network on the device in the precision named, and that precision.

    "auto" is the first that is safe: on a GPU float16 where alpha stays within `HALF_TOLERANCE` of
    float32's, bfloat16 where float16 overflows, else float32, which is also that of a CPU. Raises
    ConfigError for an unknown name.
    """
    if precision not in ("auto", *PRECISIONS):
        raise ConfigError(
            f"unknown precision '{precision}'; expected auto, {', '.join(PRECISIONS)}"
        )
    exact = Portable(network).to(device.device).to(memory_format=torch.channels_last).eval()
    if precision in PRECISIONS:
        dtype = getattr(torch, precision)
        return Portable(exact.network, dtype).to(device.device).eval(), dtype
    if device.dtype is torch.float32:
        return exact, torch.float32
    shape = (1, 9 * network.stride, 16 * network.stride, 3)
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    sample = torch.from_numpy(noise).to(device.device)
    expected = exact(sample)
    for dtype in (torch.float16, torch.bfloat16):
        half = Portable(copy.deepcopy(exact.network), dtype).to(device.device).eval()
        if (half(sample).float() - expected).abs().max() <= HALF_TOLERANCE:  # never true of a NaN
            return half, dtype
    return exact, torch.float32


def planes_dtype(usual: torch.dtype, precision: str) -> torch.dtype:
    """Type of the planes of the frame's size; `usual` is the device's own.

    It is never bfloat16, which could not hold their whole numbers and fractions.
    """
    if precision == "auto":
        return usual
    return torch.float32 if precision == "float32" else torch.float16
