"""What cuts frames out and composites them: the CPU with any engine, or all of it on a GPU."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from livecut.backgrounds import Background
from livecut.engines import nvidia, split
from livecut.errors import EngineError, ModelError
from livecut.frame import Cutout, Frame, Image
from livecut.models import TORCHVISION, find_model
from livecut.segmenter import Segmenter
from livecut.stats import Stats


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
    background: Background,
    *,
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
        return without_torch(
            model,
            background,
            device=device,
            engine=engine,
            threads=threads,
            temporal=temporal,
            in_flight=in_flight,
            stats=stats,
        )
    from livecut.compositor.cuda import DeviceCutter
    from livecut.compositor.queues import Cuda
    from livecut.network import torch_device

    machine = Cuda(torch_device("cuda" if device == "auto" else device))
    return DeviceCutter(
        weights, machine, background, temporal=temporal, in_flight=in_flight, stats=stats
    )


def without_torch(
    model: str | Path,
    background: Background,
    *,
    device: str,
    engine: str,
    threads: int,
    **more: Any,
) -> Cutter:
    """ONNX Runtime on an NVIDIA GPU where that is to do all of it, else the Segmenter; as `open_cutter`.

    A GPU that is named and cannot be had is left to the Segmenter, which says what is missing.
    """
    others = Path(model).suffix == ".safetensors" or str(model).startswith(TORCHVISION)
    onnx = engine == "onnx" or (engine == "auto" and not others)
    kind, _ = split(device)
    if onnx and kind in ("auto", "cuda") and nvidia.driver_loads():
        from livecut.compositor.ort import OrtCutter
        from livecut.engines.places import Gpu

        try:
            place = Gpu("cuda" if kind == "auto" else device)
            return OrtCutter(find_model(model), place, background, **more)
        except EngineError:
            if kind != "auto":
                raise
    return Segmenter(model, device=device, engine=engine, threads=threads, **more)


def gpu_weights(model: str | Path, device: str, engine: str) -> Path | None:
    """The weights where all is to be done by PyTorch on a GPU; None where that is not to be or cannot."""
    onnx = engine == "onnx" or (engine == "auto" and Path(model).suffix == ".onnx")
    gpu = device.partition(":")[0] in ("auto", "cuda")
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
