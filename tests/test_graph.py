"""ONNX files taken apart, halved and written anew, against the library onnx."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("onnx")

import onnx
from onnx import helper, numpy_helper

from livecut.compositor.graph import Writer
from livecut.compositor.scene import Scene
from livecut.engines.fixed import Pictures, choose_precision, read_network
from livecut.engines.graph import HALF, Network, field, fields, number
from livecut.engines.places import Host
from livecut.errors import ModelError
from livecut.form import BGR, BGRA
from livecut.frame import Image
from livecut.models import find_model, input_size, model_names
from livecut.sources import open_source
from tests.onnx_files import blueness, write_network


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**40, -1, -(2**62)])
def test_numbers_are_those_of_protobuf(value: int) -> None:
    tensor = onnx.TensorProto(dims=[value])
    [(key, got, _)] = fields(
        tensor.SerializeToString(deterministic=True)[-len(number(value)) - 1 :]
    )
    assert key != 0
    assert isinstance(got, int | bytes)
    made = onnx.TensorProto()
    made.ParseFromString(field(1, value))
    assert list(made.dims) == [value]


@pytest.mark.parametrize("kind", ["blur", "picture", "transparent"])
@pytest.mark.parametrize("half", [False, True])
def test_what_is_written_is_onnx(kind: str, half: bool) -> None:
    network = read_network(find_model("live"))
    written = Writer(
        network.to_half() if half else network,
        (321, 243),
        (224, 160),
        2,
        Scene(kind, 0.5, BGRA if kind == "transparent" else BGR),
        half=half,
    ).write()
    model = onnx.load_from_string(written)
    onnx.checker.check_model(model, full_check=True)
    inputs = {each.name for each in model.graph.input}
    assert ("livecut/picture" in inputs) == (kind == "picture")
    assert {each.name for each in model.graph.output} == {
        f"livecut/{name}" for name in ("made", "last_out", "state_out")
    }


@pytest.mark.parametrize("name", model_names())
def test_the_shipped_are_taken_apart_whole(name: str) -> None:
    data = find_model(name).read_bytes()
    network, model = Network(data), onnx.load_from_string(data)
    assert len(network.nodes) == len(model.graph.node)
    assert len(network.constants) == len(model.graph.initializer)
    assert network.facts == {p.key: p.value for p in model.metadata_props}
    half = network.to_half()
    kinds = {(len(c.dims), c.data_type) for c in map(onnx.TensorProto.FromString, half.constants)}
    assert (4, HALF) in kinds
    assert not any(dims > 1 and kind == onnx.TensorProto.FLOAT for dims, kind in kinds)
    assert not network.half, "the one that it was made of stays as it was"


@pytest.mark.parametrize("cut", [1, 7, 100, 5000])
def test_what_is_no_whole_file_is_refused(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(find_model("live").read_bytes()[:-cut])
    with pytest.raises(ModelError, match=r"cut\.onnx was not written by 'livecut export'"):
        read_network(path)


def test_a_network_of_others_is_refused(tmp_path: Path) -> None:
    model = onnx.load(blueness(tmp_path / "a.onnx"))
    del model.metadata_props[:]
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="livecut's metadata"):
        read_network(tmp_path / "a.onnx")


def frames(step: int) -> list[Image]:
    """Every so-manieth frame of the demo clip, as the network sees it."""
    found = list[Image]()
    with open_source("demo") as source:
        image = np.zeros((source.size[1], source.size[0], 3), np.uint8)
        small = input_size(*source.size, 36864, 16)
        while source.read(image) is not None:
            found.append(cv2.resize(image, small, interpolation=cv2.INTER_AREA))  # type: ignore[arg-type]
    return found[::step]


COMPUTES = (
    "Add",
    "BatchNormalization",
    "Cast",
    "Conv",
    "Mul",
    "ReduceMean",
    "Resize",
    "Sigmoid",
    "Sub",
)
"""What gives numbers that are no others' own."""


def floats_of(path: Path) -> set[str]:
    """The names of the float32 tensors in a network's file."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    values = [*graph.value_info, *graph.output]
    return {v.name for v in values if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT}


def rounding(network: Network, floats: set[str]) -> Network:
    """The same with float16's weights, and each node's result rounded to float16's 11 bits.

    A CPU's own float16 is float32 between the nodes, so that parity on it would say nothing of a GPU's.
    Rounded is by Veltkamp's splitting (Dekker 1971), in float32: t = (2^13 + 1) x, then t - (t - x).
    """
    made = copy.copy(network)
    made.constants = []
    for data, halved in zip(network.constants, network.to_half().constants, strict=True):
        tensor = onnx.TensorProto.FromString(data)
        if data != halved:
            array = numpy_helper.to_array(onnx.TensorProto.FromString(halved))
            tensor = numpy_helper.from_array(array.astype(np.float32), tensor.name)
        made.constants.append(tensor.SerializeToString())
    splitter = numpy_helper.from_array(np.float32(2**13 + 1), "splitter")
    made.constants.append(splitter.SerializeToString())
    made.nodes = []
    for data in network.nodes:
        node = onnx.NodeProto.FromString(data)
        nodes = [node]
        if node.op_type in COMPUTES and node.output[0] in floats:
            names, node.output[:] = list(node.output), [f"{name}~" for name in node.output]
            for name in names:
                for op, x, y, out in (
                    ("Mul", f"{name}~", "splitter", f"{name}~t"),
                    ("Sub", f"{name}~t", f"{name}~", f"{name}~d"),
                    ("Sub", f"{name}~t", f"{name}~d", name),
                ):
                    nodes.append(helper.make_node(op, [x, y], [out]))
        made.nodes += [each.SerializeToString() for each in nodes]
    return made


def alphas(network: Network, images: list[Image]) -> list[Any]:
    height, width = images[0].shape[:2]
    pictures = Pictures(Host(), network, (1, height, width))
    found = []
    for image in images:
        pictures.input[0] = image
        pictures.run()
        found.append(pictures.output[0].copy())
    return found


def test_half_precision_is_float32s_over_the_demo() -> None:
    """IoU at one half differs by 0.5 % at most from float32's mask, alpha by 0.06 anywhere."""
    path = find_model("live")
    network, images = read_network(path), frames(20)
    half = alphas(rounding(network, floats_of(path)), images)
    for exact, rounded in zip(alphas(network, images), half, strict=True):
        a, b = exact >= 0.5, rounded >= 0.5
        assert (a & b).sum() / (a | b).sum() >= 0.995
        assert 0 < np.abs(rounded - exact).max() <= 0.06


def test_a_network_that_overflows_stays_float32(tmp_path: Path) -> None:
    sound = blueness(tmp_path / "sound.onnx")
    steps = [("Mul", ["blue"], 1e6), ("Div", ["1"], 1e6)]
    large = write_network(tmp_path / "large.onnx", *steps)
    place = Host()
    place.half = True
    assert choose_precision(read_network(sound), place).half
    assert not choose_precision(read_network(large), place).half
    place.half = False
    assert not choose_precision(read_network(sound), place).half
