"""Half precision beside float32: the GPU's own way to alpha, or the same on the CPU."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from livecut.errors import ConfigError, EngineError
from livecut.evaluation.metrics import iou
from livecut.evaluation.pictures import Score
from livecut.frame import Frame, Image
from livecut.models import TORCHVISION, find_model


class DeviceMatting:
    """Image in, alpha out, as `livecut.kernels` makes it on a device; no frame follows another.

    Without CUDA graphs, as each picture may be of another size. Raises EngineError, ModelError and
    ConfigError.
    """

    def __init__(self, model: str, device: str, precision: str) -> None:
        if Path(model).suffix == ".onnx" or model.startswith(TORCHVISION):
            raise ConfigError(
                f"precision {precision}: {model} is not livecut's own network under PyTorch; give a "
                "shipped model's name or a .safetensors file"
            )
        path = find_model(model, ".safetensors")
        try:
            from livecut.network.base import torch_device
            from livecut.processors.cuda.processor import DeviceCutter, Weights
            from livecut.processors.cuda.streams import Cuda, Inline
        except ImportError as error:
            raise EngineError(
                f'precision {precision} needs {error.name}; install it with: pip install "livecut[torch]"'
            ) from error
        from livecut.backgrounds.blur import Blur

        where = torch_device(device)
        machine = Inline() if where.type == "cpu" else Cuda(where, graph=False)
        behind = Blur((16, 16))  # of any size: nothing is composed
        self._cutter = DeviceCutter(Weights(path, machine, precision), behind)
        self.description = self._cutter.description

    def __call__(self, image: Image) -> Image:
        """The alpha (H, W) of a BGR image (H, W, 3), uint8, 255 = person. Raises EngineError."""
        return self._cutter.cut(Frame(image, 0, 0.0, 0.0)).alpha


@dataclass(frozen=True)
class Parity:
    """How far a precision is from float32 over pictures."""

    iou_difference: float
    """Mean IoU with the masks less that of float32, in points."""
    iou_difference_worst: float
    """That of the picture which it is largest of, whether better or worse."""
    iou_between_worst: float
    """The lowest IoU in percent of an alpha with that of float32."""
    alpha_difference: float
    """The largest of any pixel, of 255."""
    alpha_difference_mean: float


def compare(scores: Iterable[Score], matting: DeviceMatting, exact: DeviceMatting) -> Parity:
    """How far `matting`, which made the scores, is from `exact`. Raises ConfigError and EngineError."""
    differences, between, largest, means = [], [], [], []
    for score in scores:
        image, mask = score.pair.read()
        alpha, expected = matting(image), exact(image)
        apart = np.abs(alpha.astype(int) - expected)
        differences.append(score.iou - 100 * iou(expected, mask))
        between.append(100 * iou(alpha, expected))
        largest.append(float(apart.max()))
        means.append(float(apart.mean()))
    return Parity(
        float(np.mean(differences)),
        max(differences, key=abs),
        min(between),
        max(largest),
        float(np.mean(means)),
    )


def sentence(precision: str, parity: Parity) -> str:
    """The parity for people."""
    return (
        f"{precision} beside float32: mean IoU {parity.iou_difference:+.3f} points, of one picture "
        f"{parity.iou_difference_worst:+.3f} at most; alphas overlap by {parity.iou_between_worst:.2f} % "
        f"at least and differ by {parity.alpha_difference:.0f} of 255 at most, "
        f"{parity.alpha_difference_mean:.3f} on average"
    )
