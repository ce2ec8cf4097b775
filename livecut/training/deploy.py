"""A trained network in the form in which it is exported."""

from __future__ import annotations

import copy
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from livecut.models import input_size
from livecut.network.base import Facts, Network, Portable, as_rgb
from livecut.network.blocks import PhasedHead, Up
from livecut.network.unet import MobileUNet


def deployable(network: Network, form: type[Folded] | None = None) -> Portable:
    """The network and what surrounds it (`Folded`, or another form), as runtimes are fast at it."""
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
    """A Portable whose first convolution takes BGR levels less their mean: two passes over them
    fewer.

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
    """Write the network and its facts, for any number of pictures with sides of whole strides."""
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
    """The largest difference of alpha between the ONNX file and the network, over several shapes
    and numbers of pictures; NaN where one of them is.
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
            worst = float(np.maximum(worst, np.abs(got - expected).max()))  # NaN stays
    return worst
