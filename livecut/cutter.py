"""What cuts frames out and composites them: the CPU with any engine, or a GPU from end to end."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from livecut.backgrounds import Background
from livecut.engines import nvidia
from livecut.errors import ModelError
from livecut.frame import Cutout, Frame, Image
from livecut.models import find_model
from livecut.segmenter import Segmenter
from livecut.stats import Stats

if TYPE_CHECKING:
    from livecut.compositor.cuda import Weights


class Cutter(Protocol):
    """Frame in, cutout and composite out. One thread may `infer` while another does the rest."""

    description: str
    """What runs where, for people."""

    def reset(self) -> None:
        """Forget the frames before."""

    def infer(self, frame: Frame) -> Any:
        """The first half of `cut`: what `finish` is to be given."""

    def finish(self, found: Any, out: Image | None = None) -> Cutout:
        """The second half of `cut`, in the order of the frames."""

    def cut(self, frame: Frame, out: Image | None = None) -> Cutout:
        """A frame with its alpha, uint8 (H, W), written into `out` where that is given."""

    def compose(self, background: Background, cutout: Cutout, out: Image) -> None:
        """Write the composite of the cutout that was made last into `out`."""


def open_cutter(
    model: str | Path,
    *,
    background: Background,
    device: str,
    engine: str,
    threads: int,
    temporal: bool,
    in_flight: int,
    stats: Stats,
) -> Cutter:
    """The cutter for a model, device and engine, as `Segmenter` takes them; raises as it does."""
    weights = gpu_weights(model, device, engine)
    if weights is None:
        return Segmenter(
            model,
            device=device,
            engine=engine,
            threads=threads,
            temporal=temporal,
            in_flight=in_flight,
            stats=stats,
        )
    from livecut.compositor.cuda import DeviceCutter

    return DeviceCutter(
        on_gpu(weights, device),
        background,
        temporal=temporal,
        in_flight=in_flight,
        stats=stats,
    )


def on_gpu(weights: Path, device: str) -> Weights:
    """The network in a file that `gpu_weights` found, on the GPU. Raises ModelError and EngineError."""
    from livecut.compositor.cuda import Weights
    from livecut.compositor.queues import Cuda
    from livecut.network import torch_device

    return Weights(weights, Cuda(torch_device("cuda" if device == "auto" else device)))


def gpu_weights(model: str | Path, device: str, engine: str) -> Path | None:
    """The weights where all is to be done by PyTorch on a GPU; None where the Segmenter is to be used.

    A GPU that is named and cannot be had gives None: the Segmenter says what is missing.
    """
    onnx = engine == "onnx" or (engine == "auto" and Path(model).suffix == ".onnx")
    gpu = device == "auto" or device.startswith("cuda")
    if onnx or not gpu or not nvidia.driver_loads():
        return None
    if find_spec("torch") is None or find_spec("safetensors") is None:
        return None
    try:
        weights = find_model(model, ".safetensors")
    except ModelError:
        return None
    import torch

    return weights if torch.cuda.is_available() else None
