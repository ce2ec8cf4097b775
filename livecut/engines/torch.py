"""PyTorch, on the CPU or on an NVIDIA GPU. Needs the extra `torch`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from livecut.errors import EngineError

try:
    import torch
except ImportError as error:
    raise EngineError(
        'the PyTorch engine needs torch; install it with: pip install "livecut[torch]"'
    ) from error

from livecut.network import Portable, references, torch_device
from livecut.network.weights import load_weights


class TorchEngine:
    """A network under PyTorch, from its safetensors file. See `livecut.engines.Engine`.

    One of `livecut.models.REFERENCES` by its name comes with torchvision's own weights.
    """

    def __init__(self, model: Path | str, *, device: str = "auto", threads: int = 0) -> None:
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
        where = (
            "the CPU" if self._device.type == "cpu" else torch.cuda.get_device_name(self._device)
        )
        self.description = f"PyTorch {torch.__version__} on {where}"

    def resize(self, width: int, height: int) -> None:
        """Allocate the buffers for an input of this size."""
        s = self._output_stride
        self.input: NDArray[np.uint8] = np.zeros((height, width, 3), np.uint8)
        self.output: NDArray[np.float32] = np.zeros((height // s, width // s), np.float32)
        self._in, self._out = (
            torch.from_numpy(self.input)[None],
            torch.from_numpy(self.output)[None],
        )

    def run(self) -> None:
        """Compute `output` from `input`. Raises EngineError."""
        try:
            with torch.inference_mode():
                self._out.copy_(self._network(self._in.to(self._device)))
        except RuntimeError as error:
            raise EngineError(f"the network failed: {str(error).splitlines()[0]}") from error
