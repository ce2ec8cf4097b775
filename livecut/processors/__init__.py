"""Frame processors, and `open_processor`, which chooses one."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from livecut.backgrounds.base import Background
from livecut.engines import open_engine
from livecut.engines.base import Engine
from livecut.errors import ConfigError, ModelError
from livecut.hardware import nvidia
from livecut.models import Target, find_model
from livecut.options import ProcessorOptions
from livecut.processors.base import FrameProcessor
from livecut.processors.cpu import CpuProcessor
from livecut.segmenter import Segmenter
from livecut.stats import Stats

if TYPE_CHECKING:
    from livecut.processors.cuda.processor import Weights


def open_processor(
    network: Target | Engine,
    *,
    background: Background,
    threads: int,
    temporal: bool,
    in_flight: int,
    stats: Stats,
    precision: str = ProcessorOptions.precision,
) -> FrameProcessor:
    """The processor for a target or an open engine; raises as `Segmenter` does.

    A `precision` other than auto is for a GPU that does all of it, or raises ConfigError.
    """
    weights = gpu_weights(network)
    if weights is None or not isinstance(network, Target):
        require_auto(precision, network)
        if isinstance(network, Target):
            network = open_engine(network, threads=threads)
        segmenter = Segmenter(engine=network, temporal=temporal, in_flight=in_flight, stats=stats)
        return CpuProcessor(segmenter, background, stats)
    from livecut.processors.cuda.processor import CudaProcessor

    return CudaProcessor(
        on_gpu(weights, network, precision),
        background,
        temporal=temporal,
        in_flight=in_flight,
        stats=stats,
    )


def require_auto(precision: str, network: Target | Engine) -> None:
    """Raise ConfigError for a `precision` that only a GPU has, where `gpu_weights` found none."""
    if precision == "auto":
        return
    given = "an open engine does"
    if isinstance(network, Target):
        given = f"model {network.model}, device {network.device} and engine {network.engine} do"
    raise ConfigError(
        f"precision {precision} is for PyTorch on an NVIDIA GPU, which {given} not give here; "
        "take auto"
    )


def on_gpu(weights: Path, target: Target, precision: str = ProcessorOptions.precision) -> Weights:
    """The network in a file that `gpu_weights` found, on the target's GPU.

    Raises ModelError, EngineError and ConfigError.
    """
    from livecut.network.base import torch_device
    from livecut.processors.cuda.processor import Weights
    from livecut.processors.cuda.streams import CudaDevice

    device = torch_device(target.default_to("cuda").device)
    return Weights(weights, CudaDevice(device, graph=nvidia.graph_wanted()), precision)


def gpu_weights(network: Target | Engine) -> Path | None:
    """The weights for a GPU on which PyTorch is to do all of the work; None where it cannot."""
    if not isinstance(network, Target) or not network.allows_pytorch:
        return None
    if network.kind not in ("auto", "cuda") or not nvidia.driver_loads():
        return None
    if find_spec("torch") is None or find_spec("safetensors") is None:
        return None
    try:
        weights = find_model(network.model, ".safetensors")
    except ModelError:
        return None
    import torch

    return weights if torch.cuda.is_available() else None
