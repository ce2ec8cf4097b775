"""The interface of an engine, which runs a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from livecut.errors import ConfigError
from livecut.frame import Image

MAX_BATCH = 16
"""Pictures in a batch on a GPU, at most."""


class Batch(ABC):
    """Buffers for some pictures of one size that a network takes at once."""

    def __init__(self, count: int, width: int, height: int, stride: int) -> None:
        """`count` pictures of `width` x `height`; alpha is smaller than they by `stride` on each side."""
        self.input: Image = np.zeros((count, height, width, 3), np.uint8)
        """BGR (n, h, w, 3), to be filled before `run`."""
        self.output = np.zeros((count, height // stride, width // stride), np.float32)
        """Alpha (n, h/s, w/s) in 0..1, valid after `run`."""

    @abstractmethod
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
    max_batch: int
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


class EngineType(Protocol):
    """A class of engines, as `livecut.engines.ENGINES` leads to it."""

    forms: Sequence[str]
    """Words for --engine, as examples."""
    help: str
    """What the engine is, for people, in lower case and without a full stop."""

    def open(self, model: str | Path, *, device: str, threads: int) -> Engine:
        """Load a model, as `livecut.engines.open_engine` does; raises as it does."""


def split(device: str) -> tuple[str, int]:
    """The kind of a device, one of `DEVICES`, and its number. Raises ConfigError."""
    kind, colon, number = device.partition(":")
    if kind not in DEVICES or (colon and not (kind in NUMBERED and number.isdecimal())):
        raise ConfigError(
            f"unknown device '{device}'; expected one of: {', '.join(DEVICES)}; cuda, "
            "tensorrt, directml and gpu also with a number, as in cuda:1"
        )
    return kind, int(number or 0)
