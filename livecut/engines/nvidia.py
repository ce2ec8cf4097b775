"""NVIDIA's software on this machine, by its own libraries: what there is of it, and a stream of work."""

from __future__ import annotations

import ctypes
import os
import sys
import weakref
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livecut.errors import ConfigError, EngineError

LIBRARIES = ("cudart", "cublas", "cublasLt", "cudnn", "cufft", "curand")


def graph_wanted() -> bool:
    """Whether the GPU's work is to be one CUDA graph: LIVECUT_CUDA_GRAPH, 1 (as where it is not set) or 0.

    Raises ConfigError. It is for finding faults, whichever command shows them, and no one's daily choice:
    so it is the environment's.
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

    The package tensorrt keeps its libraries in a folder where ONNX Runtime does not look: loaded here,
    they are found.
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


def _runtime() -> Any:
    """CUDA's runtime library. Raises EngineError where it does not load."""
    found = next(filter(None, (_load("cudart", n) for n in range(14, 8, -1))), None)
    if found is None:
        raise EngineError(
            "CUDA's runtime library (libcudart) does not load; install it with: pip install "
            '"onnxruntime-gpu[cuda,cudnn]"'
        )
    return found


def _finally(thing: Any, job: Any, handle: ctypes.c_void_p) -> None:
    """Do `job` with a handle once nobody holds `thing`; not at exit, when CUDA is gone."""
    weakref.finalize(thing, job, handle).atexit = False


class Stream:
    """A queue of work on a GPU, and what is needed round it: pinned memory, copies and events.

    Nothing but `wait` waits for the GPU. Every method raises EngineError, which says what CUDA says. The queue
    lives as long as the process: a session of ONNX Runtime on it crashes where it ends after the queue, and the
    garbage collector ends both in any order.
    """

    def __init__(self, number: int) -> None:
        self._cuda, handle = _runtime(), ctypes.c_void_p()
        self._cuda.cudaGetErrorString.restype = ctypes.c_char_p
        self._do("cudaSetDevice", number)
        self._do(
            "cudaStreamCreateWithFlags", ctypes.byref(handle), 1
        )  # not tied to the default one
        self.handle = handle.value or 0

    def _do(self, what: str, *arguments: Any) -> None:
        failed = getattr(self._cuda, what)(*arguments)
        if failed:
            text = self._cuda.cudaGetErrorString(failed).decode()
            raise EngineError(f"the GPU failed: {text} ({what})")

    def pinned(self, count: int) -> NDArray[np.uint8]:
        """So many bytes of the host's memory that a GPU copies from and to by itself."""
        at = ctypes.c_void_p()
        self._do("cudaMallocHost", ctypes.byref(at), ctypes.c_size_t(count))
        block = (ctypes.c_uint8 * count).from_address(at.value or 0)
        _finally(block, self._cuda.cudaFreeHost, at)
        return np.ctypeslib.as_array(block)

    def copy(self, to: int, source: int, count: int) -> None:
        """Copy so many bytes between two addresses, on either side, once what was queued is done."""
        kind = 4  # told by the addresses
        self._do(
            "cudaMemcpyAsync",
            ctypes.c_void_p(to),
            ctypes.c_void_p(source),
            ctypes.c_size_t(count),
            kind,
            ctypes.c_void_p(self.handle),
        )

    def event(self) -> ctypes.c_void_p:
        """A point in the queue, to be put there by `record`."""
        made = ctypes.c_void_p()
        self._do("cudaEventCreateWithFlags", ctypes.byref(made), 2)  # keeps no time
        _finally(made, self._cuda.cudaEventDestroy, ctypes.c_void_p(made.value))
        return made

    def record(self, event: ctypes.c_void_p) -> None:
        """Put the point behind all that was queued so far."""
        self._do("cudaEventRecord", event, ctypes.c_void_p(self.handle))

    def wait(self, event: ctypes.c_void_p) -> None:
        """Wait until the point is reached; at once where it was never recorded."""
        self._do("cudaEventSynchronize", event)
