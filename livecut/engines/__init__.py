"""Engines, and `open_engine`, which makes one for a model and a device."""

from __future__ import annotations

from pathlib import Path

from livecut.engines.base import Engine, EngineType
from livecut.errors import ConfigError
from livecut.models import TORCHVISION
from livecut.registry import Registry

ENGINES = Registry[EngineType](
    "engine",
    {
        "onnx": "livecut.engines.onnx:OnnxEngine",
        "torch": "livecut.engines.torch:TorchEngine",
    },
    "livecut.engines",
)


def open_engine(
    model: str | Path, *, engine: str = "auto", device: str = "auto", threads: int = 0
) -> Engine:
    """Load a model by its shipped name or path, or one of torchvision's as torchvision:NAME.

    `engine` is "auto" or a name in `ENGINES`. `device` is "auto" (an NVIDIA GPU where one is
    available, else the CPU), "cpu", "cuda" or "cuda:N", for ONNX Runtime also "tensorrt", "coreml"
    and "directml"; a device that is named is available or raises. For a shipped name on the CPU the
    int8 network is taken where there is one and the CPU is fast at it. `threads` counts the CPU's,
    0: half of the cores, at most 4. Raises ModelError, EngineError and ConfigError.
    """
    return find_engine(engine, model).open(model, device=device, threads=threads)


def find_engine(engine: str, model: str | Path) -> EngineType:
    """The class of an engine by its name; for "auto" the one for a model. Raises ConfigError."""
    if engine == "auto":
        weights = str(model).startswith(TORCHVISION) or Path(model).suffix == ".safetensors"
        engine = "torch" if weights else "onnx"
    kind = ENGINES.named(engine)
    if kind is None:
        known = ", ".join(("auto", *ENGINES.names()))
        faults = "".join(f"; {fault}" for fault in ENGINES.faults)
        raise ConfigError(f"unknown engine '{engine}'; expected one of: {known}{faults}")
    return kind
