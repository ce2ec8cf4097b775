"""From a checkpoint to what is shipped: safetensors for PyTorch, ONNX for everything else."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from safetensors.torch import save as to_bytes
from torch import nn

from livecut.errors import ModelError
from livecut.files import whole
from livecut.models import input_size
from livecut.network import Portable, build
from livecut.network.base import Network
from livecut.network.blocks import PhasedHead, Up
from livecut.network.unet import MobileUNet
from livecut.network.weights import Facts
from livecut.training.checkpoint import load_checkpoint
from livecut.training.settings import recipe, to_toml

TOLERANCE = 1e-3
"""How far ONNX Runtime's alpha (0..1) may lie from PyTorch's: a quarter of one grey level."""


def export(checkpoint: Path, out: Path) -> float | None:
    """Write a checkpoint of `livecut train` for use, and the settings that reproduce it (.toml).

    `out` ends in .onnx, which the .safetensors comes beside, or in .safetensors for that alone.
    Returns the largest difference of alpha (0..1) between ONNX Runtime and PyTorch over random and
    flat pictures of several shapes; None where there is no ONNX. Raises ModelError, and writes
    nothing, where it is over `TOLERANCE`, the checkpoint is not ours, or ONNX cannot express it.
    """
    if out.suffix not in (".onnx", ".safetensors"):
        raise ModelError(
            f"cannot export to {out}; expected a file that ends in .onnx or .safetensors"
        )
    if not out.parent.is_dir():
        raise ModelError(f"no folder {out.parent} to write {out.name} in; make it first")
    state = load_checkpoint(checkpoint)
    to_onnx = out.suffix == ".onnx"
    try:
        settings: Mapping[str, Any] = state["settings"]
        facts = Facts(settings["model"], int(settings["area"]))
        network = build(facts.network)
        if to_onnx and not network.exportable:
            raise ModelError(
                f"{facts.network} cannot be exported to ONNX; give -o {out.with_suffix('.safetensors')}, "
                "which --engine torch runs"
            )
        network.load_state_dict(state["averaged"])
        text = to_toml(recipe(settings))
    except (KeyError, TypeError, RuntimeError) as error:
        raise ModelError(f"{checkpoint} is no checkpoint of 'livecut train': {error}") from error
    difference = None
    if to_onnx:
        with whole(out) as part:
            write_onnx(deployable(network), facts, part)
            difference = disagreement(Portable(network).eval(), facts, part)
            if difference > TOLERANCE:
                raise ModelError(
                    f"the exported network differs from PyTorch's by {difference:.2g} in alpha, more "
                    f"than {TOLERANCE:g}; nothing was written"
                )
    about = {"network": facts.network, "area": str(facts.area)}
    with whole(out.with_suffix(".safetensors")) as part:
        part.write_bytes(to_bytes(network.state_dict(), about))
    with whole(out.with_suffix(".toml")) as part:
        part.write_text(text, encoding="utf-8")
    return difference


def deployable(network: Network) -> Portable:
    """The network with what surrounds it, in the form that runtimes are fast at."""
    fast = copy.deepcopy(network)
    if isinstance(fast, MobileUNet) and isinstance(fast.head, nn.Conv2d):
        fast.head = PhasedHead(fast.head)
    for module in fast.modules():
        if isinstance(module, Up):
            module.crops = False  # engines give multiples of the stride alone
    return Folded(fast).eval()


class Folded(Portable):
    """A Portable whose first convolution takes BGR levels less their mean: two passes over them fewer.

    The colours' order and scale are in that convolution's weights. The mean is not, for beyond the
    picture's edges a convolution sees zeros, which are to be the mean.
    """

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        first = next(m for m in network.modules() if isinstance(m, nn.Conv2d))
        with torch.no_grad():
            first.weight.copy_((first.weight / self.statistics[1]).flip(1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        levels = image.permute(0, 3, 1, 2).float() - self.statistics[0].flip(0)
        logits: torch.Tensor = self.network(levels)
        return torch.sigmoid(logits[:, 0])


def write_onnx(portable: Portable, facts: Facts, path: Path) -> None:
    """Write the network with any height and width that its stride divides, and what it is."""
    network = portable.network
    s = network.stride
    height, width = torch.export.Dim("h", min=2, max=512), torch.export.Dim("w", min=2, max=512)
    program = torch.onnx.export(
        portable,
        (torch.zeros(1, 9 * s, 16 * s, 3, dtype=torch.uint8),),
        dynamo=True,
        input_names=["image"],
        output_names=["alpha"],
        dynamic_shapes=({1: s * height, 2: s * width},),
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    values = {
        "livecut.network": facts.network,
        "livecut.area": facts.area,
        "livecut.stride": network.stride,
        "livecut.output_stride": network.output_stride,
    }
    onnx.helper.set_model_props(model, {k: str(v) for k, v in values.items()})
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def disagreement(portable: Portable, facts: Facts, path: Path) -> float:
    """The largest difference of alpha between the ONNX file and the network, over several shapes."""
    network = portable.network
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    worst = 0.0
    for frame in ((1280, 720), (640, 480), (720, 1280), (500, 500)):
        w, h = input_size(*frame, facts.area, network.stride)
        for image in (
            rng.integers(0, 256, (1, h, w, 3), np.uint8),
            np.full((1, h, w, 3), rng.integers(256), np.uint8),
        ):
            with torch.inference_mode():
                expected = portable(torch.from_numpy(image)).numpy()
            (got,) = session.run(None, {"image": image})
            worst = max(worst, float(np.abs(got - expected).max()))
    return worst
