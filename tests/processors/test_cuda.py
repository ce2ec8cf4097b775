"""The streams, transfers and graphs of the CUDA processor, with stand-ins and with a GPU."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor, nn

from livecut import EngineError, Pipeline
from livecut.backgrounds import open_background
from livecut.backgrounds.base import Background
from livecut.backgrounds.picture import PictureBackground
from livecut.bench.gpu import STAGES, CudaClock, measure_card, profile
from livecut.frame import (
    BGR,
    BT709,
    NV12,
    RGBA,
    YUYV,
    Buffer,
    Cutout,
    Frame,
    Image,
    PixelFormat,
    i420,
    output_buffers,
)
from livecut.kernels.pixels import convert
from livecut.models import find_model, input_size
from livecut.network.base import Portable
from livecut.network.weights import load_weights
from livecut.processors.cuda.buffers import Transfer
from livecut.processors.cuda.precision import choose_precision
from livecut.processors.cuda.processor import CudaProcessor, Weights
from livecut.processors.cuda.streams import CpuDevice, CudaDevice, Device
from livecut.segmenter import Segmenter
from livecut.testing import PERSON, ROOM, ListSource, LiveSource, Recorder, shows_room
from tests import remote
from tests.lazy import Blueness, Lazy, OnDevice, load_blueness, processor
from tests.remote import SIZE, demo, frame, iou, is_composite, person_at


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Blueness:
    return load_blueness(monkeypatch)


@pytest.mark.parametrize("machine", [CpuDevice, Lazy])
@pytest.mark.parametrize("in_flight", [1, 2, 3])
def test_each_frame_comes_back_as_its_own(
    network: Blueness, machine: type[CpuDevice], in_flight: int
) -> None:
    made, [out] = processor(machine(), in_flight=in_flight), output_buffers(BGR, SIZE, 1)
    waiting: list[tuple[Frame, Transfer]] = []
    for index in range(9):
        sent = frame(index)
        waiting.append((sent, made.infer(sent)))
        sent.image[:] = ROOM  # the source writes its buffer again
        if len(waiting) == in_flight:
            expected, slot = waiting.pop(0)
            found = made.finish(slot, out)
            assert found.frame is expected
            made.compose(found, out)
            assert is_composite(out.picture, expected.index)


@pytest.mark.parametrize("left_out", [1, 2])
def test_a_wait_that_is_left_out_gives_no_picture(
    network: Blueness, left_out: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compute waits for copy in, copy out for compute; without it the receipt tells."""
    machine = Lazy()
    made = processor(machine)
    made.cut(frame(3))
    monkeypatch.setattr(machine.streams[left_out], "wait", lambda event: None)
    with pytest.raises(EngineError, match="came from the device in place of 4"):
        made.cut(frame(4))


def test_a_download_that_never_came_gives_no_picture(
    network: Blueness, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = processor(CpuDevice())
    made.cut(frame(3))
    monkeypatch.setattr(made._copy_out, "run", lambda job: None)
    with pytest.raises(EngineError):
        made.cut(frame(3))


def test_a_frame_that_was_given_up_is_never_taken_for_another(network: Blueness) -> None:
    remote.never_takes_what_was_given_up(processor())


@pytest.mark.parametrize("in_flight", [1, 2])
def test_lent_buffers_are_used_in_place(network: Blueness, in_flight: int) -> None:
    remote.uses_lent_buffers_in_place(processor(in_flight=in_flight))


def test_a_lent_output_of_another_form_is_written_by_a_copy(network: Blueness) -> None:
    made, pixel_format = processor(), i420(BT709)
    [out] = made.outputs(BGR, SIZE, 1)
    planar = np.zeros(pixel_format.shape(SIZE), np.uint8)
    made.deliver(pixel_format)
    found = made.cut(frame(1), out)
    assert found.alpha is out.alpha
    assert found.alpha.any()
    made.compose(found, Buffer(planar, pixel_format))
    assert not out.picture.any()
    expected = convert(
        np.where((frame(1).image == PERSON).all(-1)[..., None], PERSON, 0).astype(np.uint8),
        pixel_format,
    )
    assert np.abs(planar.astype(int) - expected).mean() < 6


def test_composes_only_what_came_down_last(network: Blueness) -> None:
    remote.composes_only_what_came_down_last(processor(in_flight=2))


def run_live(
    then: Callable[[Recorder, Pipeline], None],
    background: str = "#000000",
) -> Recorder:
    """A live run on a lazy device until `then` stops it, 2,000 outputs at most."""
    recorder = Recorder()
    pipeline = Pipeline(LiveSource(person_at(20)), background, [recorder], engine=OnDevice())

    def watch(r: Recorder) -> None:
        then(r, pipeline)
        if len(r.outputs) > 2000:
            pipeline.stop()

    recorder.then = watch
    pipeline.run()
    return recorder


@pytest.mark.parametrize(
    "breaks",
    [
        lambda logits: logits.fill_(float("nan")),
        lambda logits: logits[0, 0, 3].fill_(float("nan")),
        lambda logits: 1 / 0,
        lambda logits: logits.view(7, 7, 7),
    ],
    ids=["nan", "one row", "unforeseen", "of the device"],
)
def test_broken_network_gives_placeholders_then_recovers(
    network: Blueness, breaks: Callable[[Tensor], object]
) -> None:
    def then(r: Recorder, pipeline: Pipeline) -> None:
        network.broken = breaks if len(r.frames) > 4 and not r.reasons else None
        if r.reasons and not r.outputs[-1].reason:
            pipeline.stop()

    recorder = run_live(then)
    assert recorder.reasons
    assert recorder.outputs[-1].reason == "", "it goes on once the network does"
    assert not any(shows_room(o.image) for o in recorder.outputs)


def test_swapping_backgrounds_never_shows_the_room_nor_the_frame_alone(network: Blueness) -> None:
    """Every swap builds anew; each picture, before and after, has a background."""

    def then(r: Recorder, pipeline: Pipeline) -> None:
        if len(r.frames) % 4 == 0:
            r.queue = ["background"]
        if len(r.frames) > 30:
            pipeline.stop()

    recorder = run_live(then, "#ff0000")
    corners = [tuple(int(v) for v in o.image[0, 0]) for o in recorder.frames]
    colours = {(0, 0, 255), (64, 177, 0), (0, 0, 0)}
    assert colours <= set(corners)
    for o, corner in zip(recorder.frames, corners, strict=True):
        assert o.alpha is not None
        if corner in colours:
            assert not shows_room(o.image)
        else:  # the room is one colour, so that its blur is that colour
            assert np.abs(np.subtract(corner, ROOM)).max() < 5
        assert np.abs(o.image[24, 28].astype(int) - PERSON).max() < 5
    assert not recorder.reasons


def test_a_configuration_that_cannot_be_built_is_built_again_before_any_picture(
    network: Blueness, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, out = CpuDevice(), Buffer(np.zeros((*SIZE[::-1], 3), np.uint8))
    made = processor(machine)
    made.compose(made.cut(frame(0)), out)
    made.background = open_background("blur", SIZE)

    def full(job: Callable[[], object]) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")

    with monkeypatch.context() as broken:
        broken.setattr(machine, "capture", full)
        for _ in range(2):
            with pytest.raises(EngineError, match="the device failed: CUDA out of memory"):
                made.cut(frame(1))
        made.background = open_background("#000000", SIZE)
        with pytest.raises(EngineError, match="out of memory"):
            made.cut(frame(2))
    made.compose(made.cut(frame(3)), out)
    assert is_composite(out.picture, 3)


def test_raw_is_labelled_by_the_host(network: Blueness) -> None:
    """The only background that shows the room; the label needs a large enough picture."""
    made = processor(background="raw")
    out = np.zeros((*SIZE[::-1], 3), np.uint8)
    sent = frame(1)
    found = made.cut(sent)
    made.compose(found, Buffer(out))
    assert (out != sent.image).any(), "labelled"
    made.background = open_background("#000000", SIZE)
    made.compose(found, Buffer(out))
    assert is_composite(out, 1), "as soon as it is over"


class Own(PictureBackground):
    """An outsider's picture, black, of which the device needs to know nothing."""

    asked = 0

    def picture(self, position: float) -> Image:
        self.asked += 1
        return np.zeros((*SIZE[::-1], 3), np.uint8)


class Flat(Background):
    """An outsider's background that only the host can make, whatever it calls its scene."""

    name = "flat"

    def compose(self, cutout: Cutout, out: Image) -> None:
        out[:] = 7


def test_an_outsiders_picture_is_composited_on_the_device(network: Blueness) -> None:
    made, own, out = processor(), Own("own", SIZE), np.zeros((*SIZE[::-1], 3), np.uint8)
    made.background = own
    made.compose(made.cut(frame(1)), Buffer(out))
    assert own.asked == 1
    assert is_composite(out, 1)


@pytest.mark.parametrize("scene", ["", "nosuch"])
def test_an_outsiders_other_background_is_composited_by_the_host(
    network: Blueness, scene: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Flat, "scene", scene)
    made, out = processor(), np.zeros((*SIZE[::-1], 3), np.uint8)
    made.background = Flat()
    made.compose(made.cut(frame(1)), Buffer(out))
    assert (out == 7).all()


def test_a_files_bytes_do_not_depend_on_how_many_are_in_flight(network: Blueness) -> None:
    pictures = [frame(index).image for index in range(8)]
    found = []
    for in_flight in (1, 2, 3):
        recorder = Recorder()
        Pipeline(
            ListSource(pictures), "#000000", [recorder], engine=OnDevice(), in_flight=in_flight
        ).run()
        assert [o.index for o in recorder.outputs] == list(range(8))
        assert all(is_composite(o.image, o.index) for o in recorder.outputs)
        found.append(np.stack([o.image for o in recorder.outputs]))
    assert (found[0] == found[1]).all()
    assert (found[0] == found[2]).all()


def test_reset_equals_fresh(network: Blueness) -> None:
    used, fresh = processor(), processor()
    before, after = frame(1), frame(2)
    before.image[:] = (163, 0, 0)  # alpha 0.8, and then 0.65
    after.image[:] = (162, 0, 0)
    used.cut(before)
    expected = fresh.cut(after).alpha
    assert (used.cut(after).alpha > expected).all(), "the frame before has its part"
    used.cut(before)
    used.reset()
    assert (used.cut(after).alpha == expected).all()


class Halves(CpuDevice):
    dtype = torch.float16


class OneStep(nn.Module):
    """Gives as logits what a function makes of the red plane."""

    stride, output_stride = 16, 1

    def __init__(self, step: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        return self.step(x[:, :1])


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (lambda x: x * 8 / 8, torch.float16),
        (lambda x: x * 1e6 / 1e6, torch.bfloat16),
        (lambda x: x + 1e4 - 1e4, torch.float32),
    ],
    ids=["plain", "overflows float16", "needs more digits"],
)
def test_half_precision_only_where_it_is_safe(
    step: Callable[[Tensor], Tensor], expected: torch.dtype
) -> None:
    network: Any = OneStep(step)
    portable, precision = choose_precision(network, Halves())
    assert precision == expected
    assert portable(torch.zeros(1, 16, 16, 3, dtype=torch.uint8)).dtype == expected
    assert choose_precision(network, CpuDevice())[1] == torch.float32


@pytest.mark.parametrize("graph", [True, False])
def test_captures_after_a_warm_up_aside(monkeypatch: pytest.MonkeyPatch, graph: bool) -> None:
    """The calls that `CudaDevice` makes, in their order, with PyTorch's CUDA replaced."""
    calls: list[str] = []
    numbers = itertools.count()

    class Stream:
        def __init__(self, device: torch.device) -> None:
            self.number = next(numbers)

    class Graph:
        def replay(self) -> None:
            calls.append("replay")

    @contextmanager
    def inside(what: str) -> Any:
        calls.append(what)
        yield
        calls.append("end " + what)

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "stream", lambda s: inside(f"stream {s.number}"))
    monkeypatch.setattr(
        torch.cuda,
        "graph",
        lambda g, stream, capture_error_mode: inside(f"graph {stream.number} {capture_error_mode}"),
    )
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: calls.append("settle"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    machine = CudaDevice(torch.device("cuda:0"), graph=graph)
    again = machine.capture(lambda: calls.append("job"))
    warm = ["settle", "stream 0", "job", "job", "job", "end stream 0", "settle"]
    if graph:
        assert calls == [*warm, "graph 0 thread_local", "job", "end graph 0 thread_local"]
    else:
        assert calls == warm
    calls.clear()
    again()
    assert calls == ["replay" if graph else "job"]
    assert machine.name == ("a GPU, CUDA graph" if graph else "a GPU, CUDA without a graph")


# with a GPU


@pytest.fixture
def gpu() -> torch.device:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return torch.device("cuda:0")


def real(machine: Device, background: str, size: tuple[int, int], in_flight: int) -> CudaProcessor:
    return CudaProcessor(
        Weights(find_model("live", ".safetensors"), machine),
        open_background(background, size),
        temporal=True,
        in_flight=in_flight,
    )


@pytest.mark.gpu
@pytest.mark.parametrize("graph", [True, False])
@pytest.mark.parametrize("in_flight", [1, 3])
@pytest.mark.parametrize("spec", ["blur", "#00b140"])
def test_gpu_gives_what_the_cpu_gives(
    gpu: torch.device, spec: str, in_flight: int, graph: bool
) -> None:
    size = (321, 243)
    made = real(CudaDevice(gpu, graph=graph), spec, size, in_flight)
    assert "float16" in made.description
    background, out = open_background(spec, size), np.zeros((size[1], size[0], 3), np.uint8)
    segmenter = Segmenter(device="cpu", engine="onnx", temporal=True)
    frames = [Frame(image, i, 0.0, 0.0) for i, image in enumerate(demo(size, 3))]
    waiting: list[Transfer] = []
    expected = np.empty_like(out)
    for f in [*frames, *[None] * (in_flight - 1)]:
        if f is not None:
            waiting.append(made.infer(f))
        if f is not None and len(waiting) < in_flight:
            continue
        found = made.finish(waiting.pop(0))
        made.compose(found, Buffer(out))
        reference = segmenter.cut(found.frame)
        background.compose(reference, expected)
        assert iou(found.alpha, reference.alpha) > 0.99
        assert np.abs(found.alpha.astype(int) - reference.alpha).mean() <= 1
        assert np.abs(out.astype(int) - expected).mean() <= 1


@pytest.mark.gpu
@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
def test_gpu_half_precision_is_near_single(gpu: torch.device, precision: torch.dtype) -> None:
    """Alpha in 0..1 of the shipped network; float32 is the CPU's, without TensorFloat-32."""
    network, facts = load_weights(find_model("live", ".safetensors"))
    small = input_size(640, 360, facts.area, network.stride)
    for image in demo(small, 3):
        batch = torch.from_numpy(image)[None]
        with torch.inference_mode():
            expected = Portable(network.float().cpu()).eval()(batch)
            half = Portable(network, precision).eval().to(gpu)
            got = half(batch.to(gpu)).float().cpu()
        assert (got - expected).abs().max() <= (0.05 if precision == torch.float16 else 0.2)
        assert iou(*((alpha[0] * 255).byte().numpy() for alpha in (got, expected))) > 0.995


@pytest.mark.gpu
def test_gpu_takes_float16_for_the_shipped_network(gpu: torch.device) -> None:
    network, _ = load_weights(find_model("live", ".safetensors"))
    assert choose_precision(network, CudaDevice(gpu))[1] == torch.float16


@contextmanager
def refusing_to_wait() -> Iterator[None]:
    """Makes PyTorch raise RuntimeError where it would wait for the GPU, as far as it knows."""
    try:
        with warnings.catch_warnings(action="ignore"):
            torch.cuda.set_sync_debug_mode("error")
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("spec", "form_in", "form_out"),
    [
        ("blur", BGR, BGR),
        ("blur", YUYV, i420(BT709)),
        ("#00b140", NV12, NV12),
        ("transparent", BGR, RGBA),
    ],
)
def test_gpu_steady_state_allocates_nothing_and_waits_for_nothing(
    gpu: torch.device, spec: str, form_in: PixelFormat, form_out: PixelFormat
) -> None:
    """PyTorch refuses any call that waits for the device; the frame's event is none."""
    size = (1280, 720)
    made = real(CudaDevice(gpu), spec, size, 2)
    made.deliver(form_out)
    image = convert(demo(size)[0], form_in)
    out = np.zeros(form_out.shape(size), np.uint8)

    def sent(index: int) -> Transfer:
        return made.infer(Frame(image, index, 0.0, 0.0, form_in))

    slots = [sent(i) for i in range(2)]
    for slot in slots:
        made.finish(slot)
    before = torch.cuda.memory_stats(gpu)["allocation.all.allocated"]
    with refusing_to_wait():
        slots = [sent(i) for i in range(2, 4)]
        for index in range(4, 30):
            made.compose(made.finish(slots.pop(0)), Buffer(out))
            slots.append(sent(index))
    assert torch.cuda.memory_stats(gpu)["allocation.all.allocated"] == before


@pytest.mark.gpu
@pytest.mark.parametrize("form_out", [i420(BT709), NV12, YUYV])
@pytest.mark.parametrize("form_in", [BGR, YUYV, NV12])
def test_gpu_forms_are_the_hosts(
    gpu: torch.device, form_in: PixelFormat, form_out: PixelFormat
) -> None:
    """Two levels apart at most in all but single pixels: half precision rounds each step."""
    size = (640, 360)
    made = real(CudaDevice(gpu), "#00b140", size, 1)
    raw = convert(demo(size)[0], form_in)
    got, expected = np.zeros(form_out.shape(size), np.uint8), np.zeros((360, 640, 3), np.uint8)
    made.compose(made.cut(Frame(raw, 0, 0.0, 0.0, form_in)), Buffer(expected))
    made.deliver(form_out)
    made.reset()
    made.compose(made.cut(Frame(raw, 1, 0.0, 0.0, form_in)), Buffer(got))
    apart = np.abs(got.astype(int) - convert(expected, form_out))
    assert np.percentile(apart, 99.9) <= 2


@pytest.mark.gpu
@pytest.mark.parametrize("graph", [True, False])
def test_gpu_profile_and_rates(gpu: torch.device, graph: bool) -> None:
    """Every stage takes time by the device's own clock, also those within a graph."""
    clock, machine, size = CudaClock(), CudaDevice(gpu, graph=graph), (1280, 720)
    card = measure_card(machine, clock)
    assert min(card.up, card.down, card.device) > 1e8
    found = profile(
        lambda m: real(m, "blur", size, 1), machine, clock, demo(size), frames=10, warm=3
    )
    assert set(found.stages) == set(STAGES)
    assert all((times > 0).all() for times in [*found.stages.values(), found.compute])


@pytest.mark.gpu
def test_gpu_pipeline_is_chosen_and_said(gpu: torch.device) -> None:
    recorder = Recorder()
    pipeline = Pipeline(ListSource(demo((640, 360), 3)), "blur", [recorder], device="cuda")
    pipeline.run()
    assert [o.index for o in recorder.outputs] == [0, 1, 2]
    assert "PyTorch" in pipeline.description
    assert "CUDA graph" in pipeline.description
