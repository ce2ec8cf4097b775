"""The interface of a network for training, engines and export, and what surrounds a network."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livecut.errors import EngineError, ModelError

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of RGB in 0..1 over ImageNet, as torchvision's encoders expect it."""


def torch_device(device: str) -> torch.device:
    """The device by its name: auto (CUDA where there is one, else the CPU), cpu, cuda or cuda:N.

    Raises EngineError where a GPU that is named is not available.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdigit()):
        raise EngineError(f"unknown device '{device}'; expected auto, cpu, cuda or cuda:N")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cuda" and int(number or 0) >= count:
        raise EngineError(
            f"device {device}: PyTorch {torch.__version__} sees {count} CUDA devices here; name "
            "one of them, or take --device cpu"
        )
    return torch.device(device)


def statistics(device: torch.device | None = None) -> Tensor:
    """`MEAN` and `STD` for bytes: (2, 3, 1, 1)."""
    known = [[255 * v for v in MEAN], [255 * v for v in STD]]
    return torch.tensor(known, device=device).view(2, 3, 1, 1)


def as_rgb(planes: Tensor) -> Tensor:
    """BGR planes (N, 3, ...) with red first."""
    return planes.flip(1)


def normalise(image: Tensor, known: Tensor | None = None) -> Tensor:
    """Convert uint8 BGR (N, H, W, 3) to the float RGB (N, 3, H, W) that the networks take.

    `known` is what `statistics` gives, which else is copied to the device at each call.
    """
    known = statistics(image.device) if known is None else known
    return (as_rgb(image.permute(0, 3, 1, 2).float()) - known[0]) / known[1]


class Portable(nn.Module):
    """A network with what surrounds it, so that every engine gets the same bytes.

    Input: uint8 BGR (N, H, W, 3). Output: alpha (N, H/s, W/s) in 0..1, with s the network's output
    stride, in the type `dtype`, in which the network itself works. Half precision that overflows
    gives NaN.
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
        """The network's input, float (N, 3, H, W), from uint8 BGR (N, H, W, 3)."""
        return normalise(image, self.statistics)


def alpha_at(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Logits (N, 1, h, w) to alpha (N, H, W) at `size` = (W, H), bilinear."""
    full = F.interpolate(logits, size=size[::-1], mode="bilinear", align_corners=False)
    return torch.sigmoid(full[:, 0])


@contextlib.contextmanager
def downloading(what: str) -> Iterator[None]:
    """Turn a failure of torchvision's downloads into a ModelError."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise ModelError(
            f"{what} cannot be downloaded: {error}; try on a machine with a network, or put the "
            "file into torch's cache of checkpoints"
        ) from error


Measure = Callable[[Tensor, Tensor], dict[str, Tensor]]
"""Function from logits (N, 1, H, W) and a target in 0..1 of that shape to losses by name."""


class Network(nn.Module):
    """A network: float RGB (N, 3, H, W) in, logits (N, 1, H/s, W/s) out.

    H and W are multiples of `stride`, s is `output_stride`, and the sigmoid of a logit is alpha.
    """

    stride: int
    output_stride: int
    exportable = True
    """Whether ONNX can express it."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """The logits."""

    def losses(self, x: Tensor, target: Tensor, measure: Measure) -> dict[str, Tensor]:
        """The losses by name on a batch; `target` is (N, 1, H, W) in 0..1 at the input's size."""
        return measure(self(x).float(), F.avg_pool2d(target, self.output_stride))

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters that pretrained weights fill, and that learn more slowly where they did."""
        yield from ()

    def load_pretrained(self, name: str) -> None:
        """Take weights that torchvision offers under `name`. Raises ModelError."""
        raise ModelError(f"this network takes no pretrained weights '{name}'; leave --encoder out")


@dataclass(frozen=True)
class Facts:
    """Description of a network in its weights file."""

    network: str
    area: int
