"""Frames through `livecut.compositor.graph` under ONNX Runtime: all of it on a GPU, without PyTorch.

One stream does everything in the order of the frames; a ring of slots of pinned memory holds those in
flight. The host waits for one event a frame, the one after which the frame's packet has come down.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from livecut.backgrounds import Background, Still, Video
from livecut.compositor.graph import HEADER, Scene, Size, Writer, scene_of
from livecut.engines.fixed import choose_precision, description, read_network
from livecut.engines.places import Place, Program
from livecut.errors import EngineError
from livecut.form import BGR, BGRA, Form
from livecut.frame import Cutout, Frame, Image
from livecut.models import input_size
from livecut.stats import Stats


class Slot:
    """A place for one frame in flight: its packets in the host's memory."""

    def __init__(self, place: Place, size: Size) -> None:
        (width, height), pixels = size, size[0] * size[1]
        self.sent, self.got = place.host(HEADER + 3 * pixels), place.host(HEADER + (1 + 4) * pixels)
        self.index = self.sent[:8].view(np.int64)
        self.image: Image = self.sent[HEADER:].reshape(height, width, 3)
        self.receipt = self.got[:8].view(np.int64)
        self.alpha: Image = self.got[HEADER : HEADER + pixels].reshape(height, width)
        self._pictures: list[Image] = [
            self.got[HEADER + pixels :][: c * pixels].reshape(height, width, c) for c in (3, 4)
        ]
        self.landed = place.event()
        """Where what was sent last has come down."""
        self.frame: Frame | None = None
        """The frame that is in flight here."""
        self.background: Background | None = None
        """What the frame is composited over; None where only its alpha is made."""

    def picture(self, channels: int) -> Image:
        """The composite that has come down, of 3 or 4 channels."""
        return self._pictures[channels - 3]


class OrtCutter:
    """Cuts frames out and composites them under ONNX Runtime. See `livecut.cutter.Cutter`.

    `path` is an .onnx file of `livecut export`, `background` stands behind the first frames. The frames
    in flight must be of one size. Raises ModelError, and EngineError where the place fails.
    """

    takes: Sequence[Form] = (BGR,)

    def __init__(
        self,
        path: Path,
        place: Place,
        background: Background,
        *,
        temporal: bool = False,
        in_flight: int = 1,
        stats: Stats | None = None,
    ) -> None:
        self._place, self._temporal, self._in_flight = place, temporal, in_flight
        self._stats = stats or Stats()
        network = read_network(path)
        self._area, self._stride, self._output_stride = (
            int(network.facts[f"livecut.{fact}"]) for fact in ("area", "stride", "output_stride")
        )
        self._network = choose_precision(network, place)
        self._kept = ["last", "state"] + ["before"] * (network.channels == 4)
        """What the graph is to have of the frame before."""
        self.description = description(place, self._network)
        self._size = (0, 0)
        self._scene: Scene | None = None
        self._background = background
        self._shown: tuple[Background, int] | None = None
        self._count = 0
        self._steady = False
        self._down: Slot | None = None
        """What `compose` is to read."""
        self._backgrounds = threading.Lock()
        """Held while a background, which may be read by both halves' threads, makes a picture."""

    def deliver(self, form: Form) -> Form:
        """BGR, or BGRA where a transparent form is asked for: what `compose` writes in any case."""
        return BGRA if form.transparent else BGR

    def reset(self) -> None:
        """Forget the frames before."""
        self._steady = False

    def infer(self, frame: Frame) -> Slot:
        """Send a frame on its way; all but the handing over is done there.

        Raises EngineError, and ConfigError where the background fails.
        """
        start = time.perf_counter()
        place, background = self._place, self._background
        scene = scene_of(background)
        size = frame.image.shape[1], frame.image.shape[0]
        wanted = scene or self._scene or Scene("transparent")
        if size != self._size or wanted != self._scene:
            self._build(size, wanted)
        slot = self._slots[self._count % self._in_flight]
        self._count += 1
        slot.landed.wait()  # one that was given up may be under way still
        slot.frame, slot.background = frame, background if scene is not None else None
        np.copyto(slot.image, frame.image)
        slot.index[0], slot.sent[8] = frame.index, self._steady
        self.reset()  # what fails half-way is followed by none
        slot.got[:HEADER] = 0
        self._show(slot.background, frame.position)
        tensors = self._program.tensors
        place.copy(tensors["frame"], slot.sent)
        self._program.run()
        for kept in self._kept:
            place.copy(tensors[kept], tensors[f"{kept}_out"])
        place.copy(slot.got[: self._made], tensors["made"])
        place.record(slot.landed)
        self._steady = self._temporal
        self._stats.add("preprocess", time.perf_counter() - start)
        return slot

    def _build(self, size: Size, scene: Scene) -> None:
        """Make everything for a configuration; frames in flight come down first."""
        place = self._place
        place.settle()
        resized, self._size = size != self._size, (0, 0)  # what fails half-way is begun again
        if resized:
            self._slots = [Slot(place, size) for _ in range(self._in_flight)]
            self._picture = place.host(3 * size[0] * size[1])
            self._sent = place.event()
        small = input_size(*size, self._area, self._stride)
        written = Writer(
            self._network, size, small, self._output_stride, scene, half=self._network.half
        ).write()
        self._program = Program(place, written)
        self._made = HEADER + (1 + scene.channels) * size[0] * size[1]
        self._size, self._scene, self._shown = size, scene, None
        self.description = description(place, self._network)
        self.reset()

    def _show(self, background: Background | None, position: float) -> None:
        """Send what stands behind the person, where that is a picture and not there yet."""
        if not isinstance(background, Still | Video):
            return
        with self._backgrounds:
            picture = background.picture(position)
            if self._shown == (background, background.shown):
                return
            self._sent.wait()
            np.copyto(self._picture.reshape(picture.shape), picture)
            self._shown = background, background.shown
        self._place.copy(self._program.tensors["picture"], self._picture)
        self._place.record(self._sent)

    def finish(self, slot: Slot, out: Image | None = None) -> Cutout:
        """Wait for a frame that `infer` sent: its cutout, the alpha in `out`. Raises EngineError."""
        start = time.perf_counter()
        frame, self._down = slot.frame, None
        if frame is None:
            raise EngineError("this frame was handed over before")
        slot.landed.wait()
        slot.frame = None
        receipt, valid = int(slot.receipt[0]), slot.got[8]
        if receipt != frame.index:
            raise EngineError(f"frame {receipt} came from the device in place of {frame.index}")
        if valid != 1:
            self.reset()
            raise EngineError("the network gave no valid alpha (NaN or outside 0 to 1)")
        if out is None:
            out = np.empty(slot.alpha.shape, np.uint8)
        np.copyto(out, slot.alpha)
        self._down, self._landed = slot, frame
        self._stats.add("network", time.perf_counter() - start)
        return Cutout(frame, out)

    def cut(self, frame: Frame, out: Image | None = None) -> Cutout:
        """`infer` and `finish`, one after the other."""
        return self.finish(self.infer(frame), out)

    def compose(self, background: Background, cutout: Cutout, out: Image) -> None:
        """Write the composite of the cutout that `finish` gave last into `out`, as it came down.

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
