"""Frames through `livecut.compositor.device` on three queues: copy in, compute, copy out.

A ring of slots holds the frames in flight. The host waits for one event a frame, the one after which
the frame's picture has come down.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from livecut.backgrounds import Background, Blur, Still, Transparent, Video
from livecut.compositor.device import HEADER, INVALID, Compositor, Scene
from livecut.compositor.queues import Machine
from livecut.errors import EngineError
from livecut.frame import Cutout, Frame, Image
from livecut.models import input_size
from livecut.network import Portable
from livecut.network.base import Network
from livecut.network.weights import load_weights
from livecut.stats import Stats

HALF_TOLERANCE = 8 / 255
"""How far alpha of a half-precision network may lie from that of float32, on a picture of noise."""


class Slot:
    """A place for one frame in flight: its bytes on both sides, and three points on its way."""

    def __init__(self, machine: Machine, size: tuple[int, int]) -> None:
        width, height = size
        pixels = width * height
        count_in, count_out = HEADER + 3 * pixels, HEADER + (1 + 4) * pixels
        self.host_in, self.host_out = machine.host(count_in), machine.host(count_out)
        self.device_in = torch.zeros(count_in, dtype=torch.uint8, device=machine.device)
        self.device_out = torch.zeros(count_out, dtype=torch.uint8, device=machine.device)
        self.arrived, self.made, self.landed = machine.event(), machine.event(), machine.event()
        sent, got = self.host_in.numpy(), self.host_out.numpy()
        self.header = sent[:HEADER].view(np.int64)
        self.image: Image = sent[HEADER:].reshape(height, width, 3)
        self.receipt = got[:HEADER].view(np.int64)
        self.alpha: Image = got[HEADER : HEADER + pixels].reshape(height, width)
        self._pictures: list[Image] = [
            got[HEADER + pixels :][: c * pixels].reshape(height, width, c) for c in (3, 4)
        ]
        self.frame: Frame | None = None
        """The frame that is in flight here."""
        self.background: Background | None = None
        """What the frame is composited over; None where only its alpha is made."""

    def picture(self, channels: int) -> Image:
        """The composite that has come down, of 3 or 4 channels."""
        return self._pictures[channels - 3]


class Weights:
    """The network in a safetensors file on a device, for any number of cutters at once.

    Each of them has queues, buffers and a graph of its own; they do not batch. A graph's launch costs
    the host the same for one frame or many; the kernels of one frame leave most of a large GPU idle,
    which the graphs of other streams fill, whatever their sizes and backgrounds; and so no stream waits
    for another, nor shares its failures. Raises ModelError, and EngineError where the device fails.
    """

    def __init__(self, path: Path, machine: Machine) -> None:
        network, facts = load_weights(path)
        network.requires_grad_(False)
        self.machine, self.area, self.stride = machine, facts.area, network.stride
        with failures():
            self.network, precision = choose_precision(network, machine)
        self.description = f"PyTorch {torch.__version__} on {machine.name}, {str(precision).removeprefix('torch.')}"
        self.building = threading.Lock()
        """Held while a graph is captured, for which the whole device is waited for: CUDA refuses that
        wait while another capture is under way."""


class DeviceCutter:
    """Cuts frames out and composites them on a device. See `livecut.cutter.Cutter`.

    `background` stands behind the first frames. The frames in flight must be of one size. Raises
    EngineError where the device fails.
    """

    def __init__(
        self,
        weights: Weights,
        background: Background,
        *,
        temporal: bool = False,
        in_flight: int = 1,
        stats: Stats | None = None,
    ) -> None:
        self._weights, self._machine = weights, weights.machine
        self._temporal, self._in_flight = temporal, in_flight
        self._stats = stats or Stats()
        with failures():
            self._copy_in, self._compute, self._copy_out = (self._machine.queue() for _ in range(3))
        self.description = weights.description
        self._size = (0, 0)
        self._scene = Scene("transparent")
        self._background = background
        self._shown: tuple[Background, int] | None = None
        self._count = 0
        self._steady = False
        self._down: Slot | None = None
        """What `compose` is to read."""
        self._backgrounds = threading.Lock()
        """Held while a background, which may be read by both halves' threads, makes a picture."""

    def reset(self) -> None:
        """Forget the frames before."""
        self._steady = False

    def infer(self, frame: Frame) -> Slot:
        """Send a frame on its way and return at once; all but the handing over is done on the device.

        Raises EngineError, and ConfigError where the background fails.
        """
        start = time.perf_counter()
        background = self._background
        scene = scene_of(background)
        size = frame.image.shape[1], frame.image.shape[0]
        with failures():
            if size != self._size or (scene is not None and scene != self._scene):
                with self._weights.building:
                    self._build(size, scene or self._scene)
            slot = self._slots[self._count % self._in_flight]
            self._count += 1
            if slot.frame is not None:  # given up: its copies may be under way still
                slot.landed.synchronize()
            slot.frame, slot.background = frame, background if scene is not None else None
            np.copyto(slot.image, frame.image)
            slot.header[:] = frame.index, self._steady
            slot.receipt[0] = INVALID
            self._show(slot.background, frame.position)
            self._launch(slot)
        self._steady = True
        self._stats.add("preprocess", time.perf_counter() - start)
        return slot

    def _launch(self, slot: Slot) -> None:
        compositor, count = self._compositor, len(self._compositor.outgoing)
        self._copy_in.run(lambda: slot.device_in.copy_(slot.host_in, non_blocking=True))
        self._copy_in.record(slot.arrived)
        self._compute.wait(slot.arrived)
        self._compute.run(lambda: compositor.incoming.copy_(slot.device_in))
        self._compute.run(self._run)
        self._compute.run(lambda: slot.device_out[:count].copy_(compositor.outgoing))
        self._compute.record(slot.made)
        self._copy_out.wait(slot.made)
        down, up = slot.host_out[:count], slot.device_out[:count]
        self._copy_out.run(lambda: down.copy_(up, non_blocking=True))
        self._copy_out.record(slot.landed)

    def _build(self, size: tuple[int, int], scene: Scene) -> None:
        """Make everything for a configuration; frames in flight come down first."""
        self._machine.settle()
        resized, self._size = size != self._size, (0, 0)  # what fails half-way is begun again
        if resized:
            self._slots = [Slot(self._machine, size) for _ in range(self._in_flight)]
            self._sent = self._machine.event()
            self._picture = self._machine.host(3 * size[0] * size[1])
        self._compositor = Compositor(
            self._weights.network,
            size,
            input_size(*size, self._weights.area, self._weights.stride),
            scene,
            device=self._machine.device,
            dtype=self._machine.dtype,
            temporal=self._temporal,
        )
        self._run = self._machine.capture(self._compositor.run)
        self._size, self._scene, self._shown = size, scene, None
        self.reset()

    def _show(self, background: Background | None, position: float) -> None:
        """Bring a background's picture to the device where it is another than before."""
        if not isinstance(background, Still | Video):
            return
        with self._backgrounds:
            picture = background.picture(position)
            if self._shown == (background, background.shown):
                return
            self._sent.synchronize()
            np.copyto(self._picture.numpy().reshape(picture.shape), picture)
            self._shown = background, background.shown
        target = self._compositor.picture.view(-1)
        self._compute.run(lambda: target.copy_(self._picture, non_blocking=True))
        self._compute.record(self._sent)

    def finish(self, slot: Slot, out: Image | None = None) -> Cutout:
        """Wait for a frame that `infer` sent: its cutout, the alpha in `out`. Raises EngineError."""
        start = time.perf_counter()
        frame, self._down = slot.frame, None
        if frame is None:
            raise EngineError("this frame was handed over before")
        with failures():
            slot.landed.synchronize()
        slot.frame = None
        receipt = int(slot.receipt[0])
        if receipt == INVALID:
            self.reset()
            raise EngineError("the network gave no valid alpha (NaN or outside 0 to 1)")
        if receipt != frame.index:
            raise EngineError(f"frame {receipt} came from the device in place of {frame.index}")
        if out is None:
            out = np.empty(slot.alpha.shape, np.uint8)
        np.copyto(out, slot.alpha)
        self._down = slot
        self._landed = frame
        self._stats.add("network", time.perf_counter() - start)
        return Cutout(frame, out)

    def cut(self, frame: Frame, out: Image | None = None) -> Cutout:
        """`infer` and `finish`, one after the other."""
        return self.finish(self.infer(frame), out)

    def compose(self, background: Background, cutout: Cutout, out: Image) -> None:
        """Write the composite of the cutout that `finish` gave last into `out`, as the device made it.

        A `background` that is new stands behind the frames that are sent from now on; one that has no
        scene is put there by the host. Raises EngineError for another cutout.
        """
        slot, frame = self._down, cutout.frame
        if slot is None or self._landed is not frame:
            raise EngineError(f"the composite that came down is not that of frame {frame.index}")
        if slot.background is None:
            staged = Frame(slot.image, frame.index, frame.timestamp, frame.position)
            with self._backgrounds:
                background.compose(Cutout(staged, cutout.alpha), out)
        else:
            np.copyto(out, slot.picture(out.shape[2]))
        if slot.frame is not None:
            raise EngineError(f"frame {slot.frame.index} was sent over frame {frame.index}")
        self._background = background


def scene_of(background: Background) -> Scene | None:
    """The scene that a background is on a device; None for one that the host is to compose."""
    if isinstance(background, Blur):
        return Scene("blur", background.strength)
    if isinstance(background, Still | Video):
        return Scene("picture")
    return Scene("transparent") if isinstance(background, Transparent) else None


def choose_precision(network: Network, machine: Machine) -> tuple[Portable, torch.dtype]:
    """The network on the machine, in the first precision that is safe there, and that precision.

    On a GPU that is float16 where alpha stays within `HALF_TOLERANCE` of float32's, bfloat16 where
    float16 overflows, else float32, which is also that of a CPU.
    """
    exact = Portable(network).to(machine.device).to(memory_format=torch.channels_last).eval()
    if machine.dtype is torch.float32:
        return exact, torch.float32
    shape = (1, 9 * network.stride, 16 * network.stride, 3)
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    sample = torch.from_numpy(noise).to(machine.device)
    expected = exact(sample)
    for dtype in (torch.float16, torch.bfloat16):
        half = Portable(copy.deepcopy(exact.network), dtype).to(machine.device).eval()
        if (half(sample).float() - expected).abs().max() <= HALF_TOLERANCE:  # never true of a NaN
            return half, dtype
    return exact, torch.float32


@contextmanager
def failures() -> Iterator[None]:
    """Makes EngineErrors of what the device and PyTorch raise."""
    try:
        yield
    except RuntimeError as error:
        raise EngineError(f"the device failed: {str(error).splitlines()[0]}") from error
