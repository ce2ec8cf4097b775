"""Forms in and out, from a camera's own to a sink's, with a device at its worst."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from livecut import Pipeline
from livecut.backgrounds import open_background
from livecut.clock import CLOCK, Clock
from livecut.errors import SourceError
from livecut.frame import (
    BGR,
    BGRA,
    BT709,
    NV12,
    RGBA,
    YUYV,
    Buffer,
    Frame,
    Image,
    PixelFormat,
    as_image,
    i420,
)
from livecut.kernels.pixels import convert, to_bgr
from livecut.overlay import draw_notice
from livecut.processors.cuda.processor import CudaProcessor
from livecut.processors.cuda.streams import Job
from livecut.sinks.null import Null
from livecut.testing import PERSON, ROOM, ListSource, LiveSource, Recorder, shows_room
from tests.lazy import Blueness, Lazy, OnDevice, load_blueness, processor
from tests.remote import SIZE, frame, is_composite, person_at
from tests.waiting import Hasty

I420 = i420((0.299, 0.114))
OPAQUE = [BGR, I420, i420(BT709), NV12, YUYV]


@pytest.fixture(autouse=True)
def network(monkeypatch: pytest.MonkeyPatch) -> Blueness:
    return load_blueness(monkeypatch)


def shown(image: Image, pixel_format: PixelFormat) -> Image:
    """Any picture as BGR, by OpenCV."""
    if pixel_format == I420:
        return as_image(cv2.cvtColor(image, cv2.COLOR_YUV2BGR_I420))
    return to_bgr(image, pixel_format)


def composite(made: CudaProcessor, sent: Frame, pixel_format: PixelFormat) -> Image:
    out = np.zeros(pixel_format.shape(SIZE), np.uint8)
    made.compose(made.cut(sent), Buffer(out))
    return out


@pytest.mark.parametrize("pixel_format", OPAQUE, ids=str)
@pytest.mark.parametrize("spec", ["#00b140", "blur", "raw"])
def test_gives_the_form_asked_for(pixel_format: PixelFormat, spec: str) -> None:
    """One level apart from the host's conversion of the BGR composite; raw is the host's own."""
    plain, made = processor(background=spec), processor(background=spec)
    assert made.deliver(pixel_format) == pixel_format
    expected = convert(composite(plain, frame(1), BGR), pixel_format)
    got = composite(made, frame(1), pixel_format)
    assert np.abs(got.astype(int) - expected).max() <= (0 if spec == "raw" else 1)


@pytest.mark.parametrize("pixel_format", [BGRA, RGBA], ids=str)
def test_gives_transparent_forms(pixel_format: PixelFormat) -> None:
    plain, made = processor(background="transparent"), processor(background="transparent")
    made.deliver(pixel_format)
    expected = convert(composite(plain, frame(1), BGRA), pixel_format)
    assert (composite(made, frame(1), pixel_format) == expected).all()


@pytest.mark.parametrize("pixel_format", [YUYV, NV12], ids=str)
@pytest.mark.parametrize("spec", ["#000000", "raw"])
def test_takes_frames_as_a_camera_has_them(pixel_format: PixelFormat, spec: str) -> None:
    made = processor(background=spec)
    for index in range(4):
        raw = convert(frame(index).image, pixel_format)
        got = composite(made, Frame(raw, index, 0.0, 0.0, pixel_format), BGR)
        if spec == "raw":
            expected = composite(processor(background=spec), frame(index), BGR)
            assert np.abs(got.astype(int) - expected).mean() < 6
        else:
            assert is_composite(got, index)


def test_builds_once_for_each_configuration() -> None:
    """Size, background's kind, form of the frame and of the composite."""
    captured: list[Job] = []

    class Counting(Lazy):
        def capture(self, job: Job) -> Job:
            captured.append(job)
            return job

    made = processor(Counting())
    small = Frame(np.full((32, 48, 3), ROOM, np.uint8), 9, 0.0, 0.0)
    raw = Frame(convert(frame(1).image, YUYV), 1, 0.0, 0.0, YUYV)

    def count(sent: Frame) -> int:
        before = len(captured)
        made.cut(sent)
        made.cut(sent)
        return len(captured) - before

    assert count(frame(1)) == 1
    assert count(frame(2)) == 0
    assert count(raw) == 1
    made.deliver(I420)
    assert count(raw) == 1
    made.background = open_background("blur", SIZE)
    assert count(raw) == 1
    assert count(small) == 1
    made.background = open_background("raw", SIZE)
    assert count(small) == 0, "its alpha is made by what there is"


@pytest.mark.parametrize("pixel_format", OPAQUE, ids=str)
def test_the_host_composes_into_pinned_buffers_of_any_form(pixel_format: PixelFormat) -> None:
    """Raw has no scene on the device, whose alpha alone comes down."""
    made, plain = processor(background="raw"), processor(background="raw")
    made.deliver(pixel_format)
    [out] = made.outputs(pixel_format, SIZE, 1)
    found = made.cut(frame(1), out)
    assert found.alpha is out.alpha
    made.compose(found, out)
    expected = composite(plain, frame(1), BGR)
    assert (out.picture == convert(expected, pixel_format)).all()
    assert (found.alpha == plain.cut(frame(1)).alpha).all()


def test_changing_forms_never_shows_the_room() -> None:
    made = processor(in_flight=2)
    rng = np.random.default_rng(0)
    for index in range(10):
        pixel_format: PixelFormat = (BGR, YUYV, NV12)[rng.integers(3)]
        sink: PixelFormat = (BGR, I420, NV12, YUYV)[rng.integers(4)]
        made.deliver(sink)
        sent = Frame(convert(frame(index).image, pixel_format), index, 0.0, 0.0, pixel_format)
        got = composite(made, sent, sink)
        assert is_composite(shown(got, sink), index)


# the pipeline


def recorder(pixel_format: PixelFormat | None, **given: Any) -> Recorder:
    made = Recorder(**given)
    made.pixel_format = pixel_format
    return made


@pytest.mark.parametrize("in_flight", [1, 2])
def test_sinks_that_agree_get_their_form(in_flight: int) -> None:
    sinks = [recorder(I420), recorder(I420), Null(SIZE, I420)]
    pictures = [frame(index).image for index in range(4)]
    Pipeline(ListSource(pictures), "#000000", sinks, engine=OnDevice(), in_flight=in_flight).run()
    for sink in sinks[:2]:
        assert isinstance(sink, Recorder)
        assert [o.pixel_format for o in sink.outputs] == [I420] * 4
        assert all(is_composite(shown(o.image, I420), o.index) for o in sink.outputs)


@pytest.mark.parametrize("other", [None, i420(BT709), NV12])
def test_sinks_that_disagree_get_bgr(other: PixelFormat | None) -> None:
    sinks = [recorder(I420), recorder(other)]
    Pipeline(ListSource([person_at(20)] * 2), "#000000", sinks, engine=OnDevice()).run()
    for sink in sinks:
        assert [(o.pixel_format, o.image.shape) for o in sink.outputs] == [(BGR, (48, 64, 3))] * 2


@pytest.mark.parametrize(("wanted", "got"), [(RGBA, RGBA), (I420, BGRA), (None, BGRA)])
def test_a_transparent_run_has_alpha_whatever_is_wanted(
    wanted: PixelFormat | None, got: PixelFormat
) -> None:
    sink = recorder(wanted)
    Pipeline(ListSource([person_at(20)]), "transparent", [sink], engine=OnDevice()).run()
    assert [(o.pixel_format, o.image.shape) for o in sink.outputs] == [(got, (48, 64, 4))]


def test_the_cpu_gives_bgr_and_the_sink_converts() -> None:
    sink = recorder(I420)
    Pipeline(ListSource([person_at(20)]), "#000000", [sink], device="cpu").run()
    assert [(o.pixel_format, o.image.shape) for o in sink.outputs] == [(BGR, (48, 64, 3))]


@pytest.mark.parametrize("pixel_format", [I420, NV12, YUYV], ids=str)
def test_placeholders_are_in_the_form_of_composites(
    network: Blueness, pixel_format: PixelFormat
) -> None:
    """The first is BGR, which all sinks take: nothing is known of the device yet."""

    def then(r: Recorder) -> None:
        seen = any("no valid alpha" in reason for reason in r.reasons)
        network.broken = (lambda x: x.fill_(float("nan"))) if r.frames and not seen else None
        if (seen and not r.outputs[-1].reason) or len(r.outputs) > 2000:
            pipeline.stop()

    sink = recorder(pixel_format, paced=True, then=then)
    pipeline = Pipeline(LiveSource(person_at(20)), "#000000", [sink], engine=OnDevice())
    pipeline.run()
    broken = [o for o in sink.outputs if "no valid alpha" in o.reason]
    assert broken
    for o in broken:
        assert o.pixel_format == pixel_format
        assert (o.image == convert(draw_notice(o.reason, SIZE), pixel_format)).all()
    assert {o.pixel_format for o in sink.frames} == {pixel_format}
    assert {o.pixel_format for o in sink.outputs if o.reason.startswith("starting")} <= {
        BGR,
        pixel_format,
    }
    assert not any(shows_room(shown(o.image, o.pixel_format)) for o in sink.outputs)


class NativeSource(LiveSource):
    """A camera that can give YUYV; `spoils` after so many of these, or refuses at once."""

    native = YUYV

    def __init__(self, image: Image, spoils: int = 10**9, refuses: bool = False) -> None:
        super().__init__(image)
        self.raw, self.spoils, self.refuses = convert(image, YUYV), spoils, refuses
        self.given = 0

    def give(self, pixel_format: PixelFormat) -> str:
        if self.refuses:
            return "the fake camera gives no YUYV"
        self.pixel_format = pixel_format
        return ""

    def read(self, out: Image) -> float | None:
        if self.pixel_format == BGR:
            return super().read(out)
        self.pause()
        if self.given == self.spoils:
            self.pixel_format = BGR
            raise SourceError("the fake camera said YUYV and sent something else")
        self.given += 1
        np.copyto(out, self.raw)
        return self.clock.now()


def run_native(
    source: NativeSource, mirror: bool = False, frames: int = 8, clock: Clock = CLOCK
) -> tuple[Recorder, list[str]]:
    told: list[str] = []
    sink = Recorder()
    pipeline = Pipeline(
        source,
        "#000000",
        [sink],
        engine=OnDevice(),
        mirror=mirror,
        max_frames=frames,
        notice=told.append,
        clock=clock,
    )
    pipeline.run()
    assert not any(shows_room(o.image) for o in sink.outputs)
    return sink, told


@pytest.mark.parametrize("mirror", [False, True])
def test_a_cameras_own_form_goes_up_as_it_is(mirror: bool) -> None:
    source = NativeSource(person_at(4))
    sink, told = run_native(source, mirror)
    assert source.given >= 6
    assert not told
    person = sink.frames[-1].image[24]
    at = np.abs(person.astype(int) - PERSON).max(axis=-1) < 12
    assert at[46:58].all() if mirror else at[6:18].all()


def test_a_camera_that_gives_something_else_is_taken_as_bgr() -> None:
    source = NativeSource(person_at(20), spoils=5)
    sink, told = run_native(source, frames=20, clock=Hasty())
    assert source.given == 5
    assert source.pixel_format == BGR
    assert "the fake camera said YUYV and sent something else" in told
    assert sink.frames[-1].image[24, 28].tolist() == pytest.approx(PERSON, abs=3)


def test_a_camera_that_refuses_is_taken_as_bgr() -> None:
    source = NativeSource(person_at(20), refuses=True)
    _, told = run_native(source)
    assert source.given == 0
    assert "the fake camera gives no YUYV" in told


def test_the_cpu_asks_no_camera_for_its_own_form() -> None:
    source = NativeSource(person_at(20))
    Pipeline(source, "#000000", [Recorder()], max_frames=3, device="cpu").run()
    assert source.pixel_format == BGR
    assert source.given == 0
