"""What there is of NVIDIA's software on this machine, asked without importing any of it."""

from __future__ import annotations

import ctypes
import sys

LIBRARIES = ("cudart", "cublas", "cublasLt", "cudnn", "cufft", "curand")


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
    """Those of CUDA's libraries that ONNX Runtime needs and nothing loads, in any version."""
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
