"""livecut cuts a person out of a live picture and blurs or replaces what is behind them.

The public names, loaded when first used, so that `import livecut` costs next to nothing:

    Pipeline      source, background and sinks, wired and run
    Segmenter     image in, alpha out
    stream        the frames of a source with their alphas, one by one
    composite     an image with its alpha over another background
    SharedEngine  one network for several pipelines
    run_all       several pipelines at once
    open_source   a camera, file, stream or pipe
    open_sink     a window, virtual camera, file or pipe
    and the errors of `livecut.errors`
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# ONNX Runtime from 1.31 on reports its use to its maker unless this stands before its import.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from livecut.errors import (
        ConfigError,
        EngineError,
        LivecutError,
        ModelError,
        SinkError,
        SourceError,
    )
    from livecut.pipeline.pipeline import Pipeline
    from livecut.pipeline.stills import composite
    from livecut.pipeline.stream import stream
    from livecut.pipeline.together import run_all
    from livecut.processors.shared import SharedEngine
    from livecut.segmenter import Segmenter
    from livecut.sinks import open_sink
    from livecut.sources import open_source

__all__ = [
    "ConfigError",
    "EngineError",
    "LivecutError",
    "ModelError",
    "Pipeline",
    "Segmenter",
    "SharedEngine",
    "SinkError",
    "SourceError",
    "composite",
    "open_sink",
    "open_source",
    "run_all",
    "stream",
]
__version__ = "0.1.0"

_HOMES = {
    "Pipeline": "pipeline.pipeline",
    "Segmenter": "segmenter",
    "SharedEngine": "processors.shared",
    "composite": "pipeline.stills",
    "open_sink": "sinks",
    "open_source": "sources",
    "run_all": "pipeline.together",
    "stream": "pipeline.stream",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'livecut' has no attribute '{name}'")
    return getattr(import_module(f"livecut.{_HOMES.get(name, 'errors')}"), name)
