"""Engines, and `open_engine`, which makes one for a model and a device."""

from __future__ import annotations

from pathlib import Path

from livecut.engines.base import ENGINES, Engine, split
from livecut.errors import ConfigError
from livecut.models import TORCHVISION, find_model, in_bytes


def open_engine(
    model: str | Path, *, engine: str = "auto", device: str = "auto", threads: int = 0
) -> Engine:
    """Load a model by its shipped name or path, or one of torchvision's as torchvision:NAME.

    `device` is "auto" (an NVIDIA GPU where one can be had, else the CPU), "cpu", "cuda" or "cuda:N", for
    ONNX Runtime also "tensorrt", "coreml" and "directml"; what is named is had or an error. Of a shipped
    name the int8 network is taken where there is one, all is done by the CPU, and that is fast at it.
    `threads` counts the CPU's, 0: half of the cores, at most 4. Raises ModelError, EngineError and
    ConfigError.
    """
    if engine not in ENGINES:
        raise ConfigError(f"unknown engine '{engine}'; expected one of: {', '.join(ENGINES)}")
    kind, _ = split(device)
    theirs = str(model).startswith(TORCHVISION)
    ours = Path(model).suffix == ".safetensors"
    if engine == "torch" or (engine == "auto" and (ours or theirs)):
        if kind not in ("auto", "cpu", "cuda"):
            raise ConfigError(f"device {device} is ONNX Runtime's alone; give an .onnx file")
        from livecut.engines.torch import TorchEngine

        found = str(model) if theirs else find_model(model, ".safetensors")
        return TorchEngine(found, device=device, threads=threads)
    from livecut.engines.onnx import open_onnx

    path = find_model(model)
    small = in_bytes(path)
    if Path(model).suffix or not small.exists() or not multiplies_bytes():
        small = path
    return open_onnx(path, on_cpu=small, device=device, threads=threads)


def multiplies_bytes() -> bool:
    """Whether the CPU has instructions for the dot products of bytes (VNNI), which int8 networks need."""
    from llvmlite.binding import get_host_cpu_features

    features = get_host_cpu_features()
    return any(features.get(name) for name in ("avx512vnni", "avxvnni"))
