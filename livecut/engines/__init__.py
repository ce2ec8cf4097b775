"""Engines, and `open_engine`, which makes one for a model and a device."""

from __future__ import annotations

from pathlib import Path

from livecut.engines.base import Engine, split
from livecut.engines.choice import open_exported, parse_engine
from livecut.errors import ConfigError
from livecut.models import TORCHVISION, find_model


def open_engine(
    model: str | Path, *, engine: str = "auto", device: str = "auto", threads: int = 0
) -> Engine:
    """Load a model by its shipped name or path, or one of torchvision's as torchvision:NAME.

    `device` is "auto" (an NVIDIA GPU where one is available, else the CPU), "cpu", "cuda" or "cuda:N", for
    OpenVINO also "gpu", "gpu:N" (Intel's) and "npu", for ONNX Runtime also "tensorrt", "coreml" and
    "directml"; one that is named is available or raises. On the CPU, `engine` "auto" is the fastest of
    those that are installed: for a shipped name in int8 or a float precision, for a path as the file is,
    see `livecut.engines.choice`. "openvino" and "onnx" may name a precision, as in "onnx:int8".
    `threads` counts the CPU's, 0: half of the cores, at most 4. Raises ModelError, EngineError and
    ConfigError.
    """
    name, _ = parse_engine(engine)
    kind, _ = split(device)
    theirs = str(model).startswith(TORCHVISION)
    ours = Path(model).suffix == ".safetensors"
    if name == "torch" or (name == "auto" and (ours or theirs)):
        if kind not in ("auto", "cpu", "cuda"):
            raise ConfigError(f"PyTorch does not run on device {device}; give an .onnx file")
        from livecut.engines.torch import TorchEngine

        found = str(model) if theirs else find_model(model, ".safetensors")
        return TorchEngine(found, device=device, threads=threads)
    named = not Path(model).suffix
    return open_exported(
        find_model(model), named=named, engine=engine, device=device, threads=threads
    )
