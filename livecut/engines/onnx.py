"""ONNX Runtime: any network's session, the engine of the CPU, and that of its other providers."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnxruntime as ort

from livecut.engines.base import MAX_BATCH, Batch, split
from livecut.engines.metadata import read_metadata
from livecut.engines.providers import (
    CPU,
    PROVIDERS,
    SPOKEN,
    asked_for,
    check,
    engine_folder,
    fault_of,
    memory_of,
    require,
)
from livecut.errors import EngineError, ModelError
from livecut.hardware import cpu, nvidia
from livecut.hardware.nvidia import driver_loads
from livecut.models import find_model

DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
"""Types that a network's alpha may have."""


def open_session(path: Path, device: str, threads: int) -> tuple[ort.InferenceSession, str]:
    """A network's session and its description. Raises ModelError and EngineError.

    Threads that livecut chooses sleep while they wait; a number that is given is for throughput, and
    those spin while a frame is in the network, and leave the cores to the picture after it.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = count = threads or cpu.default_threads()
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(threads > 0)))
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if not cpu.multiplies_bytes():  # guard sums of bytes, at half the speed
        options.add_session_config_entry("session.x64quantprecision", "1")
    kind, number = split(device)
    fault = ""
    require(device)
    if kind == "auto":
        kind = "cuda" if driver_loads() else "cpu"
        if kind == "cuda" and (fault := fault_of("cuda")):
            kind = "cpu"
    if kind == "directml":
        options.enable_mem_pattern = False  # which it does not bear
    try:
        session = ort.InferenceSession(path, options, providers=asked_for(kind, number))
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{path} cannot be loaded by ONNX Runtime: {reason}") from error
    check(session, device)
    got = session.get_providers()[0]
    ran = f"ONNX Runtime {ort.__version__} on {SPOKEN.get(got, got)}"
    ran += f", {count} thread{'s' * (count > 1)}"
    return session, ran + (f" (no CUDA: {fault})" if fault else "")


class OnnxBatch(Batch):
    """Pictures for a session, in buffers that are allocated once. See `livecut.engines.base.Batch`."""

    def __init__(
        self,
        session: ort.InferenceSession,
        count: int,
        width: int,
        height: int,
        stride: int,
        memory: tuple[str, int] | None = None,
    ) -> None:
        """For a session's network; see `Batch`.

        With `memory`, ONNX Runtime's name and number of a device, a run first copies the pictures into
        a tensor there. Without, the session reads them where they are.
        """
        super().__init__(count, width, height, stride)
        alpha = session.get_outputs()[0]
        self._alpha = self.output.astype(DTYPES.get(alpha.type, np.float32), copy=False)
        self._session, self._binding = session, session.io_binding()
        self._name, self._copies = session.get_inputs()[0].name, memory is not None
        if memory is None:
            self._given = ort.OrtValue.ortvalue_from_numpy(self.input)
        else:
            self._given = ort.OrtValue.ortvalue_from_shape_and_type(
                self.input.shape, np.uint8, *memory
            )
        self._made = ort.OrtValue.ortvalue_from_numpy(self._alpha)
        self._binding.bind_ortvalue_input(self._name, self._given)
        self._binding.bind_ortvalue_output(alpha.name, self._made)

    def run(self) -> None:
        """Compute `output` from `input`. Raises EngineError."""
        try:
            if self._copies:
                self._given.update_inplace(self.input)
                # A provider whose memory is not the tensor's (DirectML) copies it when it is bound.
                self._binding.bind_ortvalue_input(self._name, self._given)
            self._session.run_with_iobinding(self._binding)
        except Exception as error:
            raise EngineError(f"the network failed: {str(error).splitlines()[0]}") from error
        if self._alpha is not self.output:
            np.copyto(self.output, self._alpha)


class OnnxEngine:
    """A network under ONNX Runtime on the CPU, its buffers bound once per size. See `livecut.engines.base.Engine`."""

    forms = ("onnx",)
    help = "ONNX Runtime: any CPU, and the network alone on a GPU"
    max_batch = 1

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        self._session, self.description = open_session(path, "cpu", threads)
        facts = read_metadata(path)
        self.area, self.stride = facts.area, facts.stride
        self._output_stride = facts.output_stride
        self.description += ", int8" * facts.int8

    @classmethod
    def open(cls, model: str | Path, *, device: str, threads: int) -> OnnxEngine:
        """Load a model in the precision of its .onnx file; see `livecut.engines.open_engine`."""
        kind, _ = split(device)
        if kind in ("auto", "cpu"):
            return cls(find_model(model), threads=threads)
        return FixedEngine(find_model(model), device)

    def batch(self, count: int, width: int, height: int) -> OnnxBatch:
        """Buffers for so many pictures of this size, which may run beside others.

        Raises EngineError.
        """
        return OnnxBatch(self._session, count, width, height, self._output_stride)

    def resize(self, width: int, height: int) -> None:
        """Allocate and bind the buffers for an input of this size. Raises EngineError."""
        self._single = self.batch(1, width, height)
        self.input, self.output = self._single.input[0], self._single.output[0]

    def run(self) -> None:
        """Compute `output` from `input`. Raises EngineError."""
        self._single.run()


class FixedEngine(OnnxEngine):
    """A network under any of ONNX Runtime's providers: a session for each size, all shapes fixed.

    It runs in the precision that its file has. See `livecut.engines.base.Engine`.
    """

    def __init__(self, path: Path, device: str) -> None:
        """Raises ModelError, EngineError where the device cannot run the network, and ConfigError."""
        require(device)
        super().__init__(path, threads=1)
        self._path, self._device = path, device
        self._kind, self._number = split(device)
        self._sides = self._session.get_inputs()[0].shape
        self._half = self._session.get_outputs()[0].type == "tensor(float16)"
        del self._session  # it was opened for what the file says of itself
        cuda = self._kind == "cuda"  # others build for minutes, or gain nothing
        self.max_batch = MAX_BATCH if cuda and isinstance(self._sides[0], str) else 1
        self._size = (0, 0)
        # A device that cannot run the network says so at once.
        self.resize(16 * self.stride, 9 * self.stride)
        self.description = f"ONNX Runtime {ort.__version__} on {self._place()}"
        self.description += ", float16" * self._half

    def _place(self) -> str:
        nvidias = self._kind in ("cuda", "tensorrt")
        gpu = nvidia.gpu_name(self._number) if nvidias else ""
        return SPOKEN[PROVIDERS.get(self._kind, CPU)] + (f" ({gpu})" if gpu else "")

    def resize(self, width: int, height: int) -> None:
        """Start a session for an input of this size, and allocate the buffers. Raises EngineError."""
        if (width, height) != self._size:
            super().resize(width, height)
            self._size = width, height

    def batch(self, count: int, width: int, height: int) -> OnnxBatch:
        """Buffers for so many pictures of this size, and a session of their own. Raises EngineError."""
        shape = count, height, width, 3
        memory = memory_of(self._kind, self._number)
        try:
            made = OnnxBatch(self._start(shape), count, width, height, self._output_stride, memory)
        except EngineError:
            raise
        except Exception as error:
            reason = str(error).splitlines()[0]
            raise EngineError(
                f"device {self._device}: ONNX Runtime cannot run the network there: {reason}"
            ) from error
        made.run()  # libraries choose their algorithms in the first run
        return made

    def _start(self, shape: tuple[int, int, int, int]) -> ort.InferenceSession:
        options, kind, number = ort.SessionOptions(), self._kind, self._number
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_mem_pattern = kind != "directml"  # which does not bear it
        for name, side in zip(self._sides, shape, strict=True):
            if isinstance(name, str):
                options.add_free_dimension_override_by_name(name, side)
        folder = None
        if kind == "tensorrt":
            folder = engine_folder(self._path.read_bytes(), shape, number)
            folder.mkdir(parents=True, exist_ok=True)
            announce(folder, nvidia.gpu_name(number))
        asked = asked_for(kind, number, half=self._half, folder=folder)
        session = ort.InferenceSession(self._path, options, providers=asked)
        check(session, self._device)
        return session


def announce(folder: Path, gpu: str) -> None:
    """Say that TensorRT is going to build an engine, where the folder holds none yet."""
    if not any(folder.glob("*.engine")):
        logging.getLogger("livecut").warning(
            "building the TensorRT engine for %s; this takes minutes, once", gpu or "the GPU"
        )
