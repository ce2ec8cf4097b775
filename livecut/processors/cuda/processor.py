"""Frames through `livecut.processors.cuda.compositor` on three streams: copy in, compute, copy out.

A ring of transfers holds the frames in flight. The host waits for one event a frame, the one after
which the frame's picture has come down.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from livecut.backgrounds.base import Background
from livecut.backgrounds.picture import PictureBackground
from livecut.errors import EngineError
from livecut.frame import BGR, BGRA, NV12, YUYV, Buffer, Cutout, Frame, Image, PixelFormat, Size
from livecut.kernels.pixels import convert, to_bgr
from livecut.models import input_size
from livecut.network.weights import load_weights
from livecut.options import ProcessorOptions
from livecut.processors.cuda.buffers import Transfer, frame_buffers, output_buffers
from livecut.processors.cuda.compositor import Compositor
from livecut.processors.cuda.precision import choose_precision, planes_dtype
from livecut.processors.cuda.scene import Scene, scene_of
from livecut.processors.cuda.streams import Device
from livecut.stats import Stats


class Weights:
    """The network in a safetensors file on a device, for any number of processors at once.

    Each of them has streams, buffers and a graph of its own; they do not batch. A graph's launch
    costs the host the same for one frame or many; the kernels of one frame leave most of a large
    GPU idle, which the graphs of other streams fill, whatever their sizes and backgrounds; and so
    no stream waits for another, nor shares its failures. `precision` is that of `choose_precision`.
    Raises ModelError, ConfigError, and EngineError where the device fails.
    """

    def __init__(
        self, path: Path, device: Device, precision: str = ProcessorOptions.precision
    ) -> None:
        network, facts = load_weights(path)
        network.requires_grad_(False)
        self.device, self.area, self.stride = device, facts.area, network.stride
        with failures():
            self.network, chosen = choose_precision(network, device, precision)
        self.dtype = planes_dtype(device.dtype, precision)
        """Type of the planes of the frame's size."""
        self.description = (
            f"PyTorch {torch.__version__} on {device.name}, {str(chosen).removeprefix('torch.')}"
        )
        self.building = threading.Lock()
        """Held while a graph is captured, for which the whole device is waited for: CUDA refuses
        that wait while another capture is under way."""


class CudaProcessor:
    """A `FrameProcessor` that cuts frames out and composites them on a device.

    The frames in flight must be of one size. Raises EngineError where the device fails.
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
        self._weights, self._device = weights, weights.device
        self._temporal, self._in_flight = temporal, in_flight
        self._stats = stats or Stats()
        self.background = background
        self.description = weights.description
        self.mark: Callable[[str], object] = lambda stage: None
        """`Compositor.mark` of every compositor to come."""
        with failures():
            self._copy_in, self._compute, self._copy_out = (self._device.stream() for _ in range(3))
        self._output = BGRA if background.transparent else BGR
        self._built: tuple[Size, PixelFormat, Scene] | None = None
        self._size = (0, 0)
        self._transfers: Sequence[Transfer] = ()
        self._count = 0
        self._steady = False
        self._shown: tuple[Background, int] | None = None
        """Background, and the number of its picture, that is on the device."""
        self._down: Transfer | None = None
        """The transfer that `compose` is to read."""
        self._landed: Frame | None = None
        """The frame whose composite lies there."""
        self._backgrounds = threading.Lock()
        """Held while a background makes a picture: `infer` and `compose` may be on two threads."""

    def deliver(self, pixel_format: PixelFormat) -> PixelFormat:
        """Make the composites of frames sent from now on in this format."""
        self._output = pixel_format
        return pixel_format

    def frames(self, pixel_format: PixelFormat, size: Size, count: int) -> list[Buffer]:
        """Buffers for frames of a format in pinned memory."""
        with failures():
            return frame_buffers(self._device, pixel_format, size, count)

    def outputs(self, pixel_format: PixelFormat, size: Size, count: int) -> list[Buffer]:
        """Buffers for outputs of a format in pinned memory."""
        with failures():
            return output_buffers(self._device, pixel_format, size, count)

    def reset(self) -> None:
        """Forget the frames before."""
        self._steady = False

    def infer(self, frame: Frame, out: Buffer | None = None) -> Transfer:
        """Send a frame on its way and return at once; the device does all but the handing over.

        `out` is the buffer that `finish` and `compose` will be given: alpha and composite come down
        to it where it is pinned. Raises EngineError, and ConfigError where the background fails.
        """
        start = time.perf_counter()
        background, output = self.background, self._output
        scene = scene_of(background, output)
        with failures():
            self._build((frame.shape[1], frame.shape[0]), frame.pixel_format, scene)
            transfer = self._transfers[self._count % self._in_flight]
            self._count += 1
            if transfer.frame is not None:  # given up, and perhaps under way still
                transfer.wait()
            transfer.background = background if scene is not None else None
            transfer.take(frame, out if scene is not None else None, output)
            transfer.up.header[:] = frame.index, self._steady
            transfer.forget()
            self._show(transfer.background, frame.position)
            self._launch(transfer)
        self._steady = True
        self._stats.add("preprocess", time.perf_counter() - start)
        return transfer

    def finish(self, inference: Transfer, out: Buffer | None = None) -> Cutout:
        """The cutout of a frame that `infer` sent, its alpha in `out`. Raises EngineError."""
        start, transfer = time.perf_counter(), inference
        frame, self._down = transfer.frame, None
        if frame is None:
            raise EngineError("this frame was handed over before")
        with failures():
            transfer.wait()
        transfer.frame = None
        receipt = transfer.receipt()
        if receipt is None:
            self.reset()
            raise EngineError("the network gave no valid alpha (NaN or outside 0 to 1)")
        if receipt != frame.index:
            raise EngineError(f"frame {receipt} came from the device in place of {frame.index}")
        alpha = out.alpha if out is not None else None
        if alpha is None:
            alpha = np.empty(frame.shape, np.uint8)
        if out is None or out.memory is not transfer.down:
            np.copyto(alpha, transfer.alpha())
        self._down, self._landed = transfer, frame
        self._stats.add("network", time.perf_counter() - start)
        return Cutout(frame, alpha)

    def cut(self, frame: Frame, out: Buffer | None = None) -> Cutout:
        """`infer` and `finish`, one after the other."""
        return self.finish(self.infer(frame, out), out)

    def compose(self, cutout: Cutout, out: Buffer) -> None:
        """Write the composite of the cutout that `finish` gave last into `out`, as it came down.

        Its background is that of the moment when the frame was sent; one that the device does not
        know is put there by the host, and is that of now. Raises EngineError for another cutout.
        """
        begun, behind = time.perf_counter(), 0.0
        transfer, frame = self._down, cutout.frame
        if transfer is None or self._landed is not frame:
            raise EngineError(f"the composite that came down is not that of frame {frame.index}")
        if transfer.background is None:
            behind = self._compose_on_host(transfer, cutout, out)
        elif out.memory is not transfer.down:
            np.copyto(out.picture, transfer.picture())
        if transfer.frame is not None:
            raise EngineError(f"frame {transfer.frame.index} was sent over frame {frame.index}")
        self._stats.composed(begun, behind)

    def _compose_on_host(self, transfer: Transfer, cutout: Cutout, out: Buffer) -> float:
        """Compose the bytes that went up on the host; the seconds that the background took."""
        frame, background = cutout.frame, self.background
        image = to_bgr(transfer.image(frame.pixel_format), frame.pixel_format)
        channels = 4 if transfer.pixel_format.transparent else 3
        composite = np.empty((*frame.shape, channels), np.uint8)
        with self._backgrounds:
            staged = Frame(image, frame.index, frame.timestamp, frame.position)
            background.compose(Cutout(staged, cutout.alpha), composite)
        np.copyto(out.picture, convert(composite, transfer.pixel_format))
        return background.seconds

    def _show(self, background: Background | None, position: float) -> None:
        """Send the picture behind the person, where there is one and it is not there yet."""
        if not isinstance(background, PictureBackground):
            return
        with self._backgrounds:
            picture = background.picture(position)
            if self._shown == (background, background.shown):
                return
            self._send(picture)
            self._shown = background, background.shown

    def _send(self, picture: Image) -> None:
        """Copy a picture BGR (H, W, 3) to where it stands behind the frames sent from now on."""
        self._sent.synchronize()
        np.copyto(self._picture.numpy().reshape(picture.shape), picture)
        target = self._compositor.picture.view(-1)
        self._compute.run(lambda: target.copy_(self._picture, non_blocking=True))
        self._compute.record(self._sent)

    def _launch(self, transfer: Transfer) -> None:
        compositor = self._compositor
        sent, count = len(compositor.incoming), len(compositor.outgoing)
        there, here = transfer.device_in[:sent], transfer.up.tensor[:sent]
        self._copy_in.run(lambda: there.copy_(here, non_blocking=True))
        self._copy_in.record(transfer.arrived)
        self._compute.wait(transfer.arrived)
        self._compute.run(lambda: compositor.incoming.copy_(there))
        self._compute.run(self._run)
        self._compute.run(lambda: transfer.device_out[:count].copy_(compositor.outgoing))
        self._compute.record(transfer.made)
        self._copy_out.wait(transfer.made)
        down, up = transfer.down.tensor[:count], transfer.device_out[:count]
        self._copy_out.run(lambda: down.copy_(up, non_blocking=True))
        self._copy_out.record(transfer.landed)

    def _build(self, size: Size, pixel_format: PixelFormat, scene: Scene | None) -> None:
        """Make everything for another configuration than before; frames in flight come down first.

        Without a scene the last one is kept; only its alpha is used.
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
            self._transfers = [Transfer(self._device, size) for _ in range(self._in_flight)]
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


@contextmanager
def failures() -> Iterator[None]:
    """Makes EngineErrors of what the device and PyTorch raise."""
    try:
        yield
    except RuntimeError as error:
        raise EngineError(f"the device failed: {str(error).splitlines()[0]}") from error
