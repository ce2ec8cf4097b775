"""From a checkpoint to what is shipped: safetensors for PyTorch, ONNX for everything else."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from safetensors.torch import save as to_bytes
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from livecut.errors import ModelError
from livecut.files import whole
from livecut.labelled import read_folder
from livecut.models import input_size
from livecut.network import Portable, as_rgb
from livecut.network.base import Network
from livecut.network.blocks import PhasedHead, Up
from livecut.network.unet import MobileUNet
from livecut.network.weights import Facts
from livecut.training.checkpoint import load_earlier
from livecut.training.settings import recipe, to_toml

TOLERANCE = 1e-3
"""How far ONNX Runtime's alpha (0..1) may lie from PyTorch's: a quarter of one grey level."""


@dataclass(frozen=True)
class Exported:
    """What was written, and how near it is."""

    files: list[Path]
    difference: float | None
    """The largest of alpha (0..1) between ONNX Runtime and PyTorch; None where there is no ONNX."""
    ious: tuple[float, float] | None
    """Mean validation IoU in percent, exact and in int8; None where there is no int8."""


def export(
    checkpoint: Path, out: Path, calibrate: Path | None = None, others: Sequence[Path] = ()
) -> Exported:
    """Write a checkpoint of `livecut train` for use, and the settings that reproduce it (.toml).

    `out` ends in .onnx, which the .safetensors comes beside, or in .safetensors for that alone. A
    .safetensors in place of the checkpoint gives the .onnx alone. With `others`, checkpoints or
    .safetensors of the same network, the mean of all their weights is written, to .onnx and
    .safetensors, for the first's input size (model soups, Wortsman et al., 2022: good where the runs
    began from the same weights). With `calibrate`, a folder of labelled pictures, the network is
    written in int8 too, see `livecut.training.quantise`. Raises ModelError, and writes nothing, where
    ONNX Runtime's alpha over random and flat pictures of several shapes differs from PyTorch's by more
    than `TOLERANCE`, the checkpoint is not ours, ONNX cannot express it, or int8 loses too much;
    ConfigError where there are no such pictures.
    """
    if out.suffix not in (".onnx", ".safetensors"):
        raise ModelError(
            f"cannot export to {out}; expected a file that ends in .onnx or .safetensors"
        )
    if not out.parent.is_dir():
        raise ModelError(f"no folder {out.parent} to write {out.name} in; make it first")
    to_onnx = out.suffix == ".onnx"
    anew = bool(others) or checkpoint.suffix != ".safetensors"
    if not to_onnx and (calibrate or not anew):
        raise ModelError(f"nothing to write to {out.name}; give -o {out.with_suffix('.onnx').name}")
    network, facts, text = _read(checkpoint, out)
    if others:
        text = ""
        _average(network, facts, others, out)
    difference, ious = None, None
    with ExitStack() as files:

        def file(suffix: str) -> Path:
            path = out.with_suffix(suffix)
            part = files.enter_context(whole(path))
            written.append(path)
            return part

        written: list[Path] = []
        if to_onnx:
            part = file(".onnx")
            write_onnx(deployable(network), facts, part)
            difference = disagreement(Portable(network).eval(), facts, part)
            if difference > TOLERANCE:
                raise ModelError(
                    f"the exported network differs from PyTorch's by {difference:.2g} in alpha, more "
                    f"than {TOLERANCE:g}; nothing was written"
                )
            if calibrate:
                from livecut.training.quantise import quantise

                ious = quantise(network, facts, read_folder(calibrate), part, file(".int8.onnx"))
        if anew:
            about = {"network": facts.network, "area": str(facts.area)}
            file(".safetensors").write_bytes(to_bytes(network.state_dict(), about))
        if text:
            file(".toml").write_text(text, encoding="utf-8")
    return Exported(written, difference, ious)


def _read(path: Path, out: Path) -> tuple[Network, Facts, str]:
    """The network, its facts, and a run's settings as TOML, of one that `out` can hold."""
    network, facts, settings = load_earlier(path)
    if out.suffix == ".onnx" and not network.exportable:
        raise ModelError(
            f"{facts.network} cannot be exported to ONNX; give -o {out.with_suffix('.safetensors')}, "
            "which --engine torch runs"
        )
    try:
        return network, facts, to_toml(recipe(settings)) if settings else ""
    except KeyError as error:
        raise ModelError(f"{path} is no checkpoint of 'livecut train': {error}") from error


def _average(network: Network, facts: Facts, others: Sequence[Path], out: Path) -> None:
    """Put the mean of its weights and the others' into a network; what is not floating point stays its own."""
    states = []
    for path in others:
        other, its, _ = _read(path, out)
        if its.network != facts.network:
            raise ModelError(
                f"{path} is {its.network}, the first {facts.network}; expected the same network"
            )
        states.append(other.state_dict())
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.stack([value, *(state[name] for state in states)]).mean(0))


def deployable(network: Network, form: type[Folded] | None = None) -> Portable:
    """The network with what surrounds it (`Folded`, or another form), such that runtimes are fast at it."""
    fast = copy.deepcopy(network).eval()
    for module in fast.modules():
        if isinstance(module, nn.Sequential):
            _join_norms(module)
    if isinstance(fast, MobileUNet) and isinstance(fast.head, nn.Conv2d):
        fast.head = PhasedHead(fast.head)
    for module in fast.modules():
        if isinstance(module, Up):
            module.crops = False  # engines give multiples of the stride alone
    return (form or Folded)(fast).eval()


def _join_norms(layers: nn.Sequential) -> None:
    """Put each batch norm's scale and shift into the convolution before it."""
    for i, (conv, norm) in enumerate(pairwise(layers)):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            layers[i], layers[i + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity()


class Folded(Portable):
    """A Portable whose first convolution takes BGR levels less their mean: two passes over them fewer.

    The colours' order and scale are in that convolution's weights. The mean is not, for beyond the
    picture's edges a convolution sees zeros, which are to be the mean.
    """

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        first = next(m for m in network.modules() if isinstance(m, nn.Conv2d))
        with torch.no_grad():
            first.weight.copy_(as_rgb(first.weight / self.statistics[1]))

    def prepare(self, image: torch.Tensor) -> torch.Tensor:
        """BGR levels less their mean."""
        return image.permute(0, 3, 1, 2).float() - as_rgb(self.statistics[:1])


def write_onnx(portable: Portable, facts: Facts, path: Path) -> None:
    """Write the network for any number of pictures whose sides its stride divides, and what it is."""
    network = portable.network
    s = network.stride
    height, width = torch.export.Dim("h", min=2, max=512), torch.export.Dim("w", min=2, max=512)
    program = torch.onnx.export(
        portable,
        (torch.zeros(2, 9 * s, 16 * s, 3, dtype=torch.uint8),),
        dynamo=True,
        input_names=["image"],
        output_names=["alpha"],
        dynamic_shapes=({0: torch.export.Dim("n"), 1: s * height, 2: s * width},),
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    graph = model.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]  # the exporter's stack traces, with the paths of the files
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
    """The largest difference of alpha between the ONNX file and the network, over several shapes and
    numbers of pictures.
    """
    network = portable.network
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    worst = 0.0
    for frame in ((1280, 720), (640, 480), (720, 1280), (500, 500)):
        w, h = input_size(*frame, facts.area, network.stride)
        for image in (
            rng.integers(0, 256, (1, h, w, 3), np.uint8),
            np.full((1, h, w, 3), rng.integers(256), np.uint8),
            rng.integers(0, 256, (3, h, w, 3), np.uint8),
        ):
            with torch.inference_mode():
                expected = portable(torch.from_numpy(image)).numpy()
            (got,) = session.run(None, {"image": image})
            worst = max(worst, float(np.abs(got - expected).max()))
    return worst
