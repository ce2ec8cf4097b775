"""The machine that figures depend on: the processor, the system, the versions."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from livecut.hardware import cpu

PACKAGES = (
    "livecut",
    "numpy",
    "opencv-python",
    "numba",
    "openvino",
    "onnxruntime-gpu",
    "onnxruntime",
    "av",
    "tornado",
    "torch",
)


def machine() -> dict[str, Any]:
    """Processor, cores, memory, GPU, system, versions and commit, as far as they are known."""
    import psutil

    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    facts = {
        "processor": cpu.name(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions,
        "copy_gb_per_s": round(copy_bandwidth() / 1e9, 2),
    }
    commit = _commit()
    return facts | driver() | ({"commit": commit} if commit else {})


def speed() -> float:
    """Passes per second of a fixed Python loop, the best of 30: how fast the clock is now."""
    best = float("inf")
    for _ in range(30):
        start, total = time.perf_counter(), 0
        for i in range(20_000):
            total += i * i
        best = min(best, time.perf_counter() - start)
    return 1 / best


def driver() -> dict[str, Any]:
    """The first NVIDIA GPU's name as `gpu` and its `driver`; empty where it does not tell."""
    return _ask(
        lambda nvml, card: {
            "gpu": nvml.nvmlDeviceGetName(card),
            "driver": nvml.nvmlSystemGetDriverVersion(),
        }
    )


def gpu() -> dict[str, Any]:
    """Memory, clocks, power and temperature of the first NVIDIA GPU; empty if it tells none."""
    return _ask(
        lambda nvml, card: {
            "memory_mb": nvml.nvmlDeviceGetMemoryInfo(card).used / 1e6,
            "sm_mhz": nvml.nvmlDeviceGetClockInfo(card, nvml.NVML_CLOCK_SM),
            "power_w": nvml.nvmlDeviceGetPowerUsage(card) / 1e3,
            "celsius": nvml.nvmlDeviceGetTemperature(card, nvml.NVML_TEMPERATURE_GPU),
        }
    )


def _ask(question: Callable[[Any, Any], dict[str, Any]]) -> dict[str, Any]:
    """NVML's answers for the first GPU; empty without NVML or a driver, or where it refuses."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # not installed, or no driver
        return {}
    try:
        return question(pynvml, pynvml.nvmlDeviceGetHandleByIndex(0))
    except pynvml.NVMLError:
        return {}
    finally:
        pynvml.nvmlShutdown()


def copy_bandwidth() -> float:
    """Bytes read and written per second by the best of 12 copies of 64 MB, on one thread."""
    source = np.ones(64_000_000, np.uint8)
    target = np.zeros_like(source)
    best = float("inf")
    for _ in range(12):
        start = time.perf_counter()
        np.copyto(target, source)
        best = min(best, time.perf_counter() - start)
    return 2 * source.nbytes / best


def _commit() -> str:
    """The commit of the checkout that livecut runs from, with + where files differ; else empty."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        commit = subprocess.check_output(
            ["git", "-C", root, "rev-parse", "--short", "HEAD"], text=True
        )
        changed = subprocess.check_output(
            ["git", "-C", root, "status", "--porcelain", "--untracked-files=no"], text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return commit.strip() + ("+" if changed.strip() else "")
