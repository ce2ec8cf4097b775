"""PyTorch, on the CPU or on an NVIDIA GPU. Needs the extra `torch`."""

from __future__ import annotations

from pathlib import Path

from livecut.engines.base import MAX_BATCH, Batch, Engine
from livecut.errors import ConfigError, EngineError
from livecut.models import Target
from livecut.options import NetworkOptions

try:
    import torch
except ImportError as error:
    raise EngineError(
        'the PyTorch engine needs torch; install it with: pip install "livecut[torch]"'
    ) from error

from livecut.network.base import Portable, torch_device
from livecut.network.build import references
from livecut.network.weights import load_weights


class TorchBatch(Batch):
    """Pictures for a network, in buffers of the host."""

    def __init__(
        self,
        network: torch.nn.Module,
        device: torch.device,
        count: int,
        width: int,
        height: int,
        stride: int,
    ) -> None:
        """Allocate the buffers for a network on a device, see `Batch`."""
        super().__init__(count, width, height, stride)
        self._network, self._device = network, device
        self._in, self._out = torch.from_numpy(self.input), torch.from_numpy(self.output)

    def run(self) -> None:
        """Compute `output` from `input`. Raises EngineError."""
        try:
            with torch.inference_mode():
                self._out.copy_(self._network(self._in.to(self._device)))
        except RuntimeError as error:
            raise EngineError(f"the network failed: {str(error).splitlines()[0]}") from error


class TorchEngine(Engine):
    """A network under PyTorch, from its safetensors file.

    One of `livecut.models.REFERENCES` by its name comes with torchvision's own weights.
    """

    forms = ("torch",)
    help = "PyTorch, from .safetensors: all of a frame on an NVIDIA GPU, or a CPU"

    @classmethod
    def open(cls, target: Target, *, threads: int) -> TorchEngine:
        """Load a network, see `livecut.engines.open_engine`."""
        if target.kind not in ("auto", "cpu", "cuda"):
            raise ConfigError(f"PyTorch does not run on device {target.device}; give an .onnx file")
        model = target.model if target.reference else target.file()
        return cls(model, device=target.device, threads=threads)

    def __init__(
        self,
        model: Path | str,
        *,
        device: str = NetworkOptions.device,
        threads: int = NetworkOptions.threads,
    ) -> None:
        self._device = torch_device(device)
        if self._device.type == "cpu" and threads:
            torch.set_num_threads(threads)
        network, facts = (
            load_weights(model) if isinstance(model, Path) else references().pretrained(model)
        )
        self.area, self.stride = facts.area, network.stride
        self._output_stride = network.output_stride
        self._network = (
            Portable(network).to(self._device).to(memory_format=torch.channels_last).eval()
        )
        self.max_batch = 1 if self._device.type == "cpu" else MAX_BATCH
        where = (
            "the CPU" if self._device.type == "cpu" else torch.cuda.get_device_name(self._device)
        )
        self.description = f"PyTorch {torch.__version__} on {where}"

    def batch(self, count: int, width: int, height: int) -> TorchBatch:
        """Buffers for so many pictures of this size, which may run beside others."""
        return TorchBatch(self._network, self._device, count, width, height, self._output_stride)
