"""Running a network: one interface, one module for each library that can do it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from livecut.errors import ConfigError
from livecut.frame import Image
from livecut.models import TORCHVISION, find_model, in_bytes

ENGINES = ("auto", "onnx", "torch")
TOGETHER = 16
"""Pictures in a batch on a GPU, at most."""


class Batch(Protocol):
    """Buffers for some pictures of one size that a network takes at once."""

    input: Image
    """BGR (n, h, w, 3), of a network with memory (n, h, w, 4), to be filled before `run`; see `Engine`."""
    output: NDArray[np.float32]
    """Alpha (n, h/s, w/s) in 0..1, of a network with memory (n, 4 h/s, w/s), valid after `run`."""

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
    """BGR (h, w, 3), to be filled before `run`; of a network with memory (h, w, 4), the fourth channel all of
    `output` for the frame before, as 0..255 and in its order, and 0 where there was none."""
    output: NDArray[np.float32]
    """Alpha (h/s, w/s) in 0..1, valid after `run`; s is the network's output stride. Of a network with memory
    (4 h/s, w/s), s being 2: alpha, and below it what is remembered, in 0..1 too."""

    def resize(self, width: int, height: int) -> None:
        """Allocate the buffers for an input of this size. Raises EngineError."""

    def run(self) -> None:
        """Compute `output` from `input`. Raises EngineError."""

    def batch(self, count: int, width: int, height: int) -> Batch:
        """Buffers for so many pictures of this size, which may run beside others. Raises EngineError."""


def output_shape(given: tuple[int, int, int, int], stride: int) -> tuple[int, int, int]:
    """The shape of a `Batch`'s output, from that of its input and the network's output stride."""
    count, height, width, channels = given
    return count, (4 if channels == 4 else 1) * (height // stride), width // stride


def split(device: str) -> tuple[str, int]:
    """A device's kind, one of `DEVICES`, and its number. Raises ConfigError."""
    kind, colon, number = device.partition(":")
    if kind not in DEVICES or (colon and not (kind in NUMBERED and number.isdecimal())):
        raise ConfigError(
            f"unknown device '{device}'; expected one of: {', '.join(DEVICES)}; those of NVIDIA and "
            "directml also with a number, as in cuda:1"
        )
    return kind, int(number or 0)


def open_engine(
    model: str | Path, *, engine: str = "auto", device: str = "auto", threads: int = 0
) -> Engine:
    """Load a model by its shipped name or path, or one of torchvision's as torchvision:NAME.

    `device` is "auto" (an NVIDIA GPU where one can be had, else the CPU), "cpu", "cuda" or "cuda:N", for
    ONNX Runtime also "tensorrt", "coreml" and "directml"; what is named is had or an error. Of a shipped
    name the int8 network is taken where there is one, all is done by the CPU, and that is fast at it.
    `threads` counts the CPU's, 0: half of the cores, at most 4. Raises ModelError, EngineError and
    ConfigError.
    """
    if engine not in ENGINES:
        raise ConfigError(f"unknown engine '{engine}'; expected one of: {', '.join(ENGINES)}")
    kind, _ = split(device)
    theirs = str(model).startswith(TORCHVISION)
    ours = Path(model).suffix == ".safetensors"
    if engine == "torch" or (engine == "auto" and (ours or theirs)):
        if kind not in ("auto", "cpu", "cuda"):
            raise ConfigError(f"device {device} is ONNX Runtime's alone; give an .onnx file")
        from livecut.engines.torch import TorchEngine

        found = str(model) if theirs else find_model(model, ".safetensors")
        return TorchEngine(found, device=device, threads=threads)
    from livecut.engines.onnx import open_onnx

    path = find_model(model)
    small = in_bytes(path)
    if Path(model).suffix or not small.exists() or not multiplies_bytes():
        small = path
    return open_onnx(path, on_cpu=small, device=device, threads=threads)


def multiplies_bytes() -> bool:
    """Whether the CPU has instructions for the dot products of bytes (VNNI), which int8 networks need."""
    from llvmlite.binding import get_host_cpu_features

    features = get_host_cpu_features()
    return any(features.get(name) for name in ("avx512vnni", "avxvnni"))
