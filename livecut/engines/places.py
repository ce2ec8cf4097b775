"""Where ONNX Runtime's sessions run: the tensors there, and how bytes get there and back.

A model that is run here has fixed shapes throughout; its tensors are allocated once.
"""

from __future__ import annotations

import ctypes
import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import DTypeLike, NDArray

from livecut.engines import nvidia, providers, split
from livecut.engines.graph import outside
from livecut.errors import EngineError

Bytes = NDArray[np.uint8]
DTYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}


class Event(Protocol):
    """A point in what a place is asked for."""

    def wait(self) -> None:
        """Wait until it is reached; at once where it was never recorded. Raises EngineError."""


class Place(Protocol):
    """A device. All that is asked of it is done in that order; only `settle` and events wait for it."""

    name: str
    """For people: "the CPU", "CUDA"."""
    half: bool
    """Whether float16 is faster here, and to be asked for by the model's own types."""
    graph: bool
    """Whether a model's work is captured as one CUDA graph, by each thread that runs it."""
    quiet: Any
    """A lock: who holds it captures, and nobody else may wait for the device meanwhile."""

    def session(self, model: bytes) -> ort.InferenceSession:
        """A session for a model. Raises EngineError."""

    def tensor(self, dtype: DTypeLike, shape: list[int]) -> ort.OrtValue:
        """A tensor of zeros."""

    def host(self, count: int) -> Bytes:
        """So many bytes of the host's, zero, that copies to and from here are fast with."""

    def copy(self, to: ort.OrtValue | Bytes, source: ort.OrtValue | Bytes) -> None:
        """Copy as many bytes as `to` has."""

    def run(self, session: ort.InferenceSession, binding: ort.IOBinding) -> None:
        """Run a session on tensors of this place."""

    def event(self) -> Event:
        """A point in what is asked for, put there by `record`."""

    def record(self, event: Any) -> None:
        """Put an event of this place behind all that was asked for so far."""

    def settle(self) -> None:
        """Wait until all that was asked for is done."""


def address(of: ort.OrtValue | NDArray[Any]) -> int:
    """Where the bytes of a tensor or an array are."""
    return int(of.ctypes.data if isinstance(of, np.ndarray) else of.data_ptr())


def size(of: ort.OrtValue | NDArray[Any]) -> int:
    """How many bytes a tensor or an array has."""
    return int(of.nbytes if isinstance(of, np.ndarray) else of.tensor_size_in_bytes())


def start(model: bytes, device: str, options: ort.SessionOptions, asked: Any) -> Any:
    """A session on just what was asked for. Raises EngineError."""
    try:
        session = ort.InferenceSession(model, options, providers=asked)
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise EngineError(
            f"device {device}: ONNX Runtime cannot run the network there: {reason}"
        ) from error
    providers.check(session, device)
    return session


class Host:
    """The CPU, or what ONNX Runtime itself copies to and from: CoreML and DirectML."""

    half = graph = False

    def __init__(self, device: str = "cpu", threads: int = 1) -> None:
        """`threads` counts the CPU's. Raises EngineError where a device that is named cannot be had."""
        providers.require(device)
        self._device, self._threads = device, threads
        kind, number = split(device)
        self._kind, self._number = kind, number
        self.name = providers.SPOKEN[providers.PROVIDERS.get(kind, providers.CPU)]
        self.quiet = threading.Lock()

    def session(self, model: bytes) -> ort.InferenceSession:
        """A session for a model. Raises EngineError."""
        options = ort.SessionOptions()
        asked: list[providers.Provider] = [(providers.CPU, {})]
        options.intra_op_num_threads = self._threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if self._kind == "directml":
            options.enable_mem_pattern = False  # which it does not bear
            asked.insert(0, (providers.PROVIDERS[self._kind], {"device_id": self._number}))
        elif self._kind == "coreml":
            asked.insert(0, (providers.PROVIDERS[self._kind], {"ModelFormat": "MLProgram"}))
        return start(model, self._device, options, asked)

    def tensor(self, dtype: DTypeLike, shape: list[int]) -> ort.OrtValue:
        """A tensor of zeros."""
        return ort.OrtValue.ortvalue_from_numpy(np.zeros(shape, dtype))

    def host(self, count: int) -> Bytes:
        """So many bytes, zero."""
        return np.zeros(count, np.uint8)

    def copy(self, to: ort.OrtValue | Bytes, source: ort.OrtValue | Bytes) -> None:
        """Copy as many bytes as `to` has."""
        ctypes.memmove(address(to), address(source), size(to))

    def run(self, session: ort.InferenceSession, binding: ort.IOBinding) -> None:
        """Run a session."""
        session.run_with_iobinding(binding)

    def event(self) -> Event:
        """All is done already."""
        return self

    def record(self, event: Event) -> None:
        """All is done already."""

    def wait(self) -> None:
        """All is done already."""

    def settle(self) -> None:
        """All is done already."""


class GpuEvent:
    """A point in a stream. See `Event`."""

    def __init__(self, stream: nvidia.Stream, quiet: Any) -> None:
        self._stream, self._quiet, self.handle = stream, quiet, stream.event()

    def wait(self) -> None:
        """Wait until it is reached; while somebody captures, that is waited for first."""
        with self._quiet:
            self._stream.wait(self.handle)


class Gpu:
    """An NVIDIA GPU under CUDA or TensorRT: one stream for all of it, and pinned memory."""

    def __init__(self, device: str) -> None:
        """`device` is cuda or tensorrt, with a number or without. Raises EngineError."""
        providers.require(device)
        self._device = device
        kind, self._number = split(device)
        self.half = kind == "cuda"  # TensorRT chooses by itself
        self.graph = self.half and nvidia.graph_wanted()
        self._stream = nvidia.Stream(self._number)
        self._end = self._stream.event()
        self._options = ort.RunOptions()
        self._options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        name = nvidia.gpu_name(self._number)
        self.name = providers.SPOKEN[providers.PROVIDERS[kind]] + (f" ({name})" if name else "")
        self._kind = kind
        self.quiet = threading.Lock()

    def session(self, model: bytes) -> ort.InferenceSession:
        """A session for a model, on the stream. Raises EngineError."""
        number, stream = self._number, self._stream.handle
        cuda = providers.cuda_options(number, stream, graph=self.graph)
        asked = [(providers.PROVIDERS["cuda"], cuda), (providers.CPU, {})]
        if self._kind == "tensorrt":
            folder = providers.engine_folder(model, number)
            folder.mkdir(parents=True, exist_ok=True)
            announce(folder, nvidia.gpu_name(number))
            options = providers.tensorrt_options(number, stream, folder)
            asked.insert(0, (providers.PROVIDERS["tensorrt"], options))
        return start(model, self._device, ort.SessionOptions(), asked)

    def tensor(self, dtype: DTypeLike, shape: list[int]) -> ort.OrtValue:
        """A tensor of zeros in the GPU's memory."""
        return ort.OrtValue.ortvalue_from_numpy(np.zeros(shape, dtype), "cuda", self._number)

    def host(self, count: int) -> Bytes:
        """So many bytes of pinned memory, zero."""
        made = self._stream.pinned(count)
        made.fill(0)
        return made

    def copy(self, to: ort.OrtValue | Bytes, source: ort.OrtValue | Bytes) -> None:
        """Copy as many bytes as `to` has, when its turn comes."""
        self._stream.copy(address(to), address(source), size(to))

    def run(self, session: ort.InferenceSession, binding: ort.IOBinding) -> None:
        """Run a session when its turn comes."""
        session.run_with_iobinding(binding, self._options)

    def event(self) -> GpuEvent:
        """A point in the stream."""
        return GpuEvent(self._stream, self.quiet)

    def record(self, event: GpuEvent) -> None:
        """Put an event behind all that was asked for so far."""
        self._stream.record(event.handle)

    def settle(self) -> None:
        """Wait until all that was asked for is done."""
        self._stream.record(self._end)
        self._stream.wait(self._end)


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Keep the garbage collector out: CUDA ends a process that gives up a graph while another is captured."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def announce(folder: Path, gpu: str) -> None:
    """Say that TensorRT is going to build an engine, where the folder holds none yet."""
    if not any(folder.glob("*.engine")):
        from livecut.terminal import say

        say(f"building the TensorRT engine for {gpu or 'the GPU'}; this takes minutes, once")


class Program:
    """A model on a place: its session, and a tensor for each of its inputs and outputs."""

    def __init__(self, place: Place, model: bytes) -> None:
        """`model` was written by a `livecut.engines.graph.Graph`. Raises EngineError.

        Where it cannot be captured as a CUDA graph, the place does without from now on.
        """
        self._place = place
        try:
            self._load(model)
        except EngineError:
            if not place.graph:
                raise
            place.graph = False
            self._load(model)

    def _load(self, model: bytes) -> None:
        place, session = self._place, self._place.session(model)
        self._session, self._binding = session, session.io_binding()
        self.tensors: dict[str, ort.OrtValue] = {}
        """By the names that `Graph.input` and `Graph.output` were given."""
        for found, bind in (
            (session.get_inputs(), self._binding.bind_ortvalue_input),
            (session.get_outputs(), self._binding.bind_ortvalue_output),
        ):
            for each in found:
                tensor = place.tensor(DTYPES[each.type], each.shape)
                bind(each.name, tensor)
                self.tensors[each.name.removeprefix(outside(""))] = tensor
        self._thread = -1
        self.run()
        place.settle()

    def run(self) -> None:
        """Compute the outputs of the inputs. Raises EngineError."""
        try:
            if self._place.graph and self._thread != threading.get_ident():
                self._capture()
            self._place.run(self._session, self._binding)
        except EngineError:
            raise
        except Exception as error:
            raise EngineError(f"the network failed: {str(error).splitlines()[0]}") from error

    def _capture(self) -> None:
        """ONNX Runtime captures a CUDA graph for each thread, in its first runs, which change nothing."""
        with self._place.quiet, nothing_collected():
            self._place.settle()
            for _ in range(3):
                self._place.run(self._session, self._binding)
            self._place.settle()
        self._thread = threading.get_ident()
