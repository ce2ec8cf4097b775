"""ONNX Runtime: any network's session, the engine of the CPU, and that of its other providers."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnxruntime as ort

from livecut.engines.base import MAX_BATCH, Batch, Engine
from livecut.engines.metadata import read_metadata
from livecut.engines.providers import (
    CPU,
    PROVIDERS,
    SPOKEN,
    asked_for,
    check,
    engine_folder,
    memory_of,
    require,
    resolve,
)
from livecut.errors import EngineError, ModelError
from livecut.hardware import cpu, nvidia
from livecut.models import Target
from livecut.options import NetworkOptions

DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
"""Types that a network's alpha may have."""


def open_session(path: Path, target: Target, threads: int) -> tuple[ort.InferenceSession, str]:
    """Session for a file on a target's device, and its description.

    Threads that livecut chooses sleep while they wait; a number that is given is for throughput:
    they spin while a frame is in the network, and leave the cores to the picture after it. Raises
    ModelError and EngineError.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = count = threads or cpu.default_threads()
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(threads > 0)))
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if not cpu.multiplies_bytes():  # guard sums of bytes, at half the speed
        options.add_session_config_entry("session.x64quantprecision", "1")
    require(target)
    target, fault = resolve(target)
    if target.kind == "directml":
        options.enable_mem_pattern = False  # which it does not bear
    try:
        session = ort.InferenceSession(path, options, providers=asked_for(target))
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{path} cannot be loaded by ONNX Runtime: {reason}") from error
    check(session, target)
    got = session.get_providers()[0]
    ran = f"ONNX Runtime {ort.__version__} on {SPOKEN.get(got, got)}"
    ran += f", {count} thread{'s' * (count > 1)}"
    return session, ran + (f" (no CUDA: {fault})" if fault else "")


class OnnxBatch(Batch):
    """Pictures for a session, in buffers allocated once. See `livecut.engines.base.Batch`."""

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

        With `memory`, ONNX Runtime's name and number of a device, a run first copies the pictures
        into a tensor there. Without, the session reads them where they are.
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


class OnnxEngine(Engine):
    """A network under ONNX Runtime on the CPU, its buffers bound once per size."""

    forms = ("onnx",)
    help = "ONNX Runtime: any CPU, and the network alone on a GPU"

    def __init__(self, path: Path, *, threads: int = NetworkOptions.threads) -> None:
        on_cpu = Target(str(path), kind="cpu")
        self._session, self.description = open_session(path, on_cpu, threads)
        facts = read_metadata(path)
        self.area, self.stride = facts.area, facts.stride
        self._output_stride = facts.output_stride
        self.description += ", int8" * facts.int8

    @classmethod
    def open(cls, target: Target, *, threads: int) -> Engine:
        """Load a network in the precision of its file, on the CPU or the device that is named."""
        if target.kind in ("auto", "cpu"):
            return cls(target.file(), threads=threads)
        return FixedEngine(target.file(), target)

    def batch(self, count: int, width: int, height: int) -> OnnxBatch:
        """Buffers for so many pictures of this size, which may run beside others.

        Raises EngineError.
        """
        return OnnxBatch(self._session, count, width, height, self._output_stride)


class FixedEngine(OnnxEngine):
    """A network under any of ONNX Runtime's providers: a session for each size, all shapes fixed.

    It runs in the precision that its file has.
    """

    def __init__(self, path: Path, target: Target) -> None:
        """Load a file for a target's device.

        Raises ModelError, and EngineError where the device cannot run the network.
        """
        require(target)
        super().__init__(path, threads=1)
        self._path, self._target = path, target
        self._sides = self._session.get_inputs()[0].shape
        self._half = self._session.get_outputs()[0].type == "tensor(float16)"
        del self._session  # it was opened for what the file says of itself
        cuda = target.kind == "cuda"  # others build for minutes, or gain nothing
        self.max_batch = MAX_BATCH if cuda and isinstance(self._sides[0], str) else 1
        self._size = (0, 0)
        # A device that cannot run the network says so at once.
        self.resize(16 * self.stride, 9 * self.stride)
        self.description = f"ONNX Runtime {ort.__version__} on {self._place()}"
        self.description += ", float16" * self._half

    def _place(self) -> str:
        target = self._target
        gpu = nvidia.gpu_name(target.number) if target.kind in ("cuda", "tensorrt") else ""
        return SPOKEN[PROVIDERS.get(target.kind, CPU)] + (f" ({gpu})" if gpu else "")

    def resize(self, width: int, height: int) -> None:
        """Start a session for an input of this size, and its buffers. Raises EngineError."""
        if (width, height) != self._size:
            super().resize(width, height)
            self._size = width, height

    def batch(self, count: int, width: int, height: int) -> OnnxBatch:
        """Buffers for `count` pictures of this size, and a session for them. Raises EngineError."""
        shape = count, height, width, 3
        memory = memory_of(self._target)
        try:
            made = OnnxBatch(self._start(shape), count, width, height, self._output_stride, memory)
        except EngineError:
            raise
        except Exception as error:
            reason = str(error).splitlines()[0]
            raise EngineError(
                f"device {self._target.device}: ONNX Runtime cannot run the network there: {reason}"
            ) from error
        made.run()  # libraries choose their algorithms in the first run
        return made

    def _start(self, shape: tuple[int, int, int, int]) -> ort.InferenceSession:
        options, target = ort.SessionOptions(), self._target
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_mem_pattern = target.kind != "directml"  # which does not bear it
        for name, side in zip(self._sides, shape, strict=True):
            if isinstance(name, str):
                options.add_free_dimension_override_by_name(name, side)
        folder = None
        if target.kind == "tensorrt":
            folder = engine_folder(self._path.read_bytes(), shape, target.number)
            folder.mkdir(parents=True, exist_ok=True)
            announce(folder, nvidia.gpu_name(target.number))
        asked = asked_for(target, half=self._half, folder=folder)
        session = ort.InferenceSession(self._path, options, providers=asked)
        check(session, target)
        return session


def announce(folder: Path, gpu: str) -> None:
    """Say that TensorRT is going to build an engine, where the folder holds none yet."""
    if not any(folder.glob("*.engine")):
        logging.getLogger("livecut").warning(
            "building the TensorRT engine for %s; this takes minutes, once", gpu or "the GPU"
        )
