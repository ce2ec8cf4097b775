"""Running a network: one interface, one module for each library that can do it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from livecut.errors import ConfigError
from livecut.frame import Image
from livecut.models import TORCHVISION, find_model

ENGINES = ("auto", "openvino", "onnx", "torch")
TOGETHER = 16
"""Pictures in a batch on a GPU, at most."""


class Batch(Protocol):
    """Buffers for some pictures of one size that a network takes at once."""

    input: Image
    """BGR (n, h, w, 3), to be filled before `run`."""
    output: NDArray[np.float32]
    """Alpha (n, h/s, w/s) in 0..1, valid after `run`."""

    def run(self) -> None:
        """Compute `output` from `input`. Raises EngineError."""


NUMBERED = ("cuda", "tensorrt", "directml", "gpu")
"""Kinds of devices of which there may be several, as in cuda:1."""
DEVICES = ("auto", "cpu", *NUMBERED, "coreml", "npu")


class Engine(Protocol):
    """A loaded network with its input and output buffers."""

    description: str
    """What runs where, for people: "ONNX Runtime 1.31.1 on the CPU, 1 thread"."""
    area: int
    """Pixels of the input that the network was trained for."""
    stride: int
    """The input's width and height must be multiples of this."""
    together: int
    """Pictures up to which a batch is faster than one after the other; 1 on a CPU."""
    input: Image
    """BGR (h, w, 3), to be filled before `run`."""
    output: NDArray[np.float32]
    """Alpha (h/s, w/s) in 0..1, valid after `run`; s is the network's output stride."""

    def resize(self, width: int, height: int) -> None:
        """Allocate the buffers for an input of this size. Raises EngineError."""

    def run(self) -> None:
        """Compute `output` from `input`. Raises EngineError."""

    def batch(self, count: int, width: int, height: int) -> Batch:
        """Buffers for so many pictures of this size, which may run beside others. Raises EngineError."""


def output_shape(given: tuple[int, int, int, int], stride: int) -> tuple[int, int, int]:
    """The shape of a `Batch`'s output, from that of its input and the network's output stride."""
    count, height, width, _ = given
    return count, height // stride, width // stride


def split(device: str) -> tuple[str, int]:
    """A device's kind, one of `DEVICES`, and its number. Raises ConfigError."""
    kind, colon, number = device.partition(":")
    if kind not in DEVICES or (colon and not (kind in NUMBERED and number.isdecimal())):
        raise ConfigError(
            f"unknown device '{device}'; expected one of: {', '.join(DEVICES)}; cuda, "
            "tensorrt, directml and gpu also with a number, as in cuda:1"
        )
    return kind, int(number or 0)


def open_engine(
    model: str | Path, *, engine: str = "auto", device: str = "auto", threads: int = 0
) -> Engine:
    """Load a model by its shipped name or path, or one of torchvision's as torchvision:NAME.

    `device` is "auto" (an NVIDIA GPU where one is available, else the CPU), "cpu", "cuda" or "cuda:N", for
    OpenVINO also "gpu", "gpu:N" (Intel's) and "npu", for ONNX Runtime also "tensorrt", "coreml" and
    "directml"; one that is named is available or raises. On the CPU, `engine` "auto" is the fastest of
    those that are installed: for a shipped name in int8 or a float precision, for a path as the file is,
    see `livecut.engines.choice`. "openvino" and "onnx" may name a precision, as in "onnx:int8".
    `threads` counts the CPU's, 0: half of the cores, at most 4. Raises ModelError, EngineError and
    ConfigError.
    """
    from livecut.engines.choice import open_exported, parse_engine

    name, _ = parse_engine(engine)
    kind, _ = split(device)
    theirs = str(model).startswith(TORCHVISION)
    ours = Path(model).suffix == ".safetensors"
    if name == "torch" or (name == "auto" and (ours or theirs)):
        if kind not in ("auto", "cpu", "cuda"):
            raise ConfigError(f"PyTorch does not run on device {device}; give an .onnx file")
        from livecut.engines.torch import TorchEngine

        found = str(model) if theirs else find_model(model, ".safetensors")
        return TorchEngine(found, device=device, threads=threads)
    named = not Path(model).suffix
    return open_exported(
        find_model(model), named=named, engine=engine, device=device, threads=threads
    )
