"""ONNX Runtime: any network's session, and the engine of the CPU."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from livecut.engines import Engine, multiplies_bytes, output_shape, split
from livecut.engines.nvidia import driver_loads
from livecut.engines.providers import CPU, PROVIDERS, SPOKEN, Provider, check, fault_of, require
from livecut.errors import EngineError, ModelError


def default_threads() -> int:
    """Threads for the network on a CPU: half of the cores, at most 4; the rest is for the picture."""
    return max(1, min(4, (os.cpu_count() or 1) // 2))


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
    if (
        not multiplies_bytes()
    ):  # sums of bytes would overflow; with VNNI this costs half of all time
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
    asked: list[Provider] = [(CPU, {})]
    if kind in PROVIDERS:
        asked.insert(0, (PROVIDERS[kind], {"device_id": number} if kind != "coreml" else {}))
    try:
        session = ort.InferenceSession(path, options, providers=asked)
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{path} cannot be loaded by ONNX Runtime: {reason}") from error
    check(session, device)
    got = session.get_providers()[0]
    ran = f"ONNX Runtime {ort.__version__} on {SPOKEN.get(got, got)}"
    ran += f", {count} thread{'s' * (count > 1)}"
    return session, ran + (f" (no CUDA: {fault})" if fault else "")


def open_onnx(path: Path, *, on_cpu: Path, device: str, threads: int) -> Engine:
    """The engine for a network, or for its form for the CPU, and a device. Raises ModelError, EngineError and ConfigError.

    Where a GPU is there for auto and cannot be used, the CPU's engine says why.
    """
    kind, _ = split(device)
    fault = ""
    if kind == "auto" and driver_loads():
        fault, device = fault_of("cuda"), "cuda"
    if kind not in ("auto", "cpu") or (device == "cuda" and not fault):
        from livecut.engines.fixed import FixedEngine, place_of

        try:
            return FixedEngine(path, place_of(device))
        except EngineError as error:
            if kind != "auto":
                raise
            fault = str(error)
    engine = OnnxEngine(on_cpu, threads=threads)
    engine.description += f" (no CUDA: {fault})" if fault else ""
    return engine


class Bound:
    """Pictures for a session, in buffers that are bound once. See `livecut.engines.Batch`."""

    def __init__(
        self, session: ort.InferenceSession, shape: tuple[int, int, int, int], stride: int
    ) -> None:
        """`shape` is (number, height, width, channels) of the pictures; alpha is smaller by `stride`."""
        self.input: NDArray[np.uint8] = np.zeros(shape, np.uint8)
        self.output: NDArray[np.float32] = np.zeros(output_shape(shape, stride), np.float32)
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
    """A network under ONNX Runtime on the CPU, its buffers bound once per size. See `livecut.engines.Engine`."""

    together = 1

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        self._session, self.description = open_session(path, "cpu", threads)
        facts = self._session.get_modelmeta().custom_metadata_map
        try:
            self.area, self.stride = int(facts["livecut.area"]), int(facts["livecut.stride"])
            self._output_stride = int(facts["livecut.output_stride"])
            self._channels = 3 + int(facts.get("livecut.memory", 0))
        except (KeyError, ValueError):
            raise ModelError(
                f"{path} was not written by 'livecut export': it lacks livecut's metadata; expected "
                "uint8 BGR (N, H, W, 3) in and float alpha (N, h, w) out, or for livecut eval a TOML "
                "that describes it (--adapter)"
            ) from None
        self.description += ", int8" * ("livecut.int8" in facts)

    def batch(self, count: int, width: int, height: int) -> Bound:
        """Buffers for so many pictures of this size, which may run beside others."""
        return Bound(self._session, (count, height, width, self._channels), self._output_stride)

    def resize(self, width: int, height: int) -> None:
        """Allocate and bind the buffers for an input of this size."""
        self._single = self.batch(1, width, height)
        self.input, self.output = self._single.input[0], self._single.output[0]

    def run(self) -> None:
        """Compute `output` from `input`. Raises EngineError."""
        self._single.run()
