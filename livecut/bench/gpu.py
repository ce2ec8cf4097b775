"""A GPU's figures: copies and a frame's stages by its own clock, and what they could be at best:
the bytes that a frame moves, at the rates that copies have there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from livecut.backgrounds import open_background
from livecut.backgrounds.base import Background
from livecut.backgrounds.raw import Raw
from livecut.bench.cases import held_frames
from livecut.bench.options import Case
from livecut.frame import BGR, Frame, Image, PixelFormat, Size
from livecut.hardware.nvidia import graph_wanted
from livecut.models import Target, input_size
from livecut.network.base import Portable, torch_device
from livecut.network.weights import load_weights
from livecut.options import ProcessorOptions
from livecut.processors.cuda.compositor import Compositor
from livecut.processors.cuda.precision import planes_dtype
from livecut.processors.cuda.processor import CudaProcessor, Weights
from livecut.processors.cuda.scene import scene_of
from livecut.processors.cuda.streams import CudaDevice, Device, Event, Job, Stream

Times = NDArray[np.float64]
BUSES = ("up", "device", "down")
STAGES = ("upload", "preprocess", "network", "refine", "background", "composite", "download")
"""Stages on the device, in the order of the flow."""
BYTES = 64_000_000
"""Bytes of a copy that is measured."""
COPIES = 12
FRAMES, WARM = 100, 20
"""Frames of a profile that count, and those before them."""


@dataclass(frozen=True)
class Card:
    """A GPU, and the bytes per second of large copies there."""

    name: str
    up: float
    """Bytes a second from pinned memory of the host."""
    down: float
    """Bytes a second to pinned memory of the host."""
    device: float
    """Bytes a second within the device's own memory, read and written, each counted."""


@dataclass(frozen=True)
class Traffic:
    """Bytes that one frame moves, and its launches."""

    up: int
    """Bytes over the bus to the device."""
    down: int
    device: int
    """Bytes of device memory that the steps read and write, each step by itself."""
    launches: int
    """Steps that move any."""
    convolved: int = 0
    """Bytes of `device` that convolutions move."""

    def seconds(self, card: Card) -> dict[str, float]:
        """The least time on each of `BUSES`."""
        return {bus: getattr(self, bus) / getattr(card, bus) for bus in BUSES}


@dataclass(frozen=True)
class Profile:
    """Milliseconds of each frame by the device's clock, in a round of one frame in flight."""

    stages: dict[str, Times]
    """Milliseconds by stage, for the `STAGES` that there are."""
    compute: Times
    """Milliseconds between upload and download."""
    enqueue: Times
    """Milliseconds of the processor to queue it all."""
    wall: Times
    """Milliseconds from the frame in memory to its composite there, by the processor's clock."""


@dataclass(frozen=True)
class Roofline:
    """A case's floor, and where its time goes."""

    card: Card
    traffic: Traffic
    profile: Profile
    overlapped: bool
    """Whether frames overlap: then the busiest of `BUSES` is the floor, else their sum."""

    @property
    def floors(self) -> dict[str, float]:
        """Milliseconds a frame on each of `BUSES`."""
        return {bus: 1e3 * s for bus, s in self.traffic.seconds(self.card).items()}

    @property
    def floor(self) -> float:
        """Milliseconds a frame."""
        floors = self.floors.values()
        return max(floors) if self.overlapped else sum(floors)

    def warnings(self) -> list[str]:
        """A warning where the figure is bound by something other than computing."""
        p50 = {name: float(np.median(times)) for name, times in self.profile.stages.items()}
        copies = max(p50["upload"], p50["download"])
        compute, enqueue, wall = (
            float(np.median(t))
            for t in (self.profile.compute, self.profile.enqueue, self.profile.wall)
        )
        busy = p50["upload"] + compute + p50["download"]
        said = []
        if copies > compute:
            said.append(
                f"transfer-bound: a copy over the bus takes {copies:.2f} ms, "
                f"computing {compute:.2f} ms"
            )
        if enqueue > compute:
            said.append(
                f"enqueue-bound: queueing a frame takes the processor {enqueue:.2f} ms, the device "
                f"computes {compute:.2f} ms and is busy for {100 * busy / wall:.0f} % of the time"
            )
        return said


class Clock(Protocol):
    """The device's clock."""

    def mark(self) -> Any:
        """A point in the queue that work is put into now; also within a graph."""

    def between(self, first: Any, second: Any) -> float:
        """Seconds from one point to another, both passed by now."""


class CudaClock:
    """CUDA events. Those within a graph are taken anew by each replay."""

    def mark(self) -> Any:
        event = torch.cuda.Event(enable_timing=True, external=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def between(self, first: Any, second: Any) -> float:
        return float(first.elapsed_time(second)) / 1e3


class Timed:
    """A machine whose queues note when each job began and ended, and how long queueing it took."""

    def __init__(self, machine: Device, clock: Clock) -> None:
        self._machine, self._clock = machine, clock
        self.device, self.name, self.dtype = machine.device, machine.name, machine.dtype
        self.streams: list[TimedStream] = []

    def stream(self) -> Stream:
        self.streams.append(TimedStream(self._machine.stream(), self._clock))
        return self.streams[-1]

    def event(self) -> Event:
        return self._machine.event()

    def host(self, count: int) -> Tensor:
        return self._machine.host(count)

    def capture(self, job: Job) -> Job:
        return self._machine.capture(job)

    def synchronize_all(self) -> None:
        self._machine.synchronize_all()


class TimedStream:
    """See `Timed`."""

    def __init__(self, stream: Stream, clock: Clock) -> None:
        self._queue, self._clock = stream, clock
        self.spans: list[tuple[Any, Any]] = []
        self.enqueued = 0.0

    def run(self, job: Job) -> None:
        begun = time.perf_counter()

        def timed() -> None:
            start = self._clock.mark()
            job()
            self.spans.append((start, self._clock.mark()))

        self._queue.run(timed)
        self.enqueued += time.perf_counter() - begun

    def record(self, event: Event) -> None:
        self._queue.record(event)

    def wait(self, event: Event) -> None:
        self._queue.wait(event)

    def taken(self) -> float:
        """Seconds of the jobs since the last call, all of them done by now."""
        spans, self.spans = self.spans, []
        return sum(self._clock.between(*span) for span in spans)


def measure_card(machine: Device, clock: Clock) -> Card:
    """The rates of large copies: of several the fastest."""
    stream = TimedStream(machine.stream(), clock)
    host = machine.host(BYTES)
    here, there = (torch.zeros(BYTES, dtype=torch.uint8, device=machine.device) for _ in range(2))

    def rate(job: Callable[[], object], count: int) -> float:
        found = []
        for _ in range(COPIES):
            stream.run(job)
            machine.synchronize_all()
            found.append(count / stream.taken())
        return max(found)

    return Card(
        machine.name.partition(",")[0],
        up=rate(lambda: here.copy_(host, non_blocking=True), BYTES),
        down=rate(lambda: host.copy_(here, non_blocking=True), BYTES),
        device=rate(lambda: there.copy_(here), 2 * BYTES),
    )


def profile(
    processor: Callable[[Device], CudaProcessor],
    machine: Device,
    clock: Clock,
    images: Sequence[Image],
    *,
    frames: int = FRAMES,
    warm: int = WARM,
) -> Profile:
    """Follow frames, one at a time, through a processor that `processor` makes for a machine.

    The stages within are marked in a graph of their own, so that the one whose figures count has no
    marks.
    """
    plain = Timed(machine, clock)
    made = processor(plain)
    rows = []
    for index in range(warm + frames):
        image = images[index % len(images)]
        begun = time.perf_counter()
        made.finish(made.infer(Frame(image, index, 0.0, 0.0)))
        wall = time.perf_counter() - begun
        enqueued = sum(stream.enqueued for stream in plain.streams)
        rows.append((*(stream.taken() for stream in plain.streams), enqueued, wall))
        for stream in plain.streams:
            stream.enqueued = 0.0
    upload, compute, download, enqueue, wall_ms = 1e3 * np.array(rows[warm:]).T
    inside = _inside(processor(machine), clock, images, frames, warm)
    return Profile({"upload": upload, **inside, "download": download}, compute, enqueue, wall_ms)


def _inside(
    made: CudaProcessor, clock: Clock, images: Sequence[Image], frames: int, warm: int
) -> dict[str, Times]:
    marks = dict[str, Any]()

    def mark(stage: str) -> None:
        marks[stage] = clock.mark()

    made.mark = mark
    found = dict[str, list[float]]()
    for index in range(warm + frames):
        made.finish(made.infer(Frame(images[index % len(images)], index, 0.0, 0.0)))
        for last, stage in pairwise(marks):
            found.setdefault(stage, []).append(clock.between(marks[last], marks[stage]))
    return {stage: 1e3 * np.array(seconds[warm:]) for stage, seconds in found.items()}


class _Count(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the bytes of what operations read and write; views move nothing."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.moved = self.launches = self.convolved = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func.is_view or func.overloadpacket in (torch.ops.aten.empty, torch.ops.aten.empty_like):
            return result
        written = _tensors(result)
        overwritten = func.overloadpacket in (torch.ops.aten.copy_, torch.ops.aten.fill_)
        out = kwargs.get("out")
        read = [t for t in _tensors((args[1:] if overwritten else args, kwargs)) if t is not out]
        count = sum(map(_bytes, read)) + sum(map(_bytes, written))
        self.moved += count
        self.launches += 1
        if func.overloadpacket is torch.ops.aten.convolution:
            self.convolved += count
        return result


def _tensors(found: Any) -> list[Tensor]:
    if isinstance(found, Tensor):
        return [found]
    if isinstance(found, dict):
        found = found.values()
    elif not isinstance(found, list | tuple):
        return []
    return [tensor for each in found for tensor in _tensors(each)]


def _bytes(tensor: Tensor) -> int:
    """Bytes of a tensor, each repeated element counted once."""
    sides = zip(tensor.shape, tensor.stride(), strict=True)
    return tensor.element_size() * int(np.prod([n for n, step in sides if step or n == 0]))


def traffic(
    weights: Path,
    background: Background,
    size: Size,
    *,
    form_in: PixelFormat = BGR,
    form_out: PixelFormat = BGR,
    precision: str = ProcessorOptions.precision,
) -> Traffic:
    """The bytes that a frame of `size` moves on a GPU, counted without one, by operation.

    An operation is taken for one kernel that reads all its inputs and writes its output once.
    "auto" is taken for float16. `background` is one that a device composes.
    """
    network, facts = load_weights(weights)
    half = precision != "float32"
    dtype = torch.float32 if not half else getattr(torch, precision, torch.float16)
    meta = torch.device("meta")
    scene = scene_of(background, form_out)
    assert scene is not None
    with torch.no_grad():
        portable = Portable(network, dtype).eval().to(meta)
        made = Compositor(
            portable,
            size,
            input_size(*size, facts.area, network.stride),
            scene,
            form_in,
            device=meta,
            dtype=planes_dtype(CudaDevice.dtype, precision),
            temporal=True,
        )
        made.run()  # the first makes what the others keep
        with _Count() as counted:
            made.run()
    up, down = len(made.incoming), len(made.outgoing)
    # Besides, the packets are copied from and to the slot of the frame.
    return Traffic(
        up, down, counted.moved + 2 * (up + down), counted.launches + 2, counted.convolved
    )


@cache
def _card(device: torch.device) -> Card:
    return measure_card(CudaDevice(device), CudaClock())


def examine(case: Case, pixel_format: PixelFormat, weights: Path) -> Roofline:
    """The roofline of a case on its GPU, its composites in a form. Raises LivecutError."""
    target = Target.parse(case.model, case.device, case.engine)
    device = torch_device(target.default_to("cuda").device)
    background = told = open_background(case.background, case.size)
    if isinstance(
        background, Raw
    ):  # composed by the host; the device makes what it would of a picture
        told = open_background("black", case.size)

    def processor(machine: Device) -> CudaProcessor:
        network = Weights(weights, machine, case.precision)
        made = CudaProcessor(network, background, temporal=True)
        made.deliver(pixel_format)
        return made

    return Roofline(
        _card(device),
        traffic(weights, told, case.size, form_out=pixel_format, precision=case.precision),
        profile(
            processor, CudaDevice(device, graph=graph_wanted()), CudaClock(), held_frames(case.size)
        ),
        overlapped=case.in_flight > 1 or case.streams > 1,
    )
