"""NVIDIA's software on this machine, by its own libraries: what there is of it."""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.util import find_spec

from livecut.errors import ConfigError

LIBRARIES = ("cudart", "cublas", "cublasLt", "cudnn", "cufft", "curand")


def graph_wanted() -> bool:
    """Whether the GPU's work is to be one CUDA graph: LIVECUT_CUDA_GRAPH, 1 (the default) or 0.

    A debugging switch, so an environment variable and not an option. Raises ConfigError.
    """
    said = os.environ.get("LIVECUT_CUDA_GRAPH") or "1"
    if said not in ("0", "1"):
        raise ConfigError(f"LIVECUT_CUDA_GRAPH is '{said}'; expected 1 or 0")
    return said == "1"


def driver_loads() -> bool:
    """Whether the NVIDIA driver's library loads."""
    return _driver() is not None


def cuda_of_driver() -> str:
    """The newest CUDA that the driver supports, as in "13.0"; empty where there is no driver."""
    driver, version = _driver(), ctypes.c_int()
    if driver is None or driver.cuDriverGetVersion(ctypes.byref(version)):
        return ""
    return f"{version.value // 1000}.{version.value % 1000 // 10}"


def missing_libraries() -> list[str]:
    """CUDA's libraries that ONNX Runtime needs and that do not load in any version."""
    return [name for name in LIBRARIES if not any(_load(name, n) for n in range(9, 15))]


def _load(name: str, version: int) -> ctypes.CDLL | None:
    windows = sys.platform == "win32"
    try:
        return ctypes.CDLL(f"{name}64_{version}.dll" if windows else f"lib{name}.so.{version}")
    except OSError:
        return None


def _driver() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None


def driver_version() -> str:
    """The driver's own version, as in "580.95.05"; empty where it does not tell."""
    name = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"
    version = ctypes.create_string_buffer(80)
    try:
        library = ctypes.CDLL(name)
    except OSError:
        return ""
    if library.nvmlInit_v2() or library.nvmlSystemGetDriverVersion(version, len(version)):
        return ""
    return version.value.decode()


def gpu_name(number: int) -> str:
    """The name of a GPU, as in "NVIDIA H100 80GB HBM3"; empty where the driver knows none of it."""
    driver, card, name = _driver(), ctypes.c_int(), ctypes.create_string_buffer(256)
    if driver is None or driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(card), number):
        return ""
    return "" if driver.cuDeviceGetName(name, len(name), card) else name.value.decode()


def tensorrt_version() -> str:
    """The number of TensorRT's version, as in "101600"; empty where it does not load.

    The package tensorrt keeps its libraries in a folder where ONNX Runtime does not look: loaded
    here, they are found.
    """
    found = find_spec("tensorrt_libs")
    folders = list(found.submodule_search_locations or ()) if found else []
    windows = sys.platform == "win32"
    for folder in ("", *folders):
        try:
            core, *_ = [
                ctypes.CDLL(os.path.join(folder, name), ctypes.RTLD_GLOBAL)
                for name in (
                    ("nvinfer_10.dll", "nvonnxparser_10.dll")
                    if windows
                    else ("libnvinfer.so.10", "libnvinfer_plugin.so.10", "libnvonnxparser.so.10")
                )
            ]
        except OSError:
            continue
        return str(core.getInferLibVersion())
    return ""
