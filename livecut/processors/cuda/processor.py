"""Frames through `livecut.processors.cuda.compositor` on three streams: copy in, compute, copy out.

A ring of slots holds the frames in flight. The host waits for one event a frame, the one after which
the frame's picture has come down.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import torch

from livecut.backgrounds.base import Background
from livecut.backgrounds.transparent import Transparent
from livecut.errors import EngineError
from livecut.frame import BGR, BGRA, NV12, YUYV, Frame, Image, PixelFormat, Size
from livecut.models import input_size
from livecut.network.weights import load_weights
from livecut.processors.cuda.buffers import PinnedBuffer
from livecut.processors.cuda.compositor import Compositor
from livecut.processors.cuda.precision import choose_precision, planes_dtype
from livecut.processors.cuda.remote import RemoteProcessor
from livecut.processors.cuda.scene import Scene, scene_of
from livecut.processors.cuda.slots import Slot, packet
from livecut.processors.cuda.streams import Device
from livecut.stats import Stats


class Weights:
    """The network in a safetensors file on a device, for any number of processors at once.

    Each of them has streams, buffers and a graph of its own; they do not batch. A graph's launch costs
    the host the same for one frame or many; the kernels of one frame leave most of a large GPU idle,
    which the graphs of other streams fill, whatever their sizes and backgrounds; and so no stream waits
    for another, nor shares its failures. `precision` is that of `choose_precision`. Raises ModelError,
    ConfigError, and EngineError where the device fails.
    """

    def __init__(self, path: Path, device: Device, precision: str = "auto") -> None:
        network, facts = load_weights(path)
        network.requires_grad_(False)
        self.device, self.area, self.stride = device, facts.area, network.stride
        with failures():
            self.network, chosen = choose_precision(network, device, precision)
        self.dtype = planes_dtype(device.dtype, precision)
        """Of planes of the frame's size."""
        self.description = (
            f"PyTorch {torch.__version__} on {device.name}, {str(chosen).removeprefix('torch.')}"
        )
        self.building = threading.Lock()
        """Held while a graph is captured, for which the whole device is waited for: CUDA refuses that
        wait while another capture is under way."""


class CudaProcessor(RemoteProcessor[Slot]):
    """Cuts frames out and composites them on a device. The frames in flight must be of one size.

    Raises EngineError where the device fails.
    """

    takes: Sequence[PixelFormat] = (BGR, YUYV, NV12)

    def __init__(
        self,
        weights: Weights,
        background: Background,
        *,
        temporal: bool = False,
        in_flight: int = 1,
        stats: Stats | None = None,
    ) -> None:
        super().__init__(background, temporal=temporal, in_flight=in_flight, stats=stats)
        self._weights, self._device = weights, weights.device
        with failures():
            self._copy_in, self._compute, self._copy_out = (self._device.stream() for _ in range(3))
        self.description = weights.description
        self.mark: Callable[[str], object] = lambda stage: None
        """The `mark` of every compositor to come."""
        self._output = BGRA if isinstance(background, Transparent) else BGR
        self._built: tuple[Size, PixelFormat, Scene] | None = None
        self._size = (0, 0)

    def deliver(self, pixel_format: PixelFormat) -> PixelFormat:
        """Make composites in this form from now on; those of frames under way are not."""
        self._output = pixel_format
        return pixel_format

    def failures(self) -> AbstractContextManager[None]:
        """Makes EngineErrors of what the device and PyTorch raise."""
        return failures()

    def _packet(self, count: int) -> PinnedBuffer:
        with failures():
            return packet(self._device, count)

    def infer(self, frame: Frame, out: Image | None = None) -> Slot:
        start = time.perf_counter()
        background, output = self._background, self._output
        scene = scene_of(background, output)
        with failures():
            self._build((frame.shape[1], frame.shape[0]), frame.pixel_format, scene)
            slot = self._load(frame, background if scene is not None else None, output, out)
            slot.forget()
            self._show(slot.background, frame.position)
            self._launch(slot)
        self._steady = True
        self._stats.add("preprocess", time.perf_counter() - start)
        return slot

    def _launch(self, slot: Slot) -> None:
        compositor = self._compositor
        sent, count = len(compositor.incoming), len(compositor.outgoing)
        there, here = slot.device_in[:sent], slot.up.memory[:sent]
        self._copy_in.run(lambda: there.copy_(here, non_blocking=True))
        self._copy_in.record(slot.arrived)
        self._compute.wait(slot.arrived)
        self._compute.run(lambda: compositor.incoming.copy_(there))
        self._compute.run(self._run)
        self._compute.run(lambda: slot.device_out[:count].copy_(compositor.outgoing))
        self._compute.record(slot.made)
        self._copy_out.wait(slot.made)
        down, up = slot.down.memory[:count], slot.device_out[:count]
        self._copy_out.run(lambda: down.copy_(up, non_blocking=True))
        self._copy_out.record(slot.landed)

    def _build(self, size: Size, pixel_format: PixelFormat, scene: Scene | None) -> None:
        """Make everything for another configuration than before; frames in flight come down first.

        Without a scene that of before is good, of which the alpha alone is used.
        """
        if self._built and scene is None:
            scene = self._built[2]
        wanted = size, pixel_format, scene or Scene("picture")
        if wanted == self._built:
            return
        with self._weights.building:
            self._device.synchronize_all()
            self._built = None  # what fails half-way is begun again
            self._make(*wanted)
        self._built, self._shown = wanted, None
        self.reset()

    def _make(self, size: Size, pixel_format: PixelFormat, scene: Scene) -> None:
        if size != self._size:
            self._size = (0, 0)
            self._slots = [Slot(self._device, size) for _ in range(self._in_flight)]
            self._sent = self._device.event()
            self._picture = self._device.host(3 * size[0] * size[1])
            self._size = size
        self._compositor = Compositor(
            self._weights.network,
            size,
            input_size(*size, self._weights.area, self._weights.stride),
            scene,
            pixel_format,
            device=self._device.device,
            dtype=self._weights.dtype,
            temporal=self._temporal,
        )
        self._compositor.mark = self.mark
        self._run = self._device.capture(self._compositor.run)

    def _send(self, picture: Image) -> None:
        self._sent.synchronize()
        np.copyto(self._picture.numpy().reshape(picture.shape), picture)
        target = self._compositor.picture.view(-1)
        self._compute.run(lambda: target.copy_(self._picture, non_blocking=True))
        self._compute.record(self._sent)


@contextmanager
def failures() -> Iterator[None]:
    """Makes EngineErrors of what the device and PyTorch raise."""
    try:
        yield
    except RuntimeError as error:
        raise EngineError(f"the device failed: {str(error).splitlines()[0]}") from error
