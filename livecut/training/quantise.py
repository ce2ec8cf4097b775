"""A network in whole numbers: static quantisation, calibrated on training pictures.

Activations are uint8, weights int8 for each channel; the sigmoid stays float32. The forms of the
first convolution and the last are those that ONNX Runtime computes quickly in bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

from livecut.errors import ModelError
from livecut.evaluation.dataset import Data, Pair
from livecut.evaluation.ghosts import ghost_area
from livecut.evaluation.metrics import iou, mad
from livecut.frame import Image
from livecut.models import input_size
from livecut.network.base import Facts, Network, as_rgb
from livecut.network.blocks import PackedStem
from livecut.network.unet import MobileUNet
from livecut.segmenter import Segmenter
from livecut.training.augment import cover
from livecut.training.data import SHAPES
from livecut.training.deploy import Folded, deployable, write_onnx


@dataclass(frozen=True)
class Figures:
    """How near a network's refined alpha comes to the masks of pictures: means over them."""

    iou: float
    """In percent."""
    mad: float
    """In thousandths."""
    ghosts: float
    """The area of what is seen further than a twentieth of the height from the person, in
    percent."""

    def __str__(self) -> str:
        return f"IoU {self.iou:.2f} %, MAD {self.mad:.1f} / 1000, ghosts {self.ghosts:.2f} %"


WORSE = Figures(iou=-0.3, mad=1.0, ghosts=0.05)
"""The changes of the figures from which on the quantised network is refused."""
STEP = 0.04
"""The step between a logit's 256 levels, whose middle one is 0. So alpha's range is 0.006 to
0.994, which `livecut.kernels.constants.ALPHA_MARGIN` takes for 0 and 1, and its steps are at most
0.01.
"""
ZERO = 114
"""The level of a picture that a network in whole numbers sees as 0."""
CALIBRATION = 200
"""Training pictures by which the ranges of activations are found."""


class Levels(Folded):
    """A `Folded` that takes levels less `ZERO`, one number in place of a mean for each channel.

    It is near ImageNet's mean, but whole, so that the picture's own bytes are the first
    convolution's input.
    """

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        first = next(m for m in network.modules() if isinstance(m, nn.Conv2d))
        assert first.bias is not None
        with torch.no_grad():
            apart = ZERO - as_rgb(self.statistics[:1]).flatten()
            first.bias += (first.weight.sum((2, 3)) * apart).sum(1)
        if isinstance(network, MobileUNet):
            network.features[0] = PackedStem(first)

    def prepare(self, image: torch.Tensor) -> torch.Tensor:
        """BGR levels less `ZERO`."""
        return image.permute(0, 3, 1, 2).float() - float(ZERO)


class Calibration(CalibrationDataReader):  # type: ignore[misc]
    """Random crops of training pictures, in the shapes that the network was trained in."""

    def __init__(self, pairs: list[Pair], facts: Facts, network: Network) -> None:
        self._images = self._crops(pairs, facts, network)

    @staticmethod
    def _crops(pairs: list[Pair], facts: Facts, network: Network) -> Iterator[Image]:
        rng = np.random.default_rng(0)
        for i in rng.permutation(len(pairs))[:CALIBRATION]:
            size = input_size(*SHAPES[rng.integers(len(SHAPES))], facts.area, network.stride)
            yield cover(pairs[i].read()[0], size, rng)

    def get_next(self) -> dict[str, Image] | None:
        """The next picture as the network takes it; None after the last."""
        image = next(self._images, None)
        return None if image is None else {"image": image[None]}


def quantise(
    network: Network, facts: Facts, data: Data, exact: Path, out: Path
) -> tuple[Figures, Figures]:
    """Write the network quantised to `out`, and give the figures of both (exact, quantised).

    Both are measured with the edge refinement on `data`'s validation pictures (those like a
    webcam's, where an index says); `exact` is the network's ONNX file. Raises ModelError, and
    writes nothing, where one is worse by as much as `WORSE`.
    """
    train = [p for p in data.train if p.webcam_like is not False]
    with TemporaryDirectory() as folder:
        made, known = Path(folder) / "int8.onnx", Path(folder) / "exact.onnx"
        known.write_bytes(exact.read_bytes())
        _write(network, facts, train, Path(folder), made)
        val = [p for p in data.val if p.webcam_like is not False]
        before, after = figures(known, val), figures(made, val)
        if (
            after.iou <= before.iou + WORSE.iou
            or after.mad >= before.mad + WORSE.mad
            or after.ghosts >= before.ghosts + WORSE.ghosts
        ):
            raise ModelError(
                f"int8 costs too much on {len(val)} pictures: {before} became {after}; at most "
                f"{-WORSE.iou:g} of IoU, {WORSE.mad:g} of MAD, {WORSE.ghosts:g} of ghosts may go; "
                "nothing was written"
            )
        out.write_bytes(made.read_bytes())
    return before, after


def _write(network: Network, facts: Facts, train: list[Pair], folder: Path, out: Path) -> None:
    plain, ready = folder / "plain.onnx", folder / "ready.onnx"
    write_onnx(deployable(network, Levels), facts, plain)
    quant_pre_process(plain, ready, skip_symbolic_shape=True)
    model = onnx.load(ready)
    if isinstance(network, MobileUNet):
        _pack_rows(model.graph)
        onnx.save(model, ready)
    first, last, after = _ends(model.graph)
    ranges = {first.input[0]: (1, ZERO), last.output[0]: (STEP, 128)}
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        quantize_static(
            ready,
            out,
            Calibration(train, facts, network),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=after,
            extra_options={
                "TensorQuantOverrides": {k: [_levels(*v)] for k, v in ranges.items()},
                "CalibMovingAverage": True,
            },
        )
    finally:
        logger.setLevel(level)
    model = onnx.load(out)
    _take_bytes(model.graph)
    onnx.helper.set_model_props(
        model, {p.key: p.value for p in onnx.load(plain).metadata_props} | {"livecut.int8": "1"}
    )
    onnx.checker.check_model(model)
    out.write_bytes(model.SerializeToString())


def _levels(scale: float, zero_point: int) -> dict[str, Any]:
    """A quantisation in 256 levels, as ONNX Runtime's quantiser takes it."""
    return {
        "quant_type": QuantType.QUInt8,
        "scale": np.array(scale, np.float32),
        "zero_point": np.array(zero_point, np.uint8),
    }


def _ends(graph: onnx.GraphProto) -> tuple[onnx.NodeProto, onnx.NodeProto, list[str]]:
    """The first convolution, the last, and the names of all after it."""
    convs = [node for node in graph.node if node.op_type == "Conv"]
    names, made = [], set(convs[-1].output)
    for node in graph.node:
        if made & set(node.input):
            names.append(node.name)
            made |= set(node.output)
    return convs[0], convs[-1], names


def _pack_rows(graph: onnx.GraphProto) -> None:
    """State in numbers what `PackedStem` reshapes to: the same pictures and rows, channels last."""
    made = {name: node for node in graph.node for name in node.output}
    known = {value.name: value for value in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "Reshape"]:
        shape = made.get(node.input[1])
        if shape is not None and shape.op_type == "Concat" and shape.input[-1] in known:
            (channels,) = numpy_helper.to_array(known[shape.input[-1]])
            name = f"{node.output[0]}_shape"
            sides = np.array([0, 0, -1, channels], np.int64)
            graph.initializer.append(numpy_helper.from_array(sides, name))
            node.input[1] = name
            del node.attribute[:]  # in which 0 may mean none, not the same


def _take_bytes(graph: onnx.GraphProto) -> None:
    """Leave out the picture's way to floats and back: bytes less `ZERO` are what they were."""
    made = {name: node for node in graph.node for name in node.output}
    first, _, _ = _ends(graph)
    name = first.input[0]
    while name in made:
        node = made[name]
        name = node.input[0]
        if node.op_type in ("Cast", "Sub", "QuantizeLinear"):
            graph.node.remove(node)
            _rename(graph, node.output[0], name)
    del graph.value_info[:]  # which call bytes floats


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Let what takes the value `old` take `new`."""
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name == old:
                node.input[i] = new


def figures(model: Path, pairs: list[Pair]) -> Figures:
    """The figures of an ONNX file over labelled pictures."""
    segmenter = Segmenter(model, device="cpu")
    scores = []
    for pair in pairs:
        image, mask = pair.read()
        alpha = segmenter(image)
        scores.append((100 * iou(alpha, mask), 1000 * mad(alpha, mask), 100 * ghost_area(alpha)))
    return Figures(*np.mean(scores, axis=0).tolist())
