"""ONNX Runtime, on the CPU or on an NVIDIA GPU."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from livecut.engines import TOGETHER
from livecut.engines.nvidia import driver_loads
from livecut.errors import EngineError, ModelError

ort.set_default_logger_severity(4)


def default_threads() -> int:
    """Threads for the network on a CPU: half of the cores, at most 4; the rest is for the picture."""
    return max(1, min(4, (os.cpu_count() or 1) // 2))


def cuda_fault() -> str:
    """Why ONNX Runtime's CUDA provider cannot be loaded, as the loader says it; empty where it can."""
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        return "this ONNX Runtime is built without CUDA"
    ort.preload_dlls()
    prefix, suffix = ("", ".dll") if sys.platform == "win32" else ("lib", ".so")
    folder = Path(ort.__file__).parent / "capi"
    try:
        for name in ("shared", "cuda"):
            ctypes.CDLL(
                str(folder / f"{prefix}onnxruntime_providers_{name}{suffix}"), ctypes.RTLD_GLOBAL
            )
    except OSError as error:
        return str(error).splitlines()[0]
    return ""


def providers(device: str) -> list[tuple[str, dict[str, Any]]]:
    """The execution providers to ask for. Raises EngineError where a named GPU cannot be had."""
    cpu: tuple[str, dict[str, Any]] = ("CPUExecutionProvider", {})
    named = device.startswith("cuda")
    if device == "cpu" or not (named or driver_loads()):
        return [cpu]
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        if named:
            raise EngineError(
                f"device {device}: this ONNX Runtime is built without CUDA; install onnxruntime-gpu "
                "in place of onnxruntime, or take --device cpu"
            )
        return [cpu]
    if not driver_loads():
        raise EngineError(
            f"device {device}: no NVIDIA driver on this machine (libcuda cannot be loaded); install "
            "it, or take --device cpu"
        )
    ort.preload_dlls()
    return [("CUDAExecutionProvider", {"device_id": int(device.partition(":")[2] or 0)}), cpu]


def open_session(path: Path, device: str, threads: int) -> tuple[ort.InferenceSession, str]:
    """A network's session and its description. Raises ModelError and EngineError.

    Threads that livecut chooses sleep while they wait; a number that is given is for throughput, and
    those spin while a frame is in the network, and leave the cores to the picture after it.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = count = threads or default_threads()
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(threads > 0)))
    options.add_session_config_entry("session.force_spinning_stop", "1")
    asked = providers(device)
    try:
        session = ort.InferenceSession(path, options, providers=asked)
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{path} cannot be loaded by ONNX Runtime: {reason}") from error
    got = session.get_providers()[0]
    fault = ""
    if got != asked[0][0]:
        fault = cuda_fault() or "CUDA or cuDNN is too old, or the GPU is"
    if fault and device.startswith("cuda"):
        raise EngineError(
            f"device {device}: ONNX Runtime {ort.__version__} could not start its CUDA provider "
            f"({fault}); mend that, or take --device cpu"
        )
    where = "the CPU" if got == "CPUExecutionProvider" else got.removesuffix("ExecutionProvider")
    ran = f"ONNX Runtime {ort.__version__} on {where}, {count} thread{'s' * (count > 1)}"
    return session, ran + (f" (no CUDA: {fault})" if fault else "")


class Bound:
    """Pictures for a session, in buffers that are bound once. See `livecut.engines.Batch`."""

    def __init__(
        self, session: ort.InferenceSession, shape: tuple[int, int, int], stride: int
    ) -> None:
        """`shape` is (number, height, width) of the pictures; alpha is smaller by `stride`."""
        count, height, width = shape
        self.input: NDArray[np.uint8] = np.zeros((*shape, 3), np.uint8)
        self.output: NDArray[np.float32] = np.zeros(
            (count, height // stride, width // stride), np.float32
        )
        self._session, self._binding = session, session.io_binding()
        self._held = [ort.OrtValue.ortvalue_from_numpy(b) for b in (self.input, self.output)]
        self._binding.bind_ortvalue_input(session.get_inputs()[0].name, self._held[0])
        self._binding.bind_ortvalue_output(session.get_outputs()[0].name, self._held[1])

    def run(self) -> None:
        """Compute `output` from `input`. Raises EngineError."""
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:
            raise EngineError(f"the network failed: {str(error).splitlines()[0]}") from error


class OnnxEngine:
    """A network under ONNX Runtime, its buffers bound once per size. See `livecut.engines.Engine`."""

    def __init__(self, path: Path, *, device: str = "auto", threads: int = 0) -> None:
        self._session, self.description = open_session(path, device, threads)
        facts = self._session.get_modelmeta().custom_metadata_map
        try:
            self.area, self.stride = int(facts["livecut.area"]), int(facts["livecut.stride"])
            self._output_stride = int(facts["livecut.output_stride"])
        except (KeyError, ValueError):
            raise ModelError(
                f"{path} was not written by 'livecut export': it lacks livecut's metadata; expected "
                "uint8 BGR (N, H, W, 3) in and float alpha (N, h, w) out, or for livecut eval a TOML "
                "that describes it (--adapter)"
            ) from None
        self.description += ", int8" * ("livecut.int8" in facts)
        any_number = isinstance(self._session.get_inputs()[0].shape[0], str)
        cpu = self._session.get_providers()[0] == "CPUExecutionProvider"
        self.together = TOGETHER if any_number and not cpu else 1

    def batch(self, count: int, width: int, height: int) -> Bound:
        """Buffers for so many pictures of this size, which may run beside others."""
        return Bound(self._session, (count, height, width), self._output_stride)

    def resize(self, width: int, height: int) -> None:
        """Allocate and bind the buffers for an input of this size."""
        self._single = self.batch(1, width, height)
        self.input, self.output = self._single.input[0], self._single.output[0]

    def run(self) -> None:
        """Compute `output` from `input`. Raises EngineError."""
        self._single.run()
