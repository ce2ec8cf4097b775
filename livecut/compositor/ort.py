"""Frames through `livecut.compositor.graph` under ONNX Runtime: all of it on a GPU, without PyTorch.

One stream does everything in the order of the frames; a ring of slots of pinned memory holds those in
flight. The host waits for one event a frame, the one after which the frame's packet has come down.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from livecut.backgrounds import Background, Transparent
from livecut.compositor import packets
from livecut.compositor.graph import Writer
from livecut.compositor.packets import HEADER, Packet
from livecut.compositor.remote import RemoteCutter
from livecut.compositor.scene import Scene, scene_of
from livecut.engines.fixed import choose_precision, description, read_network
from livecut.engines.places import Place, Program
from livecut.form import BGR, BGRA, Form, Size
from livecut.frame import Frame, Image
from livecut.models import input_size
from livecut.stats import Stats


def packet(place: Place, count: int) -> Packet:
    """Memory of the host for so many bytes after a header, that copies to and from a place are fast with."""
    memory = place.host(HEADER + count)
    return Packet(memory, memory)


class Slot(packets.Slot):
    """A place for one frame in flight, and where what was sent last has come down."""

    def __init__(self, place: Place, size: Size) -> None:
        pixels = size[0] * size[1]
        super().__init__(size, packet(place, 3 * pixels), packet(place, (1 + 4) * pixels))
        self.landed = place.event()

    def wait(self) -> None:
        """Wait until what was sent last has come down."""
        self.landed.wait()

    def receipt(self) -> int | None:
        """The index of the frame whose alpha has come down; None where that is not valid."""
        index, valid = self.down.header.tolist()
        return int(index) if valid == 1 else None


class OrtCutter(RemoteCutter[Slot]):
    """Cuts frames out and composites them under ONNX Runtime. The frames in flight must be of one size.

    `path` is an .onnx file of `livecut export`. Raises ModelError, and EngineError where the place fails.
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
        super().__init__(background, temporal=temporal, in_flight=in_flight, stats=stats)
        self._place = place
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

    def deliver(self, form: Form) -> Form:
        """BGR, or BGRA where a transparent form is asked for: what `compose` writes in any case."""
        return BGRA if form.transparent else BGR

    def _packet(self, count: int) -> Packet:
        return packet(self._place, count)

    def infer(self, frame: Frame, out: Image | None = None) -> Slot:
        start = time.perf_counter()
        place, background = self._place, self._background
        form = BGRA if isinstance(background, Transparent) else BGR
        scene = scene_of(background, form)
        size = frame.image.shape[1], frame.image.shape[0]
        wanted = scene or self._scene or Scene("picture")
        if size != self._size or wanted != self._scene:
            self._build(size, wanted)
        slot = self._load(frame, background if scene is not None else None, form, out)
        self.reset()  # what fails half-way is followed by none
        slot.down.header[:] = 0
        self._show(slot.background, frame.position)
        tensors = self._program.tensors
        place.copy(tensors["frame"], slot.up.memory)
        self._program.run()
        for kept in self._kept:
            place.copy(tensors[kept], tensors[f"{kept}_out"])
        place.copy(slot.down.memory[: self._made], tensors["made"])
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
        self._made = HEADER + size[0] * size[1] + scene.form.count(size)
        self._size, self._scene, self._shown = size, scene, None
        self.description = description(place, self._network)
        self.reset()

    def _send(self, picture: Image) -> None:
        self._sent.wait()
        np.copyto(self._picture.reshape(picture.shape), picture)
        self._place.copy(self._program.tensors["picture"], self._picture)
        self._place.record(self._sent)
