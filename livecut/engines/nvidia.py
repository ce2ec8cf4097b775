"""What there is of NVIDIA's software on this machine, asked without importing any of it."""

from __future__ import annotations

import ctypes
import sys


def driver_loads() -> bool:
    """Whether the NVIDIA driver's library loads."""
    return _driver() is not None


def cuda_of_driver() -> str:
    """The newest CUDA that the driver supports, as in "13.0"; empty where there is no driver."""
    driver, version = _driver(), ctypes.c_int()
    if driver is None or driver.cuDriverGetVersion(ctypes.byref(version)):
        return ""
    return f"{version.value // 1000}.{version.value % 1000 // 10}"


def _driver() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None
