"""A network at a fixed size, on what ONNX Runtime offers besides the CPU; in float16 where that is safe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from livecut.engines import TOGETHER, output_shape, split
from livecut.engines.graph import Graph, Network
from livecut.engines.places import Gpu, Host, Place, Program
from livecut.errors import ModelError

HALF_TOLERANCE = 8 / 255
"""How far alpha of a half-precision network may lie from that of float32, on a picture of noise."""


def place_of(device: str) -> Place:
    """The place of a device that is named, the CPU left out. Raises EngineError and ConfigError."""
    return Gpu(device) if split(device)[0] in ("cuda", "tensorrt") else Host(device)


def read_network(path: Path) -> Network:
    """A network that `livecut export` wrote. Raises ModelError."""
    try:
        network = Network(path.read_bytes())
        for fact in ("area", "stride", "output_stride"):
            int(network.facts[f"livecut.{fact}"])
    except (KeyError, ValueError, ModelError):
        raise ModelError(
            f"{path} was not written by 'livecut export': expected uint8 BGR (1, H, W, 3) in, float "
            "alpha (1, h, w) out, and livecut's metadata; or for livecut eval a TOML that describes it "
            "(--adapter)"
        ) from None
    return network


class Pictures:
    """Pictures for a network, in buffers on both sides that are allocated once."""

    def __init__(self, place: Place, network: Network, shape: tuple[int, int, int]) -> None:
        """`shape` is (number, height, width) of the pictures. Raises EngineError."""
        given = *shape, network.channels
        graph, small = Graph(), output_shape(given, int(network.facts["livecut.output_stride"]))
        image = graph.input("image", np.uint8, given)
        graph.output("alpha", graph.network(network, image), np.float32, small)
        self._place, self._program = place, Program(place, bytes(graph))
        self._in = place.host(int(np.prod(given)))
        self._out = place.host(4 * int(np.prod(small)))
        self.input: NDArray[np.uint8] = self._in.reshape(given)
        """To be filled before `run`, see `livecut.engines.Batch`."""
        self.output: NDArray[np.float32] = self._out.view(np.float32).reshape(small)
        """Alpha (n, h/s, w/s), with memory below it (n, 4 h/s, w/s), valid after `run`."""

    def run(self) -> None:
        """Compute `output` from `input`. Raises EngineError."""
        self._place.copy(self._program.tensors["image"], self._in)
        self._program.run()
        self._place.copy(self._out, self._program.tensors["alpha"])
        self._place.settle()


def choose_precision(network: Network, place: Place) -> Network:
    """The network in float16 where that is faster on the place and as good, else as it is.

    As good: alpha is within `HALF_TOLERANCE` of float32's on noise. Raises EngineError.
    """
    if not place.half:
        return network
    try:
        half = network.to_half()
    except ModelError:
        return network
    stride = int(network.facts["livecut.stride"])
    shape = 1, 9 * stride, 16 * stride
    noise = np.random.default_rng(0).integers(0, 256, (*shape, network.channels), np.uint8)
    alphas = []
    for each in (network, half):
        pictures = Pictures(place, each, shape)
        pictures.input[:] = noise
        pictures.run()
        alphas.append(pictures.output.copy())
    return half if np.abs(alphas[1] - alphas[0]).max() <= HALF_TOLERANCE else network


def description(place: Place, network: Network) -> str:
    """What runs where, for people; once something was loaded there."""
    said = f"ONNX Runtime {ort.__version__} on {place.name}"
    return said + ", float16" * network.half + ", as one CUDA graph" * place.graph


class FixedEngine:
    """A network under one of ONNX Runtime's providers, built once per size. See `livecut.engines.Engine`."""

    def __init__(self, path: Path, place: Place) -> None:
        """Raises ModelError, and EngineError where the place cannot run it."""
        network = read_network(path)
        self.area, self.stride = (int(network.facts[f"livecut.{k}"]) for k in ("area", "stride"))
        self._place, self._network = place, choose_precision(network, place)
        cuda = place.half  # others build for minutes, or gain nothing
        self.together = TOGETHER if cuda and network.any_number else 1
        self._shape = (0, 0)
        self.resize(16 * self.stride, 9 * self.stride)  # a place that cannot run it says so at once
        self.description = description(place, self._network)

    def resize(self, width: int, height: int) -> None:
        """Build for an input of this size, and allocate the buffers. Raises EngineError."""
        if (height, width) == self._shape:
            return
        self._pictures = Pictures(self._place, self._network, (1, height, width))
        self._shape = height, width
        self.input, self.output = self._pictures.input[0], self._pictures.output[0]

    def run(self) -> None:
        """Compute `output` from `input`. Raises EngineError."""
        self._pictures.run()

    def batch(self, count: int, width: int, height: int) -> Pictures:
        """Buffers for so many pictures of this size, on any thread: without a graph, which is one thread's.

        Raises EngineError.
        """
        self._place.graph = False
        self.description = description(self._place, self._network)
        return Pictures(self._place, self._network, (count, height, width))
