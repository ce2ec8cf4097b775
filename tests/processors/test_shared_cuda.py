"""Several streams whose frames stay on a device: one network, and all else each its own."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from livecut import EngineError, Pipeline, SharedEngine, run_all
from livecut.backgrounds import open_background
from livecut.frame import BGR, Buffer, Frame, Image, output_buffers
from livecut.models import Target, find_model
from livecut.network.base import Facts
from livecut.processors.cuda import processor as cuda
from livecut.processors.cuda.processor import CudaProcessor, Weights
from livecut.processors.cuda.streams import CpuDevice, CudaDevice, Job
from livecut.stats import Stats
from livecut.testing import ListSource, Recorder
from tests.lazy import Blueness, Lazy
from tests.remote import SIZE, demo, frame, is_composite


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Blueness:
    """The network that is loaded from now on; `network.loaded` counts how often."""
    made: Any = Blueness()
    made.loaded = 0

    def load(path: Path) -> tuple[Blueness, Facts]:
        made.loaded += 1
        return made, Facts("fake", SIZE[0] * SIZE[1])

    monkeypatch.setattr(cuda, "load_weights", load)
    return made  # type: ignore[no-any-return]


def processors(weights: Weights, *specs: str, in_flight: int = 1) -> list[CudaProcessor]:
    return [
        CudaProcessor(weights, open_background(spec, SIZE), temporal=True, in_flight=in_flight)
        for spec in specs
    ]


@pytest.mark.parametrize("in_flight", [1, 2])
def test_streams_in_turn_get_each_their_own(network: Blueness, in_flight: int) -> None:
    """Two of them, out of step, on a device that does nothing before it must."""
    one, other = processors(
        Weights(Path("fake"), Lazy()), "#000000", "#000000", in_flight=in_flight
    )
    [out] = output_buffers(BGR, SIZE, 1)
    for index in range(8):
        slots = [one.infer(frame(index)), other.infer(frame(index + 3))]
        for made, slot, expected in ((other, slots[1], index + 3), (one, slots[0], index)):
            made.compose(made.finish(slot, out), out)
            assert is_composite(out.picture, expected)


def test_states_and_failures_are_each_their_own(network: Blueness) -> None:
    weights = Weights(Path("fake"), CpuDevice())
    one, other, [alone] = *processors(weights, "blur", "blur"), processors(weights, "blur")
    dim = Frame(np.full((*SIZE[::-1], 3), (163, 0, 0), np.uint8), 0, 0.0, 0.0)  # alpha 0.8
    dimmer = Frame(np.full((*SIZE[::-1], 3), (162, 0, 0), np.uint8), 1, 0.0, 0.0)
    for made in (one, other):
        made.cut(dim)
    network.broken = lambda logits: logits.fill_(float("nan"))
    with pytest.raises(EngineError, match="no valid alpha"):
        one.cut(dimmer)
    network.broken = None
    fresh = alone.cut(dimmer).alpha
    assert (one.cut(dimmer).alpha == fresh).all(), "it has forgotten"
    assert (other.cut(dimmer).alpha > fresh).all(), "it has not"


def test_graphs_are_captured_one_at_a_time(network: Blueness) -> None:
    class Watched(CpuDevice):
        busy, most = 0, 0

        def smooth(self) -> None:
            assert weights.building.locked()

        def capture(self, job: Job) -> Job:
            self.busy += 1
            self.most = max(self.most, self.busy)
            threading.Event().wait(0.02)
            self.busy -= 1
            return job

    machine = Watched()
    weights = Weights(Path("fake"), machine)
    made = processors(weights, *["#000000"] * 4)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda c: c.cut(frame(1)), made))
    assert machine.most == 1
    assert not weights.building.locked()


def test_pipelines_on_a_device_load_it_once(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livecut.processors.shared.gpu_weights", lambda *_: Path("fake"))
    monkeypatch.setattr(
        "livecut.processors.shared.on_gpu", lambda path, *_: Weights(path, CpuDevice())
    )
    shared, recorders = SharedEngine(), [Recorder(), Recorder()]
    orders = [range(6), range(3, 12)]
    pipelines = [
        Pipeline(ListSource([frame(i).image for i in order]), "#000000", [r], engine=shared)
        for order, r in zip(orders, recorders, strict=True)
    ]
    run_all(pipelines)
    assert network.loaded == 1
    for order, recorder in zip(orders, recorders, strict=True):
        assert len(recorder.frames) == len(order)
        assert all(is_composite(o.image, order[o.index]) for o in recorder.frames)


@pytest.mark.gpu
def test_gpu_streams_give_what_each_gives_alone() -> None:
    """Three streams of other sizes and backgrounds replay their graphs at once."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    weights = Weights(find_model("live", ".safetensors"), CudaDevice(torch.device("cuda:0")))
    films: list[tuple[str, tuple[int, int], list[Image]]] = [
        (spec, size, demo(size, 3))
        for spec, size in (("blur", (640, 360)), ("#00b140", (480, 640)), ("blur", (1280, 720)))
    ]

    def film(number: int) -> list[Image]:
        spec, size, images = films[number]
        background, found = open_background(spec, size), list[Image]()
        made = CudaProcessor(weights, background, temporal=True, stats=Stats())
        for index, image in enumerate(images * 20):
            cutout = made.cut(Frame(image, index, 0.0, 0.0))
            out = np.zeros((size[1], size[0], 3), np.uint8)
            made.compose(cutout, Buffer(out))
            found.append(out)
        return found

    alone = [film(number) for number in range(3)]
    with ThreadPoolExecutor(3) as pool:
        for one, other in zip(alone, pool.map(film, range(3)), strict=True):
            assert all((a == b).all() for a, b in zip(one, other, strict=True))


@pytest.mark.gpu
def test_gpu_onnx_takes_batches() -> None:
    """ONNX Runtime's CUDA provider; batches of other sizes may choose other kernels."""
    from livecut.engines import open_engine

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    engine = open_engine(Target.parse("live", "cuda", "onnx"))
    assert engine.max_batch > 1
    pictures = demo((256, 144), 3)
    batch = engine.batch(4, 256, 144)
    for row in range(4):
        np.copyto(batch.input[row], pictures[row % 3])
    batch.run()
    engine.resize(256, 144)
    for row in range(4):
        np.copyto(engine.input, pictures[row % 3])
        engine.run()
        assert np.abs(batch.output[row] - engine.output).max() < 0.01
