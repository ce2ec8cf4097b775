"""Half precision beside float32, as the processor of an NVIDIA GPU makes alpha from pictures.

    python benchmarks/precision.py IMAGES MASKS [--model live] [--precision float16] [--device auto]
        [--json]

IMAGES and MASKS are folders of pictures matched by name; --precision is repeatable. With --device
cpu the same PyTorch operations run on the CPU.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from livecut.backgrounds.blur import Blur
from livecut.errors import LivecutError
from livecut.evaluation.dataset import Pair
from livecut.evaluation.metrics import iou
from livecut.evaluation.pictures import find_pairs
from livecut.frame import Frame, Image
from livecut.models import DEFAULT_MODEL, PRECISIONS, find_model
from livecut.network.base import torch_device
from livecut.processors.cuda.processor import CudaProcessor, Weights
from livecut.processors.cuda.streams import CpuDevice, CudaDevice


class DeviceMatting:
    """A picture's alpha as the device makes it; no frame follows another.

    Without CUDA graphs, as each picture may be of another size. Raises EngineError, ModelError and
    ConfigError.
    """

    def __init__(self, model: str, device: str, precision: str) -> None:
        where = torch_device(device)
        machine = CpuDevice() if where.type == "cpu" else CudaDevice(where, graph=False)
        weights = Weights(find_model(model, ".safetensors"), machine, precision)
        self._processor = CudaProcessor(weights, Blur((16, 16)))  # of any size: nothing is composed
        self.description = self._processor.description

    def __call__(self, image: Image) -> Image:
        """The alpha (H, W) of a BGR image (H, W, 3), uint8, 255 = person. Raises EngineError."""
        return self._processor.cut(Frame(image, 0, 0.0, 0.0)).alpha


@dataclass(frozen=True)
class Drift:
    """How far a precision is from float32 over pictures."""

    iou_difference: float
    """Mean IoU with the masks less that of float32, in points."""
    iou_difference_worst: float
    """The largest difference of one picture, signed."""
    iou_between_worst: float
    """The lowest IoU in percent of an alpha with that of float32."""
    alpha_difference: float
    """The largest of any pixel, of 255."""
    alpha_difference_mean: float

    def __str__(self) -> str:
        return (
            f"mean IoU {self.iou_difference:+.3f} points, "
            f"of one picture {self.iou_difference_worst:+.3f} at most; "
            f"alphas overlap by {self.iou_between_worst:.2f} % at least and differ by "
            f"{self.alpha_difference:.0f} of 255 at most, "
            f"{self.alpha_difference_mean:.3f} on average"
        )


def compare(pairs: Sequence[Pair], matting: DeviceMatting, exact: DeviceMatting) -> Drift:
    """How far `matting` is from `exact`. Raises ConfigError and EngineError."""
    differences, between, largest, means = [], [], [], []
    for pair in pairs:
        image, mask = pair.read()
        alpha, expected = matting(image), exact(image)
        apart = np.abs(alpha.astype(int) - expected)
        differences.append(100 * (iou(alpha, mask) - iou(expected, mask)))
        between.append(100 * iou(alpha, expected))
        largest.append(float(apart.max()))
        means.append(float(apart.mean()))
    return Drift(
        float(np.mean(differences)),
        max(differences, key=abs),
        min(between),
        max(largest),
        float(np.mean(means)),
    )


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("images", type=Path)
    parser.add_argument("masks", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--precision", action="append", choices=PRECISIONS)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    try:
        pairs = find_pairs(given.images, given.masks)
        exact = DeviceMatting(given.model, given.device, "float32")
        found = dict[str, Drift]()
        for precision in given.precision or ["float16", "bfloat16"]:
            matting = DeviceMatting(given.model, given.device, precision)
            found[precision] = compare(pairs, matting, exact)
    except LivecutError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if given.json:
        drifts = {precision: asdict(drift) for precision, drift in found.items()}
        print(json.dumps({"network": exact.description, "pictures": len(pairs)} | drifts))
    else:
        for precision, drift in found.items():
            print(f"{precision} beside float32: {drift}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
