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

from livecut.network import Portable
from livecut.training.export import load_weights


class TorchEngine:
    """A network under PyTorch, from its safetensors file. See `livecut.engines.Engine`."""

    def __init__(self, path: Path, *, device: str = "auto", threads: int = 0) -> None:
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device.startswith("cuda"):
            count = torch.cuda.device_count() if torch.cuda.is_available() else 0
            if int(device.partition(":")[2] or 0) >= count:
                raise EngineError(
                    f"device {device}: PyTorch {torch.__version__} sees {count} CUDA devices here; "
                    "name one of them, or take --device cpu"
                )
        elif threads:
            torch.set_num_threads(threads)
        network, facts = load_weights(path)
        self.area, self.stride = facts.area, network.stride
        self._output_stride = network.output_stride
        self._device = torch.device(device)
        self._network = (
            Portable(network).to(self._device).to(memory_format=torch.channels_last).eval()
        )
        where = "the CPU" if device == "cpu" else torch.cuda.get_device_name(self._device)
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
