"""The gain of each optimisation of the GPU's path, measured by turns and predicted by arithmetic.

    python benchmarks/gpu.py [--size 1920x1080] [--background blur] [--rvm FILE.onnx] [-o FOLDER]
    python benchmarks/gpu.py --predict

From a BGR frame in the host's memory to a composite there: the milliseconds of one frame at a time,
and the frames a second with three in flight; with all optimisations, without each of them, and
without any. --rvm is RobustVideoMatting's ONNX, as benchmarks/peers fetches it, under ONNX Runtime
on the same GPU, by turns with the others. FOLDER gets gpu.json and gpu.md. With --predict nothing
is measured and no GPU needed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from livecut.backgrounds import open_background
from livecut.bench.cases import held_frames
from livecut.bench.gpu import Card, CudaClock, Traffic, measure_card, traffic
from livecut.bench.machine import machine as facts
from livecut.bench.record import describe, write
from livecut.frame import BGR, BT709, Image, PixelFormat, Size, frame_buffers, i420, output_buffers
from livecut.models import find_model
from livecut.processors.cuda.processor import CudaProcessor, Weights
from livecut.processors.cuda.streams import CudaDevice

IN_FLIGHT = 3


@dataclass(frozen=True)
class Way:
    """A way to run the device's path."""

    graph: bool = True
    streams: bool = True
    half: bool = True
    channels_last: bool = True
    planar: bool = True
    """I420 out, in place of BGR."""
    lent: bool = True
    """Frames and outputs in pinned memory, which is copied from and to in place."""


ALL = Way()
WAYS = {
    "all": ALL,
    "without the CUDA graph": replace(ALL, graph=False),
    "without streams of their own for the copies": replace(ALL, streams=False),
    "without float16 (float32)": replace(ALL, half=False),
    "without channels_last": replace(ALL, channels_last=False),
    "without I420 output (BGR)": replace(ALL, planar=False),
    "without frames and outputs in pinned memory": replace(ALL, lent=False),
    "none": Way(*[False] * 6),
}


ASSUMED = Card("a data-centre card", up=25e9, down=25e9, device=1.2e12)
"""PCIe 4.0 x16 as pinned copies have it; 80 % of 1.5 TB/s."""


@dataclass(frozen=True)
class Assumed:
    """Assumptions of a prediction, besides the bytes and steps of a frame, which are counted."""

    card: Card = ASSUMED
    host: float = 10e9
    """Bytes per second of the processor's copy of a frame into pinned memory, and of a composite
    out of it, where they do not lie there."""
    launch: float = 6e-6
    """Seconds of the processor to launch one PyTorch operation."""
    step: float = 1.5e-6
    """Least seconds of the device from one kernel of a graph to the next, its bytes apart."""
    frame: float = 40e-6
    """Seconds of the processor for a frame's copies, events and the launch of its graph."""


def predict(way: Way, moved: Traffic, picture: int, assumed: Assumed) -> tuple[float, float]:
    """Seconds of one frame at a time, and from one frame to the next with `IN_FLIGHT`.

    `picture` is the bytes of alpha and composite that the host copies out. Without channels_last
    each convolution's input and output are taken to be moved once more, for its tensor cores want
    them so.
    """
    bus = moved.seconds(assumed.card)
    extra = 0 if way.channels_last else moved.convolved / assumed.card.device
    device = bus["device"] + extra + moved.launches * assumed.step
    enqueue = assumed.frame + (0 if way.graph else moved.launches * assumed.launch)
    copies = 0.0 if way.lent else (moved.up + picture) / assumed.host
    # A kernel that is not in a graph begins when it was launched, beside those that run already.
    compute = device if way.graph else max(device, enqueue)
    alone = copies + bus["up"] + compute + bus["down"] + assumed.frame
    busy = [bus["up"], device, bus["down"]]
    return alone, max(copies + enqueue, max(busy) if way.streams else sum(busy))


def prediction(size: Size, background: str, card: Card | None) -> dict[str, tuple[float, float]]:
    """For each of `WAYS`, on a card that was measured, or on the one assumed."""
    weights, behind = find_model("live", ".safetensors"), open_background(background, size)
    assumed = replace(Assumed(), card=card) if card else Assumed()
    found, counted = {}, dict[tuple[str, PixelFormat], Traffic]()
    for name, way in WAYS.items():
        pixel_format = i420(BT709) if way.planar else BGR
        precision = "float16" if way.half else "float32"
        if (precision, pixel_format) not in counted:
            counted[precision, pixel_format] = traffic(
                weights, behind, size, form_out=pixel_format, precision=precision
            )
        moved = counted[precision, pixel_format]
        picture = size[0] * size[1] + pixel_format.count(size)
        found[name] = predict(way, moved, picture, assumed)
    return found


class Runner:
    """One way, on a GPU: rounds of one frame at a time, and of `IN_FLIGHT`."""

    def __init__(self, way: Way, size: Size, background: str) -> None:
        self._pixel_format, self._behind = (
            i420(BT709) if way.planar else BGR,
            open_background(background, size),
        )
        self._size, self._lent, self._count = size, way.lent, 0
        self.alone: list[float] = []
        self.rates: list[float] = []
        self._processors = []
        machine = CudaDevice(torch.device("cuda"), graph=way.graph, streams=way.streams)
        precision = "float16" if way.half else "float32"
        for in_flight in (1, IN_FLIGHT):
            weights = Weights(find_model("live", ".safetensors"), machine, precision)
            if not way.channels_last:
                network = weights.network.network.to(memory_format=torch.contiguous_format)
                network.register_forward_pre_hook(lambda _, given: (given[0].contiguous(),))
            processor = CudaProcessor(weights, self._behind, temporal=True, in_flight=in_flight)
            processor.deliver(self._pixel_format)
            self._processors.append(processor)

    def round(self, frames: Sequence[Image], seconds: float, *, kept: bool) -> None:
        """Both, for so long; the first round only warms up."""
        times, rate = self._run(0, 1, frames, seconds), self._run(1, IN_FLIGHT, frames, seconds)
        if kept:
            self.alone += times
            self.rates.append(len(rate) / sum(rate))

    def _run(self, which: int, ahead: int, frames: Sequence[Image], seconds: float) -> list[float]:
        processor, waiting, times = self._processors[which], deque[Any](), list[float]()
        make_outputs = processor.outputs if self._lent else output_buffers
        make_frames = processor.frames if self._lent else frame_buffers
        outputs = make_outputs(self._pixel_format, self._size, ahead)
        buffers = make_frames(BGR, self._size, len(frames))
        for buffer, image in zip(buffers, frames, strict=True):
            np.copyto(buffer.picture, image)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            begun = time.perf_counter()
            frame = buffers[self._count % len(buffers)].frame(self._count, 0.0, 0.0)
            out = outputs[self._count % ahead]
            waiting.append((processor.infer(frame, out), out))
            self._count += 1
            if len(waiting) == ahead:
                transfer, out = waiting.popleft()
                processor.compose(processor.finish(transfer, out), out)
            times.append(time.perf_counter() - begun)
        for transfer, out in waiting:
            processor.finish(transfer, out)
        return times


class Peer:
    """RobustVideoMatting under ONNX Runtime on the GPU, composites by OpenCV, a frame at a time."""

    def __init__(self, path: Path) -> None:
        sys.path.insert(0, str(Path(__file__).parent / "peers"))
        from peers import Other

        self._peer = Other(path, 1, device="cuda")
        self.alone: list[float] = []
        self.rates: list[float] = []

    def round(self, frames: Sequence[Image], seconds: float, *, kept: bool) -> None:
        """For so long; the first round only warms up."""
        end, index = time.perf_counter() + seconds, 0
        while time.perf_counter() < end:
            begun, image = time.perf_counter(), frames[index % len(frames)]
            self._peer.show(image, self._peer.alpha(image))
            index += 1
            if kept:
                self.alone.append(time.perf_counter() - begun)


def measure(
    runners: Sequence[Runner | Peer], frames: Sequence[Image], rounds: int, seconds: float
) -> None:
    """The rounds by turns, forwards and backwards, after one that counts for nothing."""
    for number in range(rounds + 1):
        for runner in runners if number % 2 else reversed(runners):
            runner.round(frames, seconds, kept=number > 0)


def table(
    predicted: dict[str, tuple[float, float]],
    measured: dict[str, Runner | Peer],
    head: str,
) -> str:
    """Markdown: each way, predicted and measured."""
    lines = [
        head,
        "",
        "| | predicted ms | measured p50 | p99 | predicted fps, 3 in flight | measured |",
        "|---|---|---|---|---|---|",
    ]
    for name in [*predicted, *(name for name in measured if name not in predicted)]:
        alone, between = predicted.get(name, (0.0, 0.0))
        cells = [
            f"{1e3 * alone:.2f}" if alone else "",
            "",
            "",
            f"{1 / between:.0f}" if between else "",
            "",
        ]
        if name in measured:
            found = describe(1e3 * np.array(measured[name].alone))
            cells[1:3] = f"{found['p50']:.2f}", f"{found['p99']:.2f}"
            if measured[name].rates:
                cells[4] = f"{np.median(measured[name].rates):.0f}"
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--background", default="blur")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rvm", type=Path, help="RobustVideoMatting's ONNX file")
    parser.add_argument("--predict", action="store_true", help="the arithmetic alone")
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    width, height = (int(n) for n in given.size.split("x"))
    size = width, height
    if given.predict:
        print(table(prediction(size, given.background, None), {}, f"{given.size}, predicted"))
        return 0
    if not torch.cuda.is_available():
        print(
            "PyTorch sees no NVIDIA GPU here: nothing was measured; --predict needs none",
            file=sys.stderr,
        )
        return 1

    card = measure_card(CudaDevice(torch.device("cuda")), CudaClock())
    predicted = prediction(size, given.background, card)
    runners: dict[str, Runner | Peer] = {
        name: Runner(way, size, given.background) for name, way in WAYS.items()
    }
    if given.rvm:
        runners["RobustVideoMatting, ONNX Runtime"] = Peer(given.rvm)
    measure(list(runners.values()), held_frames(size), given.rounds, given.seconds)
    text = table(predicted, runners, f"{given.size}, {given.background}, {card.name}")
    print(text)
    if given.output:
        given.output.mkdir(parents=True, exist_ok=True)
        rows = {
            name: {
                "ms": describe(1e3 * np.array(runner.alone)),
                "fps_in_flight": runner.rates,
                "predicted_s": predicted.get(name),
                "way": asdict(WAYS[name]) if name in WAYS else None,
            }
            for name, runner in runners.items()
        }
        record = {"schema": 1, "machine": facts(), "gpu": asdict(card), "size": size, "ways": rows}
        write(json.dumps(record, indent=1) + "\n", given.output / "gpu.json")
        write(text, given.output / "gpu.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
