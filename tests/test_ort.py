"""The cutter of ONNX Runtime: its graph against the CPU's kernels, its slots and order with stand-ins."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from livecut import EngineError, Pipeline
from livecut.backgrounds import open_background
from livecut.compositor.graph import Writer
from livecut.compositor.ort import OrtCutter, Slot
from livecut.compositor.packets import HEADER
from livecut.compositor.scene import Scene
from livecut.engines import nvidia
from livecut.engines.fixed import read_network
from livecut.engines.places import Host, Program
from livecut.frame import Frame, Image
from livecut.models import find_model, input_size
from livecut.segmenter import Segmenter
from tests import remote
from tests.fakes import PERSON, ROOM, ListSource, LiveSource, Recorder, shows_room
from tests.onnx_files import LazyPlace, blueness, fragile, write_network
from tests.remote import SIZE, SIZES, blank, demo, frame, iou, is_composite, person_at


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter(find_model("live"), device="cpu", temporal=True)  # by its path: in float32


@pytest.mark.parametrize(
    ("background", "size"),
    [("blur", SIZES[0]), ("blur:0", SIZES[2]), ("#00b140", SIZES[1]), ("transparent", SIZES[1])],
)
def test_the_whole_is_the_cpus(
    segmenter: Segmenter, background: str, size: tuple[int, int]
) -> None:
    """Single pixels differ by more where a grey or a byte of the network's input is rounded otherwise."""
    segmenter.reset()
    behind = open_background(background, size)
    made = OrtCutter(find_model("live"), Host(), behind, temporal=True)
    channels = 4 if background == "transparent" else 3
    for index, image in enumerate(demo(size, 3)):
        frame = Frame(image, index, 0.0, 0.0)
        expected = np.zeros((*image.shape[:2], channels), np.uint8)
        picture = np.zeros_like(expected)
        cutout = segmenter.cut(frame)
        behind.compose(cutout, expected)
        got = made.cut(frame)
        made.compose(behind, got, picture)
        apart = np.abs(got.alpha.astype(int) - cutout.alpha)
        assert apart.mean() <= 0.4
        assert np.percentile(apart, 99.9) <= 12
        assert iou(got.alpha, cutout.alpha) > 0.995
        both = (got.alpha > 0) & (cutout.alpha > 0) if channels == 4 else got.alpha >= 0
        apart = np.abs(picture.astype(int) - expected)[both]
        assert apart.mean() <= 0.6
        assert np.percentile(apart, 99.9) <= 12
        if channels == 4:
            assert not picture[got.alpha == 0].any(), "nothing is kept under alpha 0"


def run_once(network: Any, size: tuple[int, int], image: Image, *, half: bool) -> Image:
    """The packet that a graph over black makes of one frame."""
    small = input_size(*size, 36864, 16)
    written = Writer(network, size, small, 2, Scene("picture"), half=half).write()
    place = Host()
    program = Program(place, written)
    packet = place.host(HEADER + image.size)
    packet[HEADER:] = image.ravel()
    place.copy(program.tensors["frame"], packet)
    program.run()
    made = place.host(HEADER + 4 * size[0] * size[1])
    place.copy(made, program.tensors["made"])
    return made[HEADER:]


def test_half_precision_is_enough_and_exact_at_its_ends() -> None:
    network, size = read_network(find_model("live")), SIZES[1]
    image, pixels = demo(size)[0], SIZES[1][0] * SIZES[1][1]
    exact = run_once(network, size, image, half=False)
    half = run_once(network.to_half(), size, image, half=True)
    alpha, half_alpha = exact[:pixels], half[:pixels]
    apart = np.abs(half_alpha.astype(int) - alpha)
    assert apart.mean() <= 0.1
    assert np.percentile(apart, 99.9) <= 4
    picture, frame = half[pixels:].reshape(-1, 3), image.reshape(-1, 3)
    assert (picture[half_alpha == 255] == frame[half_alpha == 255]).all()
    assert not picture[half_alpha == 0].any()


def test_neither_torch_nor_onnx_is_loaded() -> None:
    code = """
import sys, numpy as np
from livecut.backgrounds import Blur
from livecut.compositor.ort import OrtCutter
from livecut.engines.places import Host
from livecut.frame import Frame
from livecut.models import find_model
place, blur, out = Host(), Blur((64, 48)), np.zeros((48, 64, 3), np.uint8)
place.half = True
made = OrtCutter(find_model("live"), place, blur)
made.compose(blur, made.cut(Frame(np.zeros_like(out), 0, 0.0, 0.0)), out)
assert "float16" in made.description, made.description
assert not {"torch", "onnx", "torchvision"} & sys.modules.keys()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# the shell, with a network that takes for a person what is blue


def cutter(folder: Path, place: Any = None, background: str = "#000000", **more: Any) -> OrtCutter:
    path = blueness(folder / "blue.onnx")
    behind = open_background(background, SIZE)
    return OrtCutter(path, place or LazyPlace(), behind, temporal=True, **more)


@pytest.mark.parametrize("in_flight", [1, 2, 3])
def test_each_frame_comes_back_as_its_own(tmp_path: Path, in_flight: int) -> None:
    made, out = cutter(tmp_path, in_flight=in_flight), blank()
    background = open_background("#000000", SIZE)
    waiting: list[tuple[Frame, Slot]] = []
    for index in range(9):
        sent = frame(index)
        waiting.append((sent, made.infer(sent)))
        sent.image[:] = ROOM  # the source writes its buffer again
        if len(waiting) == in_flight:
            expected, slot = waiting.pop(0)
            found = made.finish(slot)
            assert found.frame is expected
            made.compose(background, found, out)
            assert is_composite(out, expected.index)


@pytest.mark.parametrize("left_out", ["upload", "run", "download"])
def test_a_step_that_is_left_out_gives_no_picture(
    tmp_path: Path, left_out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Host()
    made = cutter(tmp_path, place)
    made.cut(frame(3))
    copy, tensors, host = place.copy, made._program.tensors, made._slots[0].down.header

    def skipping(to: Any, source: Any) -> None:
        if not (
            (left_out == "upload" and to is tensors["frame"])
            or (left_out == "download" and source is tensors["made"])
        ):
            copy(to, source)

    monkeypatch.setattr(place, "copy", skipping)
    if left_out == "run":
        monkeypatch.setattr(place, "run", lambda session, binding: None)
    with pytest.raises(EngineError, match=r"in place of 4|no valid alpha"):
        made.cut(frame(4))
    assert host[1] != 1 or left_out != "download"


def test_a_frame_that_was_given_up_is_never_taken_for_another(tmp_path: Path) -> None:
    remote.never_takes_what_was_given_up(cutter(tmp_path))


@pytest.mark.parametrize("in_flight", [1, 2])
def test_lent_buffers_are_used_in_place(tmp_path: Path, in_flight: int) -> None:
    remote.uses_lent_buffers_in_place(cutter(tmp_path, in_flight=in_flight))


def test_composes_only_what_came_down_last(tmp_path: Path) -> None:
    remote.composes_only_what_came_down_last(cutter(tmp_path, in_flight=2))


def test_what_is_no_alpha_gives_no_picture_and_is_forgotten(tmp_path: Path) -> None:
    """The network gives NaN where blue is less than a half."""
    black = open_background("#000000", SIZE)
    made = OrtCutter(fragile(tmp_path / "fragile.onnx"), LazyPlace(), black, temporal=True)
    good, bad = (np.full((SIZE[1], SIZE[0], 3), level, np.uint8) for level in (200, 200))
    bad[20:30, 20:30] = 60
    made.cut(Frame(good, 0, 0.0, 0.0))
    with pytest.raises(EngineError, match="no valid alpha"):
        made.cut(Frame(bad, 1, 0.0, 0.0))
    assert made.cut(Frame(good, 2, 0.0, 0.0)).alpha.any(), "it goes on with the next frame"


def test_an_alpha_rounded_to_over_one_is_a_good_one(tmp_path: Path) -> None:
    network = write_network(
        tmp_path / "over.onnx", ("Mul", ["blue"], 0.0), ("Add", ["1"], 1.0000001)
    )
    made = OrtCutter(network, LazyPlace(), open_background("#000000", SIZE), temporal=True)
    grey = np.full((SIZE[1], SIZE[0], 3), 200, np.uint8)
    assert (made.cut(Frame(grey, 0, 0.0, 0.0)).alpha == 255).all()


def test_what_followed_a_broken_frame_is_broken_too(tmp_path: Path) -> None:
    black = open_background("#000000", SIZE)
    made = OrtCutter(
        fragile(tmp_path / "fragile.onnx"), LazyPlace(), black, temporal=True, in_flight=2
    )
    good, bad = (np.full((SIZE[1], SIZE[0], 3), level, np.uint8) for level in (200, 200))
    bad[20:30, 20:30] = 60  # too little to be a cut, which forgets
    slots = [made.infer(Frame(image, i, 0.0, 0.0)) for i, image in enumerate((bad, good))]
    for slot in slots:
        with pytest.raises(EngineError, match="no valid alpha"):
            made.finish(slot)
    assert made.cut(Frame(good, 2, 0.0, 0.0)).alpha.any()


def test_temporal_state_is_that_of_the_frame_before_and_reset_forgets_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(120, 136, (2, SIZE[1], SIZE[0], 3)).astype(np.uint8)
    made = cutter(tmp_path)
    first, second = (made.cut(Frame(image, i, 0.0, 0.0)).alpha for i, image in enumerate(noise))
    assert (made.cut(Frame(noise[1], 2, 0.0, 0.0)).alpha != first).any()
    made.reset()
    alone = made.cut(Frame(noise[1], 3, 0.0, 0.0)).alpha
    assert (alone != second).any()
    assert (cutter(tmp_path).cut(Frame(noise[1], 0, 0.0, 0.0)).alpha == alone).all()


def test_another_size_and_another_background_are_built_before_any_picture(tmp_path: Path) -> None:
    made = cutter(tmp_path)
    out, behind = blank(), open_background("#000000", SIZE)
    made.compose(behind, made.cut(frame(0)), out)
    assert is_composite(out, 0)
    red = open_background("#ff0000", SIZE)
    made.compose(red, made.cut(frame(1)), out)
    assert is_composite(out, 1), "the background that was there when the frame was sent"
    made.compose(red, made.cut(frame(2)), out)
    assert tuple(out[0, 0]) == (0, 0, 255)
    blur = open_background("blur", SIZE)
    made.compose(blur, made.cut(frame(3)), out)
    assert tuple(out[0, 0]) == (0, 0, 255)
    made.compose(blur, made.cut(frame(4)), out)
    assert np.abs(out[0, 0].astype(int) - ROOM).max() < 5, "the room is one colour, blurred or not"
    raw = open_background("raw", SIZE)
    made.compose(raw, made.cut(frame(5)), out)
    made.compose(raw, made.cut(frame(6)), out)
    assert (out[44, 60] == ROOM).all(), "what has no scene is composed by the host"
    wide, large = (128, 48), np.zeros((48, 128, 3), np.uint8)
    image = np.concatenate([person_at(20)] * 2, axis=1)
    made.compose(open_background("#000000", wide), made.cut(Frame(image, 7, 0.0, 0.0)), large)
    made.compose(open_background("#000000", wide), made.cut(Frame(image, 8, 0.0, 0.0)), large)
    assert not shows_room(large)
    assert np.abs(large[24, 28].astype(int) - PERSON).max() < 5


def test_a_configuration_that_cannot_be_built_is_built_again_before_any_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, out = Host(), blank()
    made, black = cutter(tmp_path, place), open_background("#000000", SIZE)
    made.compose(open_background("blur", SIZE), made.cut(frame(0)), out)

    def full(model: bytes) -> None:
        raise EngineError("out of memory")

    with monkeypatch.context() as broken:
        broken.setattr(place, "session", full)
        for _ in range(2):
            with pytest.raises(EngineError, match="out of memory"):
                made.cut(frame(1))
    made._background = black
    made.compose(black, made.cut(frame(3)), out)
    assert is_composite(out, 3)


def run_pipeline(
    source: Any, monkeypatch: pytest.MonkeyPatch, path: Path, then: Callable[..., None]
) -> Recorder:
    """A run as on a machine with a GPU and without PyTorch, on a lazy device in its place."""
    monkeypatch.setattr(nvidia, "driver_loads", lambda: True)
    monkeypatch.setattr("livecut.cutter.gpu_weights", lambda *_: None)
    monkeypatch.setattr("livecut.engines.places.Gpu", lambda device: LazyPlace())
    recorder = Recorder()
    pipeline = Pipeline(source, "#000000", [recorder], model=path, device="cuda")
    recorder.then = lambda r: then(r, pipeline)
    pipeline.run()
    assert "ONNX Runtime" in pipeline.description
    return recorder


def test_a_live_run_swaps_backgrounds_and_never_shows_the_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def then(r: Recorder, pipeline: Pipeline) -> None:
        if len(r.frames) % 4 == 0:
            r.queue = ["background"]
        if len(r.frames) > 20 or len(r.outputs) > 2000:
            pipeline.stop()

    path = blueness(tmp_path / "blue.onnx")
    recorder = run_pipeline(LiveSource(person_at(20)), monkeypatch, path, then)
    corners = {tuple(int(v) for v in o.image[0, 0]) for o in recorder.frames}
    assert {(64, 177, 0), (0, 0, 0)} <= corners
    for o in recorder.frames:
        if tuple(o.image[0, 0]) in ((64, 177, 0), (0, 0, 0)):
            assert not shows_room(o.image)
        assert np.abs(o.image[24, 28].astype(int) - PERSON).max() < 5
    assert not recorder.reasons


def test_a_file_with_two_frames_in_flight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = blueness(tmp_path / "blue.onnx")
    source = ListSource([frame(i).image for i in range(7)])
    recorder = run_pipeline(source, monkeypatch, path, lambda r, pipeline: None)
    assert [o.index for o in recorder.frames] == list(range(7))
    assert all(is_composite(o.image, o.index) for o in recorder.frames)
