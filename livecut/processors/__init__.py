"""Frame processors, and `open_processor`, which chooses one."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from livecut.backgrounds.base import Background
from livecut.engines.base import Engine
from livecut.errors import ConfigError, ModelError
from livecut.hardware import nvidia
from livecut.models import find_model
from livecut.processors.base import FrameProcessor
from livecut.processors.cpu import CpuProcessor
from livecut.segmenter import Segmenter
from livecut.stats import Stats

if TYPE_CHECKING:
    from livecut.processors.cuda.processor import Weights


def open_processor(
    model: str | Path,
    *,
    background: Background,
    device: str,
    engine: str | Engine,
    threads: int,
    temporal: bool,
    in_flight: int,
    stats: Stats,
    precision: str = "auto",
) -> FrameProcessor:
    """The processor for a model, device and engine, as `Segmenter` takes them; raises as it does.

    A `precision` other than auto is for a GPU that does all of it, or raises ConfigError.
    """
    weights = gpu_weights(model, device, engine)
    if weights is None:
        require_auto(precision, model, device, engine)
        segmenter = Segmenter(
            model,
            device=device,
            engine=engine,
            threads=threads,
            temporal=temporal,
            in_flight=in_flight,
            stats=stats,
        )
        return CpuProcessor(segmenter, background, stats)
    from livecut.processors.cuda.processor import CudaProcessor

    return CudaProcessor(
        on_gpu(weights, device, precision),
        background,
        temporal=temporal,
        in_flight=in_flight,
        stats=stats,
    )


def require_auto(precision: str, model: str | Path, device: str, engine: str | Engine) -> None:
    """Raises ConfigError for a `precision` that only a GPU has, where `gpu_weights` found none."""
    if precision != "auto":
        raise ConfigError(
            f"precision {precision} is for PyTorch on an NVIDIA GPU, which model {model}, device "
            f"{device} and engine {engine} do not give here; take auto"
        )


def on_gpu(weights: Path, device: str, precision: str = "auto") -> Weights:
    """The network in a file that `gpu_weights` found, on the GPU.

    Raises ModelError, EngineError and ConfigError.
    """
    from livecut.network.base import torch_device
    from livecut.processors.cuda.processor import Weights
    from livecut.processors.cuda.streams import CudaDevice

    machine = CudaDevice(
        torch_device("cuda" if device == "auto" else device), graph=nvidia.graph_wanted()
    )
    return Weights(weights, machine, precision)


def gpu_weights(model: str | Path, device: str, engine: str | Engine) -> Path | None:
    """The weights where all is to be done by PyTorch on a GPU; None where that is not to be or cannot."""
    if not isinstance(engine, str):
        return None
    onnx = engine == "auto" and Path(model).suffix == ".onnx"
    gpu = device.partition(":")[0] in ("auto", "cuda")
    if engine not in ("auto", "torch") or onnx or not gpu or not nvidia.driver_loads():
        return None
    if find_spec("torch") is None or find_spec("safetensors") is None:
        return None
    try:
        weights = find_model(model, ".safetensors")
    except ModelError:
        return None
    import torch

    return weights if torch.cuda.is_available() else None
