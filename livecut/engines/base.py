"""The interface of an engine, which runs a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from livecut.errors import ConfigError
from livecut.frame import Image
from livecut.models import Target

MAX_BATCH = 16
"""Pictures in a batch on a GPU, at most."""


class Batch(ABC):
    """Buffers for some pictures of one size that a network takes at once."""

    def __init__(self, count: int, width: int, height: int, stride: int) -> None:
        """Allocate for `count` pictures of `width` x `height`; alpha is smaller by `stride`."""
        self.input: Image = np.zeros((count, height, width, 3), np.uint8)
        """BGR (n, h, w, 3), to be filled before `run`."""
        self.output = np.zeros((count, height // stride, width // stride), np.float32)
        """Alpha (n, h/s, w/s) in 0..1, valid after `run`."""

    @abstractmethod
    def run(self) -> None:
        """Compute `output` from `input`. Raises EngineError."""


class Engine(ABC):
    """A loaded network with its input and output buffers.

    A class of engines says how a model is opened and how a batch is run; the rest follows.
    """

    forms: ClassVar[Sequence[str]] = ()
    """Words for --engine, as examples."""
    help: ClassVar[str] = ""
    """What the engine is, for people, in lower case and without a full stop."""
    description: str
    """Engine and device, for people: "ONNX Runtime 1.31.1 on the CPU, 1 thread"."""
    area: int
    """Pixels of the input that the network was trained for."""
    stride: int
    """The input's width and height must be multiples of this."""
    max_batch = 1
    """Pictures up to which a batch is faster than one after the other; 1 on a CPU."""
    input: Image
    """BGR (h, w, 3), to be filled before `run`."""
    output: NDArray[np.float32]
    """Alpha (h/s, w/s) in 0..1, valid after `run`; s is the network's output stride."""

    @classmethod
    def open(cls, target: Target, *, threads: int) -> Engine:
        """Load the network of a target, see `livecut.engines.open_engine`; raises as it does."""
        raise ConfigError(f"engine {cls.__name__} cannot be opened by its name")

    @abstractmethod
    def batch(self, count: int, width: int, height: int) -> Batch:
        """Buffers for so many pictures of this size, which may run beside others.

        Raises EngineError.
        """

    def resize(self, width: int, height: int) -> None:
        """Allocate the buffers for an input of this size. Raises EngineError."""
        self._single = self.batch(1, width, height)
        self.input, self.output = self._single.input[0], self._single.output[0]

    def run(self) -> None:
        """Compute `output` from `input`. Raises EngineError."""
        self._single.run()
