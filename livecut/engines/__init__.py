"""Engines, and `open_engine`, which makes one for a model and a device."""

from __future__ import annotations

from pathlib import Path

from livecut.engines.base import Engine
from livecut.engines.choice import ENGINES, EXPORTED, open_exported, parse_engine
from livecut.models import TORCHVISION, find_model

__all__ = ["ENGINES", "open_engine"]


def open_engine(
    model: str | Path, *, engine: str = "auto", device: str = "auto", threads: int = 0
) -> Engine:
    """Load a model by its shipped name or path, or one of torchvision's as torchvision:NAME.

    `engine` is "auto" or a name in `ENGINES`; "openvino" and "onnx" may name a precision, as in
    "onnx:int8". `device` is "auto" (an NVIDIA GPU where one is available, else the CPU), "cpu", "cuda"
    or "cuda:N", for OpenVINO also "gpu", "gpu:N" (Intel's) and "npu", for ONNX Runtime also "tensorrt",
    "coreml" and "directml"; a device that is named is available or raises. On the CPU, "auto" is the
    fastest engine of those that are installed: for a shipped name in int8 or a float precision, for a
    path as the file is, see `livecut.engines.choice`. `threads` counts the CPU's, 0: half of the cores,
    at most 4. Raises ModelError, EngineError and ConfigError.
    """
    name, _ = parse_engine(engine)
    weights = str(model).startswith(TORCHVISION) or Path(model).suffix == ".safetensors"
    if name == "auto" and weights:
        name = "torch"
    kind = None if name in ("auto", *EXPORTED) else ENGINES.named(name)
    if kind is not None:
        return kind.open(model, device=device, threads=threads)
    named = not Path(model).suffix
    path = find_model(model)
    return open_exported(path, named=named, engine=engine, device=device, threads=threads)
