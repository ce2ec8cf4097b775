"""Engines, and `open_engine`, which makes one for a model and a device."""

from __future__ import annotations

from livecut.engines.base import Engine
from livecut.errors import ConfigError, EngineError
from livecut.models import Target
from livecut.options import NetworkOptions
from livecut.registry import Registry, one_line_errors

ENGINES = Registry[type[Engine]](
    Engine,
    {
        "onnx": "livecut.engines.onnx:OnnxEngine",
        "torch": "livecut.engines.torch:TorchEngine",
    },
    kind="engine",
    group="livecut.engines",
)


def open_engine(target: Target, *, threads: int = NetworkOptions.threads) -> Engine:
    """Load the network of a target.

    Its engine is auto or a name in `ENGINES`; its device auto (an NVIDIA GPU where one is
    available, else the CPU), cpu or cuda, for ONNX Runtime also tensorrt, coreml and directml. A
    device that is named is available or raises. For a shipped name on the CPU the int8 network is
    taken where there is one and the CPU is fast at it. `threads` counts the CPU's, 0: half of the
    cores, at most 4. Raises ModelError, EngineError and ConfigError.
    """
    engine = find_engine(target)
    with one_line_errors(engine, f"engine '{target.engine}'", EngineError):
        return engine.open(target, threads=threads)


def find_engine(target: Target) -> type[Engine]:
    """The class of a target's engine; for auto the one for its model. Raises ConfigError."""
    name = target.engine
    if name == "auto":
        name = "torch" if target.pytorch else "onnx"
    engine = ENGINES.named(name)
    if engine is None:
        known = ", ".join(("auto", *ENGINES.names()))
        faults = "".join(f"; {fault}" for fault in ENGINES.faults)
        raise ConfigError(f"unknown engine '{name}'; expected one of: {known}{faults}")
    return engine
