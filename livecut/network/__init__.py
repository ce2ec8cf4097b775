"""The networks. Importing this imports torch."""

from __future__ import annotations

from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livecut.errors import EngineError, ModelError
from livecut.models import REFERENCES
from livecut.network.base import Network
from livecut.network.unet import (
    DeepMobileUNet,
    EfficientUNet,
    MobileUNet,
    UNet,
)

NETWORKS: dict[str, type[Network]] = {
    "live": MobileUNet,
    "deep": DeepMobileUNet,
    "quality": EfficientUNet,
    "unet": UNet,
}
"""What `livecut train --model` takes, besides `REFERENCES`."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Of RGB in 0..1 over ImageNet, as torchvision's pretrained encoders expect it."""


def build(name: str) -> Network:
    """A network by its name, with fresh weights.

    Raises ModelError for an unknown name, or where torchvision's is asked for and it is missing.
    """
    if name in NETWORKS:
        return NETWORKS[name]()
    if name not in REFERENCES:
        known = ", ".join((*sorted(NETWORKS), *REFERENCES))
        raise ModelError(f"unknown network '{name}'; known are: {known}")
    network: Network = references().reference(name)
    return network


def references() -> ModuleType:
    """The module of torchvision's networks, which imports torchvision. Raises ModelError without it."""
    try:
        from livecut.network import reference
    except ImportError as error:
        raise ModelError(
            f'this network needs {error.name}; install it with: pip install "livecut[torch]"'
        ) from error
    return reference


def torch_device(device: str) -> torch.device:
    """The device by its name: auto (CUDA where there is one, else the CPU), cpu, cuda or cuda:N.

    Raises EngineError where a named GPU cannot be had.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdigit()):
        raise EngineError(f"unknown device '{device}'; expected auto, cpu, cuda or cuda:N")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cuda" and int(number or 0) >= count:
        raise EngineError(
            f"device {device}: PyTorch {torch.__version__} sees {count} CUDA devices here; name one "
            "of them, or take --device cpu"
        )
    return torch.device(device)


def statistics(device: torch.device | None = None) -> Tensor:
    """`MEAN` and `STD` for bytes: (2, 3, 1, 1)."""
    known = [[255 * v for v in MEAN], [255 * v for v in STD]]
    return torch.tensor(known, device=device).view(2, 3, 1, 1)


def as_rgb(planes: Tensor) -> Tensor:
    """(N, 3, ...) of BGR with red first."""
    return planes.flip(1)


def normalise(image: Tensor, known: Tensor | None = None) -> Tensor:
    """uint8 BGR (N, H, W, 3) to the float RGB (N, 3, H, W) that the networks take.

    `known` is what `statistics` gives, which else is copied to the device at each call.
    """
    known = statistics(image.device) if known is None else known
    return (as_rgb(image.permute(0, 3, 1, 2).float()) - known[0]) / known[1]


class Portable(nn.Module):
    """A network with what surrounds it, so that every engine gets the same bytes.

    Input: uint8 BGR (N, H, W, 3). Output: alpha (N, H/s, W/s) in 0..1, s the network's output stride, of
    the type `dtype`, in which the network itself works; of half precision, where it overflows, NaN.
    """

    statistics: Tensor

    def __init__(self, network: Network, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.network = network.to(dtype)
        self.output_stride = network.output_stride
        self._dtype = dtype
        self.register_buffer("statistics", statistics(), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network(self.prepare(image).to(self._dtype)).squeeze(1)
        if self._dtype is not torch.float32:
            logits = logits + logits * 0  # infinity, whose sigmoid is a person, becomes NaN
        return torch.sigmoid(logits)

    def prepare(self, image: Tensor) -> Tensor:
        """What the network takes of uint8 BGR (N, H, W, 3): float (N, 3, H, W)."""
        return normalise(image, self.statistics)


def alpha_at(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Logits (N, 1, h, w) to alpha (N, H, W) at `size` = (W, H), bilinear."""
    full = F.interpolate(logits, size=size[::-1], mode="bilinear", align_corners=False)
    return torch.sigmoid(full[:, 0])
