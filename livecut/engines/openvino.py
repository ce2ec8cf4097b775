"""OpenVINO: the engine of x86-64 CPUs and of Intel's GPUs and NPUs.

Its Python package reports to an analytics service that it was imported, from a process of its own.
`load` imports it without the parts that do so.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from livecut.engines.base import Batch, Engine
from livecut.engines.metadata import read_metadata
from livecut.errors import EngineError, ModelError
from livecut.files import atomic_write, cache_folder
from livecut.hardware import cpu
from livecut.models import Target

if TYPE_CHECKING:
    import openvino

REPORTERS = ("openvino_telemetry", "openvino.tools.ovc")
"""The package that sends usage events, and the part of OpenVINO that uses it: a converter."""
HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
"""OpenVINO's names of the precisions in which it computes what is not in bytes."""
KEPT = 24
"""Compiled networks kept on disk: one for each model, precision, size and number of threads."""
DIGEST = 32
"""Bytes of SHA-256 before a compiled network on disk."""
MISSING = {
    "gpu": "no GPU of Intel's with its driver; install Intel's graphics compute runtime (Debian, "
    "Ubuntu: apt install intel-opencl-icd), and on Linux join the group of /dev/dri/renderD128, "
    "render",
    "npu": "no NPU of Intel's with its driver; install Intel's NPU driver (Linux: "
    "intel-npu-driver, kernel 6.8 or later), and on Linux join the group of "
    "/dev/accel/accel0, render",
}
"""What OpenVINO found instead of a device, and what to do."""


def load() -> Any:
    """Import OpenVINO without what reports its use. Raises EngineError where it is absent."""
    with _without(REPORTERS):
        try:
            import openvino
        except ImportError as error:
            raise EngineError(
                f"OpenVINO cannot be imported ({error}); install it with: pip install openvino"
            ) from error
    return openvino


@contextmanager
def _without(names: tuple[str, ...]) -> Iterator[None]:
    """Make packages that nobody has imported look absent; the first stays absent afterwards."""
    absent = [name for name in names if name not in sys.modules]
    modules: dict[str, Any] = sys.modules
    modules.update(dict.fromkeys(absent))
    try:
        yield
    finally:
        for name in absent[1:]:
            modules.pop(name, None)


def version() -> str:
    """OpenVINO's version, as in "2026.4.1". Raises EngineError where it is not installed."""
    number, _, _ = load().__version__.partition("-")
    return str(number)


@cache
def start() -> openvino.Core:
    """OpenVINO's core, one for the process: it loads a plug-in for each kind of device once.

    Raises EngineError where OpenVINO is not installed or does not start.
    """
    try:
        core: openvino.Core = load().Core()
        return core
    except RuntimeError as error:
        raise EngineError(f"OpenVINO does not start: {reason(error)}") from error


def find_device(device: str) -> str:
    """OpenVINO's name of a device, as in "GPU.0". Raises EngineError where it is not available."""
    target = Target.parse("", device)
    kind, number = target.kind, target.number
    if kind in ("auto", "cpu"):
        return "CPU"
    if kind not in MISSING:
        raise EngineError(
            f"device {device} is not OpenVINO's; it runs on: cpu, {', '.join(MISSING)}"
        )
    core = start()
    names: list[str] = [
        name for name in core.available_devices if name.split(".")[0] == kind.upper()
    ]
    if number < len(names):
        return names[number]
    if names:
        raise EngineError(
            f"device {device}: OpenVINO {version()} sees {len(names)} of this kind, which count "
            "from 0"
        )
    raise EngineError(
        f"device {device}: OpenVINO {version()} sees {MISSING[kind]}, or take --device cpu"
    )


def reason(error: Exception) -> str:
    """The line of an error of OpenVINO's that says what is wrong; the first ones say where."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(("Exception from", "Check "))]
    return (said or lines or [type(error).__name__])[-1]


class OpenVinoBatch(Batch):
    """Pictures for a compiled network, which reads and writes the buffers."""

    def __init__(
        self, compiled: openvino.CompiledModel, count: int, width: int, height: int, stride: int
    ) -> None:
        """For a compiled network; see `Batch`. Raises EngineError."""
        super().__init__(count, width, height, stride)
        ov = load()
        self._compiled, self._request = compiled, compiled.create_infer_request()
        self._tensors = [ov.Tensor(b, shared_memory=True) for b in (self.input, self.output)]
        try:
            self._request.set_input_tensor(self._tensors[0])
            self._request.set_output_tensor(self._tensors[1])
        except RuntimeError as error:
            raise EngineError(f"OpenVINO cannot take the buffers: {reason(error)}") from error

    def run(self) -> None:
        """Compute `output` from `input`, on the calling thread. Raises EngineError."""
        try:
            self._request.infer(share_outputs=True)
        except RuntimeError as error:
            raise EngineError(f"the network failed: {reason(error)}") from error


class OpenVinoEngine(Engine):
    """A network under OpenVINO, compiled for each size and kept on disk.

    All shapes are fixed before it is compiled: with free ones, OpenVINO 2026.4 computes int8
    networks wrongly.
    """

    forms = ("openvino",)
    help = "OpenVINO: x86-64 CPUs, and Intel's GPUs and NPUs"

    @classmethod
    def open(cls, target: Target, *, threads: int) -> OpenVinoEngine:
        """Load a network in the precision of its file, on the CPU or the device that is named."""
        return cls(target.file(), device=target.device, precision="float32", threads=threads)

    def __init__(
        self, path: Path, *, device: str = "cpu", precision: str = "auto", threads: int = 0
    ) -> None:
        """`precision` is "auto" or of `HINTS`: that of what the network does not compute in bytes.

        "auto" is what the device is fastest at. Raises ModelError and EngineError.
        """
        self._path, self._facts = path, read_metadata(path)
        self._device, self._core = find_device(device), start()
        self.area, self.stride = self._facts.area, self._facts.stride
        self._size = (0, 0)
        try:
            capabilities = self._core.get_property(self._device, "OPTIMIZATION_CAPABILITIES")
            name = str(self._core.get_property(self._device, "FULL_DEVICE_NAME"))
        except RuntimeError as error:
            raise EngineError(f"device {device}: {reason(error)}") from error
        if precision == "auto":
            fast = {"BF16": "bfloat16", "FP16": "float16"}
            kinds = [fast[c] for c in ("BF16", "FP16") if c in capabilities]
            precision = kinds[0] if kinds else "float32"
        self._exports = "EXPORT_IMPORT" in capabilities
        self._config: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "CACHE_MODE": "OPTIMIZE_SPEED",
        }
        where = f"{self._device} ({name})"
        if self._device == "CPU":
            count = threads or cpu.default_threads()
            self._config |= {
                "NUM_STREAMS": 1,
                "INFERENCE_NUM_THREADS": count,
                "ENABLE_CPU_PINNING": False,  # the picture's threads use the same cores
            }
            if not cpu.multiplies_bytes():  # sums of bytes would overflow: compute them as floats
                self._config["LP_TRANSFORMS_MODE"] = "NO"
            where = f"the CPU, {count} thread{'s' * (count > 1)}"
        model = hashlib.sha256(path.read_bytes()).hexdigest()
        config = repr(sorted(self._config.items()))
        circumstances = (model, load().__version__, cpu.fingerprint(), self._device, name, config)
        self._key = "\n".join(circumstances)
        shown = "int8" if self._facts.int8 else precision
        self.description = f"OpenVINO {version()} on {where}, {shown}"

    def batch(self, count: int, width: int, height: int) -> OpenVinoBatch:
        """Buffers for so many pictures of this size, which may run beside others.

        Raises EngineError.
        """
        compiled = self._compile((count, height, width, 3))
        batch = OpenVinoBatch(compiled, count, width, height, self._facts.output_stride)
        batch.run()  # the first run allocates
        return batch

    def resize(self, width: int, height: int) -> None:
        """Compile for an input of this size and allocate the buffers. Raises EngineError."""
        if (width, height) != self._size:
            super().resize(width, height)
            self._size = width, height

    def _compile(self, shape: tuple[int, int, int, int]) -> openvino.CompiledModel:
        key = hashlib.sha256(f"{self._key}\n{shape}".encode()).hexdigest()[:32]
        file = cache_folder() / "openvino" / key
        if (data := read_kept(file)) is not None:
            with suppress(RuntimeError):
                return self._core.import_model(BytesIO(data), self._device, self._config)
        try:
            model = self._core.read_model(self._path)
        except RuntimeError as error:
            raise ModelError(
                f"{self._path} cannot be loaded by OpenVINO: {reason(error)}"
            ) from error
        try:
            model.reshape({model.inputs[0]: list(shape)})
            compiled = self._core.compile_model(model, self._device, self._config)
            devices = compiled.get_property("EXECUTION_DEVICES")
        except RuntimeError as error:
            raise EngineError(
                f"OpenVINO cannot run the network on {self._device}: {reason(error)}"
            ) from error
        if list(devices) != [self._device]:
            raise EngineError(
                f"OpenVINO would run the network on {', '.join(devices)} in place of "
                f"{self._device}; take --device cpu"
            )
        if self._exports:
            with suppress(RuntimeError):
                buffer = BytesIO()
                compiled.export_model(buffer)
                keep(file, buffer.getvalue())
        return compiled


def read_kept(file: Path) -> bytes | None:
    """The compiled network in a file; None where there is none, or not the one that was written."""
    try:
        data = file.read_bytes()
    except OSError:
        return None
    digest, data = data[:DIGEST], data[DIGEST:]
    return data if hashlib.sha256(data).digest() == digest else None


def keep(file: Path, data: bytes) -> None:
    """Keep a compiled network for the next time, `KEPT` at most; failing is no fault."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as part:
            part.write_bytes(hashlib.sha256(data).digest() + data)
        files = sorted(file.parent.iterdir(), key=lambda path: path.stat().st_mtime)
        for old in files[:-KEPT]:
            old.unlink()
