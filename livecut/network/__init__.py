"""The networks. Importing this imports torch."""

from __future__ import annotations

from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livecut.errors import EngineError, ModelError
from livecut.models import REFERENCES
from livecut.network.base import Network
from livecut.network.unet import DeepMobileUNet, EfficientUNet, MobileUNet, SteadyUNet, UNet

NETWORKS: dict[str, type[Network]] = {
    "live": MobileUNet,
    "deep": DeepMobileUNet,
    "quality": EfficientUNet,
    "steady": SteadyUNet,
    "unet": UNet,
}
"""What `livecut train --model` takes, besides `REFERENCES`."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Of RGB in 0..1 over ImageNet, as torchvision's pretrained encoders expect it."""
ZERO = 114
"""The level of a remembered alpha that a network sees as 0, as in whole numbers it does of all channels."""


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


def statistics(device: torch.device | None = None, *, memory: bool = False) -> Tensor:
    """`MEAN` and `STD` for bytes: (2, 3, 1, 1), or (2, 4, 1, 1) with those of a remembered alpha."""
    known = [[255 * v for v in MEAN] + [ZERO] * memory, [255 * v for v in STD] + [255] * memory]
    return torch.tensor(known, device=device).view(2, -1, 1, 1)


def as_rgb(planes: Tensor) -> Tensor:
    """(N, C, ...) of BGR, and perhaps a remembered alpha, with red first."""
    rgb = planes[:, :3].flip(1)
    return rgb if planes.shape[1] == 3 else torch.cat([rgb, planes[:, 3:]], 1)


def normalise(image: Tensor, known: Tensor | None = None) -> Tensor:
    """uint8 BGR (N, H, W, 3), or with a remembered alpha (N, H, W, 4), to the float RGB (N, C, H, W) that
    the networks take.

    `known` is what `statistics` gives, which else is copied to the device at each call.
    """
    known = statistics(image.device, memory=image.shape[-1] == 4) if known is None else known
    return (as_rgb(image.permute(0, 3, 1, 2).float()) - known[0]) / known[1]


def remember(image: Tensor, alpha: Tensor) -> Tensor:
    """uint8 BGR (N, H, W, 3) with the alpha (N, h, w) in 0..1 of the frame before: uint8 (N, H, W, 4)."""
    full = F.interpolate(alpha[:, None], image.shape[1:3], mode="bilinear", align_corners=False)
    return torch.cat([image, (full * 255).round().byte().permute(0, 2, 3, 1)], -1)


def without_memory(network: Network, image: Tensor) -> Tensor:
    """uint8 BGR (N, H, W, 3) as the network takes a frame that none came before."""
    return F.pad(image, (0, 1)) if network.memory else image


class Portable(nn.Module):
    """A network with what surrounds it, so that every engine gets the same bytes.

    Input: uint8 BGR (N, H, W, 3), for a network with memory BGR and the alpha of the frame before (N,
    H, W, 4). Output: alpha (N, H/s, W/s) in 0..1, s the network's output stride, of the type `dtype`,
    in which the network itself works; of half precision, where it overflows, NaN.
    """

    statistics: Tensor

    def __init__(self, network: Network, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.network = network.to(dtype)
        self.memory, self.output_stride = network.memory, network.output_stride
        self._dtype = dtype
        self.register_buffer("statistics", statistics(memory=network.memory), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network(normalise(image, self.statistics).to(self._dtype))
        if self._dtype is not torch.float32:
            logits = logits + logits * 0  # infinity, whose sigmoid is a person, becomes NaN
        return torch.sigmoid(logits[:, 0])


def alpha_at(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Logits (N, 1, h, w) to alpha (N, H, W) at `size` = (W, H), bilinear."""
    full = F.interpolate(logits, size=size[::-1], mode="bilinear", align_corners=False)
    return torch.sigmoid(full[:, 0])
