"""Engines, and `open_engine`, which makes one for a model and a device."""

from __future__ import annotations

from livecut.engines.base import Engine
from livecut.engines.choice import ENGINES, EXPORTED, check_words, open_exported
from livecut.errors import ConfigError, EngineError
from livecut.models import Target
from livecut.options import NetworkOptions
from livecut.registry import one_line_errors

__all__ = ["ENGINES", "find_engine", "open_engine"]


def open_engine(target: Target, *, threads: int = NetworkOptions.threads) -> Engine:
    """Load the network of a target.

    Its engine is auto or a name in `ENGINES`; its device auto (an NVIDIA GPU where one is
    available, else the CPU), cpu or cuda, for OpenVINO also gpu (Intel's) and npu, for ONNX
    Runtime also tensorrt, coreml and directml. A device that is named is available or raises. On
    the CPU, auto is the fastest engine of those that are installed: for a shipped name in int8 or
    a float precision, for a path as the file is, see `livecut.engines.choice`. `threads` counts
    the CPU's, 0: half of the cores, at most 4. Raises ModelError, EngineError and ConfigError.
    """
    check_words(target)
    if target.engine in EXPORTED or (target.engine == "auto" and not target.pytorch):
        return open_exported(target, threads=threads)
    engine = find_engine(target)
    with one_line_errors(engine, f"engine '{target.engine}'", EngineError):
        return engine.open(target, threads=threads)


def find_engine(target: Target) -> type[Engine]:
    """The class of a target's engine; PyTorch's for auto. Raises ConfigError."""
    name = "torch" if target.engine == "auto" else target.engine
    engine = ENGINES.named(name)
    if engine is None:
        known = ", ".join(("auto", *ENGINES.names()))
        faults = "".join(f"; {fault}" for fault in ENGINES.faults)
        raise ConfigError(f"unknown engine '{name}'; expected one of: {known}{faults}")
    return engine
