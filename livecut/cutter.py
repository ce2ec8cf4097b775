"""What cuts frames out and composites them: the CPU with any engine, or all of it on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from livecut.backgrounds import Background
from livecut.engines import nvidia
from livecut.errors import ConfigError, ModelError
from livecut.form import Form, Size
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
    takes: Sequence[Form]
    """The forms in which a frame may be."""

    def deliver(self, form: Form) -> Form:
        """Ask for composites in a form: that in which `compose` writes them from now on.

        Where the one asked for is not made here, it is BGR, or BGRA for a transparent one.
        """

    def frames(self, form: Form, size: Size, count: int) -> list[Image]:
        """Buffers for frames of a form, from which they are taken up fastest."""

    def outputs(self, form: Form, size: Size, count: int) -> list[tuple[Image, Image]]:
        """Pairs of alpha and picture, for `cut` and `compose`, into which both are written fastest."""

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
    precision: str = "auto",
) -> Cutter:
    """The cutter for a model, device and engine, as `Segmenter` takes them; raises as it does.

    A `precision` other than auto is for a GPU that does all of it, or raises ConfigError.
    """
    weights = gpu_weights(model, device, engine)
    if weights is None:
        require_auto(precision, model, device, engine)
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
        on_gpu(weights, device, precision),
        background,
        temporal=temporal,
        in_flight=in_flight,
        stats=stats,
    )


def require_auto(precision: str, model: str | Path, device: str, engine: str) -> None:
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
    from livecut.compositor.cuda import Weights
    from livecut.compositor.queues import Cuda
    from livecut.network import torch_device

    machine = Cuda(
        torch_device("cuda" if device == "auto" else device), graph=nvidia.graph_wanted()
    )
    return Weights(weights, machine, precision)


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
