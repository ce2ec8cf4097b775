"""ONNX Runtime's execution providers by the device's name: available, or an error says why not."""

from __future__ import annotations

import ctypes
import hashlib
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import onnxruntime as ort

from livecut.errors import EngineError
from livecut.files import cache_folder
from livecut.hardware import nvidia
from livecut.models import Target

ort.set_default_logger_severity(4)

PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}
CPU = "CPUExecutionProvider"
SPOKEN = {
    CPU: "the CPU",
    PROVIDERS["cuda"]: "CUDA",
    PROVIDERS["tensorrt"]: "TensorRT",
    PROVIDERS["coreml"]: "CoreML",
    PROVIDERS["directml"]: "DirectML",
}
"""How people call what a session runs on."""
BROUGHT_BY = {
    "cuda": "onnxruntime-gpu, on Linux x86-64 or Windows,",
    "tensorrt": "onnxruntime-gpu, on Linux x86-64 or Windows,",
    "coreml": "onnxruntime, on macOS,",
    "directml": "onnxruntime-directml, on Windows,",
}
"""The build of ONNX Runtime that has a provider. No two builds may be installed at once."""

Provider = tuple[str, dict[str, Any]]


def require(target: Target) -> None:
    """Raise EngineError, which says what is missing, where a named device is unavailable."""
    if target.kind not in ("auto", "cpu") and (fault := fault_of(target.kind)):
        raise EngineError(f"device {target.device}: {fault}, or take --device cpu")


def resolve(target: Target) -> tuple[Target, str]:
    """The target with a device in place of auto, and why an NVIDIA GPU that is there is not it.

    That is the GPU where ONNX Runtime seems able to use it, else the CPU.
    """
    fault = ""
    if target.kind == "auto":
        gpu = nvidia.driver_loads()
        fault = fault_of("cuda") if gpu else ""
        target = target.default_to("cuda" if gpu and not fault else "cpu")
    return target, fault


def fault_of(kind: str) -> str:
    """Why ONNX Runtime lacks this kind of device, and what to do; empty if it seems to have it."""
    if PROVIDERS[kind] not in ort.get_available_providers():
        return (
            f"this ONNX Runtime is built without {SPOKEN[PROVIDERS[kind]]}; {BROUGHT_BY[kind]} has "
            "it: install that in place of the one that is installed"
        )
    if kind not in ("cuda", "tensorrt"):
        return ""
    if not nvidia.driver_loads():
        return "no NVIDIA driver on this machine (libcuda cannot be loaded); install it"
    if fault := provider_fault("cuda"):
        missing = nvidia.missing_libraries()
        return (
            f"ONNX Runtime {ort.__version__} cannot load its CUDA provider ({fault}); "
            + (f"missing are: {', '.join(missing)}; " if missing else "")
            + 'install with: pip install "onnxruntime-gpu[cuda,cudnn]" nvidia-curand'
        )
    if kind == "tensorrt":
        if not nvidia.tensorrt_version():
            return "TensorRT 10 (libnvinfer) cannot be loaded; install with: pip install tensorrt"
        if fault := provider_fault("tensorrt"):
            return (
                f"ONNX Runtime {ort.__version__} cannot load its TensorRT provider ({fault}); "
                "mend that"
            )
    return ""


def provider_fault(kind: str) -> str:
    """The loader's fault with the library of cuda's or tensorrt's provider; empty if it loads."""
    with redirect_stdout(StringIO()):  # it prints what it does not find
        ort.preload_dlls()
    prefix, suffix = ("", ".dll") if sys.platform == "win32" else ("lib", ".so")
    folder = Path(ort.__file__).parent / "capi"
    try:
        for name in ("shared", kind):
            ctypes.CDLL(
                str(folder / f"{prefix}onnxruntime_providers_{name}{suffix}"), ctypes.RTLD_GLOBAL
            )
    except OSError as error:
        return str(error).splitlines()[0]
    return ""


def check(session: ort.InferenceSession, target: Target) -> None:
    """Raise EngineError where a session does not run on the target's device.

    ONNX Runtime falls back to the CPU, or from TensorRT to CUDA, without a word.
    """
    kind, got = target.kind, session.get_providers()[0]
    if kind in PROVIDERS and got != PROVIDERS[kind]:
        raise EngineError(
            f"device {target.device}: ONNX Runtime {ort.__version__} could not start its "
            f"{SPOKEN[PROVIDERS[kind]]} provider, and would run on {SPOKEN.get(got, got)} (the "
            "GPU or its driver is too old, or a library is not the one it was built for); mend "
            "that, or take --device cpu"
        )


def asked_for(target: Target, *, half: bool = False, folder: Path | None = None) -> list[Provider]:
    """The providers to ask for, in their order, for a target's device.

    `half` is for a network whose file is in float16, which TensorRT must be told; it keeps its
    engines in `folder`.
    """
    kind, number = target.kind, target.number
    asked: list[Provider] = [(CPU, {})]
    if kind in ("cuda", "tensorrt"):
        asked.insert(0, (PROVIDERS["cuda"], {"device_id": number}))
    if kind == "tensorrt":
        options = {"device_id": number, "trt_fp16_enable": str(int(half))}
        if folder is not None:
            for cache in ("engine", "timing"):
                options[f"trt_{cache}_cache_enable"] = "1"
                options[f"trt_{cache}_cache_path"] = str(folder)
        asked.insert(0, (PROVIDERS["tensorrt"], options))
    elif kind == "directml":
        asked.insert(0, (PROVIDERS["directml"], {"device_id": number}))
    elif kind == "coreml":
        asked.insert(0, (PROVIDERS["coreml"], {"ModelFormat": "MLProgram"}))
    return asked


def memory_of(target: Target) -> tuple[str, int]:
    """ONNX Runtime's name and number of the memory in which a network finds its input."""
    return ("cuda", target.number) if target.kind in ("cuda", "tensorrt") else ("cpu", 0)


def engine_folder(model: bytes, shape: tuple[int, ...], number: int) -> Path:
    """The folder of TensorRT's engine for a network and its input's shape.

    An engine is good for the very network, shape, GPU and versions that it was built with, and for
    no other; ONNX Runtime names its files without regard to the shape.
    """
    circumstances = (
        hashlib.sha256(model).hexdigest(),
        str(shape),
        nvidia.gpu_name(number),
        nvidia.tensorrt_version(),
        ort.__version__,
        nvidia.driver_version() or nvidia.cuda_of_driver(),
    )
    key = hashlib.sha256("\n".join(circumstances).encode()).hexdigest()[:24]
    return cache_folder() / "tensorrt" / key
