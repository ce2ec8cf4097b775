"""The pipeline, and above all: in how many ways it does not show the room."""

from __future__ import annotations

import logging
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livecut import Pipeline, SinkError, SourceError
from livecut.backgrounds.base import Background
from livecut.errors import ConfigError, EngineError, ModelError
from livecut.frame import Cutout, Image, Output
from livecut.pipeline.guard import FRESH
from livecut.processors import open_processor
from livecut.processors.base import FrameProcessor, ProcessorFactory
from livecut.testing import (
    PERSON,
    FakeEngine,
    ListSource,
    LiveSource,
    ManualClock,
    Recorder,
    fail,
    room_picture,
    shows_room,
)
from tests.waiting import wait_until


def never(*_: object) -> bool:
    return False


def run_live(
    source: LiveSource,
    recorder: Recorder,
    done: Callable[[Recorder], bool] = never,
    *,
    engine: FakeEngine | ProcessorFactory | None = None,
    background: str | Background = "#000000",
    **options: Any,
) -> Pipeline:
    """Run until `done`, asked after each output; each lets the camera's next picture come."""
    plain = background if isinstance(background, str) else "#000000"
    pipeline = Pipeline(
        source, plain, [recorder], engine=engine or FakeEngine(), clock=source.clock, **options
    )
    if not isinstance(background, str):
        pipeline._change(background)
    assert isinstance(source.clock, ManualClock)
    clock = source.clock

    def then(r: Recorder) -> None:
        assert len(r.outputs) < 1000, "it does not come to an end"
        if done(r):
            pipeline.stop()
        clock.advance(source.period)

    recorder.then = then
    pipeline.run()
    return pipeline


class Factory:
    """Gives processors of a FakeEngine once `before` has returned."""

    def __init__(self, before: Callable[[], None]) -> None:
        self._before = before

    def open_processor(self, **options: Any) -> FrameProcessor:
        self._before()
        return open_processor(FakeEngine(), threads=1, **options)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def camera(clock: ManualClock) -> LiveSource:
    return LiveSource(room_picture(), clock=clock)


def meanwhile(job: Callable[[], None]) -> None:
    """Do a job on a thread of its own."""
    threading.Thread(target=job, daemon=True).start()


def test_file_gives_every_frame_in_order() -> None:
    recorder = Recorder()
    stats = Pipeline(
        ListSource([room_picture()] * 7), "#000000", [recorder], engine=FakeEngine()
    ).run()
    assert [o.index for o in recorder.frames] == list(range(7))
    assert stats.frames == 7
    assert not stats.drops
    assert not any(shows_room(o.image) for o in recorder.outputs)
    middle = recorder.frames[0].image[36, 32]
    assert np.abs(middle.astype(int) - PERSON).max() <= 1


def test_one_sink_may_stand_without_a_list(tmp_path: Path) -> None:
    source = ListSource([room_picture()])
    Pipeline(source, "#000000", str(tmp_path / "out.png"), engine=FakeEngine()).run()
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]
    recorder = Recorder()
    Pipeline(ListSource([room_picture()]), "#000000", recorder, engine=FakeEngine()).run()
    assert len(recorder.frames) == 1


def test_alpha_is_of_the_very_frame() -> None:
    """A person who jumps between two places is cut out where they are, not where they were."""
    left, right = room_picture(128, 96), room_picture(128, 96)
    left[:] = right[:] = (1, 254, 3)
    left[20:, 8:40] = PERSON
    right[20:, 88:120] = PERSON
    recorder = Recorder()
    Pipeline(ListSource([left, right] * 5), "#000000", [recorder], engine=FakeEngine()).run()
    for o in recorder.frames:
        assert o.alpha is not None
        here, there = (slice(8, 40), slice(88, 120))[:: 1 if o.index % 2 == 0 else -1]
        assert o.alpha[40:80, here].mean() > 250
        assert o.alpha[40:80, there].mean() < 1
        assert not shows_room(o.image)


def test_file_raises_what_the_network_raises() -> None:
    engine = FakeEngine(fail)
    recorder = Recorder()
    with pytest.raises(EngineError, match="the network broke"):
        Pipeline(ListSource([room_picture()]), "#000000", [recorder], engine=engine).run()
    assert recorder.outputs == []


@pytest.mark.parametrize(
    "breaks",
    [
        fail,
        lambda engine: engine.output.fill(np.nan),
        lambda engine: engine.output.fill(np.inf),
        lambda engine: engine.output.fill(-3),
        lambda engine: engine.output.fill(2),
        lambda engine: 1 / 0,
    ],
    ids=["exception", "nan", "inf", "negative", "over 1", "unforeseen"],
)
def test_broken_network_gives_placeholders_then_recovers(
    camera: LiveSource, breaks: Callable[[FakeEngine], None]
) -> None:
    recorder = Recorder()

    def before(engine: FakeEngine) -> None:
        if engine.calls > 5 and not recorder.reasons:
            breaks(engine)

    pipeline = run_live(
        camera,
        recorder,
        lambda r: bool(r.reasons) and not r.outputs[-1].reason,
        engine=FakeEngine(before),
    )
    assert recorder.reasons
    assert recorder.outputs[-1].reason == "", "it goes on once the network does"
    assert not any(shows_room(o.image) for o in recorder.outputs)
    assert any("failed" in cause for cause in pipeline.stats.drops)


def test_an_alpha_rounded_to_over_one_is_a_good_one() -> None:
    engine = FakeEngine(lambda engine: engine.output.fill(1.0000001))
    recorder = Recorder()
    Pipeline(ListSource([room_picture()]), "#000000", [recorder], engine=engine).run()
    assert [o.reason for o in recorder.outputs] == [""]


def test_silent_network_is_caught() -> None:
    """The last alpha does not count where an engine returns without writing its output."""
    engine = FakeEngine()
    engine.run = lambda: None  # type: ignore[method-assign]
    with pytest.raises(EngineError, match="no valid alpha"):
        Pipeline(ListSource([room_picture()]), "#000000", [Recorder()], engine=engine).run()


def test_hanging_network_is_named_on_the_placeholder(
    camera: LiveSource, clock: ManualClock
) -> None:
    recorder = Recorder()

    def hang(engine: FakeEngine) -> None:
        if engine.calls == 5:
            clock.pass_until(lambda: any("does not answer" in r for r in recorder.reasons))
            clock.advance(FRESH)

    pipeline = run_live(camera, recorder, lambda r: len(r.frames) > 6, engine=FakeEngine(hang))
    assert any("does not answer" in reason for reason in recorder.reasons)
    assert any("more than 2 s" in cause for cause in pipeline.stats.drops), "late alpha is refused"
    assert len(recorder.frames) > 6
    assert not any(shows_room(o.image) for o in recorder.outputs)


def test_placeholders_before_the_first_frame(camera: LiveSource, clock: ManualClock) -> None:
    """They go on for as long as the network takes to load."""
    recorder = Recorder(paced=True)
    slow = Factory(lambda: clock.pass_until(lambda: len(recorder.reasons) > 3))
    run_live(camera, recorder, lambda r: len(r.frames) > 2, engine=slow)
    assert all("loading" in reason for reason in recorder.reasons)
    assert [bool(o.reason) for o in recorder.outputs] == [True] * len(recorder.reasons) + [
        False
    ] * 3
    assert not any(shows_room(o.image) for o in recorder.outputs)


def test_network_that_cannot_be_loaded_ends_the_run(camera: LiveSource) -> None:
    def missing() -> None:
        raise ModelError("no such model")

    recorder = Recorder(paced=True)
    with pytest.raises(ModelError, match="no such model"):
        run_live(camera, recorder, engine=Factory(missing))
    assert not recorder.frames


def test_unplugged_camera_says_so_and_comes_back(camera: LiveSource, clock: ManualClock) -> None:
    recorder = Recorder()

    def done(r: Recorder) -> bool:
        if len(r.frames) == 5 and not r.reasons and not camera.unplugged:
            camera.unplugged = True
            meanwhile(lambda: clock.pass_until(lambda: camera.reopened > 0))
        if any("unplugged" in reason for reason in r.reasons):
            camera.unplugged = False
        return len(r.frames) > 10

    run_live(camera, recorder, done)
    assert recorder.reasons[0] == "the fake camera was unplugged"
    assert camera.reopened == 1
    assert len(recorder.frames) == 11
    assert not any(shows_room(o.image) for o in recorder.outputs)


def test_what_happens_is_logged_where_nobody_takes_notice(
    camera: LiveSource, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder()

    def once(engine: FakeEngine) -> None:
        if engine.calls > 3 and not recorder.reasons:
            fail(engine)

    with caplog.at_level(logging.INFO, "livecut"):
        run_live(
            camera,
            recorder,
            lambda r: bool(r.reasons) and not r.outputs[-1].reason,
            engine=FakeEngine(once),
        )
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("WARNING", "the network broke"),
        ("INFO", "the picture is back"),
    ]
    caplog.clear()
    told = list[str]()
    broken = FakeEngine(lambda engine: fail(engine) if engine.calls > 3 else None)
    another = LiveSource(room_picture(), clock=camera.clock)
    run_live(another, Recorder(), lambda r: bool(r.reasons), engine=broken, notice=told.append)
    assert told == ["the network broke"]
    assert not caplog.records


def test_stalled_camera_is_named(camera: LiveSource, clock: ManualClock) -> None:
    recorder = Recorder()

    def done(r: Recorder) -> bool:
        if len(r.frames) == 3 and not camera.stalled:
            camera.stalled = True
            meanwhile(lambda: clock.pass_until(lambda: bool(r.reasons)))
        if r.reasons:
            camera.stalled = False
        return bool(r.reasons)

    run_live(camera, recorder, done)
    assert recorder.reasons == ["no picture comes from fake camera"]
    assert len(recorder.frames) == 3


def test_swapping_backgrounds_never_shows_the_room(camera: LiveSource) -> None:
    recorder = Recorder()

    def done(r: Recorder) -> bool:
        if len(r.frames) % 3 == 0:
            r.queue = ["background", "mirror"]
        if len(r.frames) > 60:
            r.queue = ["quit"]
        return False

    run_live(camera, recorder, done)
    colours = {tuple(int(v) for v in o.image[0, 0]) for o in recorder.frames}
    assert len(colours) >= 2, "the background did change"
    # Blur shows the room's own colour, so only the frames over a plain colour can be judged.
    plain = [o.image for o in recorder.frames if tuple(o.image[0, 0]) in ((0, 0, 0), (64, 177, 0))]
    assert len(plain) > 20
    assert not any(shows_room(image) for image in plain)


@pytest.mark.parametrize("live", [True, False])
def test_next_background_that_is_gone_is_told_and_the_old_one_goes_on(live: bool) -> None:
    recorder, told = Recorder(), list[str]()
    source = LiveSource(room_picture()) if live else ListSource([room_picture()] * 9)
    pipeline = Pipeline(
        source,
        "#000000",
        [recorder],
        engine=FakeEngine(),
        max_frames=9,
        notice=told.append,
    )
    pipeline._cycle = ("gone.png",)
    recorder.queue = ["background"]
    pipeline.run()
    assert ["gone.png" in text for text in told] == [True]
    assert len(recorder.frames) == 9
    assert not recorder.reasons
    assert not any(shows_room(o.image) for o in recorder.outputs)


def test_background_that_breaks_gives_placeholders(camera: LiveSource) -> None:
    """One that fails while it composes, half-way through the picture."""

    class Breaks(Background):
        name = "breaks"
        count = 0

        def compose(self, cutout: Cutout, out: Image) -> None:
            self.count += 1
            breaks = self.count > 4 and not recorder.reasons
            np.copyto(out, cutout.frame.image if breaks else np.uint8(0))
            if breaks:
                raise ConfigError("background gone.mp4 gives no picture any more")

    recorder = Recorder()
    run_live(
        camera,
        recorder,
        lambda r: bool(r.reasons) and r.outputs[-1].reason == "",
        background=Breaks(),
    )
    assert [bool(o.reason) for o in recorder.outputs] == [False, False, True, False]
    assert "gone.mp4" in recorder.reasons[0]
    assert not any(shows_room(o.image) for o in recorder.outputs)


def test_freeze_repeats_a_composite_and_resumes_with_a_fresh_one(camera: LiveSource) -> None:
    recorder = Recorder(paced=True)

    def done(r: Recorder) -> bool:
        count = len(r.frames)
        if count in (5, 15):
            r.queue = ["freeze"]
        return count > 25

    run_live(camera, recorder, done)
    indices = [o.index for o in recorder.frames]
    frozen = max(set(indices), key=indices.count)
    assert indices[4:15] == [frozen] * 11
    assert indices[15] > frozen
    assert indices[15:] == sorted(set(indices[15:]))
    assert not any(shows_room(o.image) for o in recorder.outputs)


def test_sink_that_fails_is_aborted_and_everything_is_closed() -> None:
    class Full(Recorder):
        aborted = 0

        def write(self, output: Output) -> None:
            raise SinkError("disk full")

        def abort(self) -> None:
            self.aborted += 1

    sink = Full()
    with pytest.raises(SinkError, match="disk full"):
        Pipeline(ListSource([room_picture()]), "#000000", [sink], engine=FakeEngine()).run()
    assert sink.aborted == 1


def test_opened_by_the_pipeline_closed_by_the_pipeline(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    source = ListSource([room_picture()] * 3)
    Pipeline(source, "#000000", [str(out)], engine=FakeEngine()).run()
    assert out.stat().st_size > 0
    assert source.closed == 0, "who opens, closes: this source is the test's"


def test_source_error_mid_file_is_raised_and_the_file_is_finished(tmp_path: Path) -> None:
    class Torn(ListSource):
        def read(self, out: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> float | None:
            if self._at == 3:
                raise SourceError("torn")
            return super().read(out)

    out = tmp_path / "out.mp4"
    with pytest.raises(SourceError, match="torn"):
        Pipeline(Torn([room_picture()] * 5), "#000000", [str(out)], engine=FakeEngine()).run()
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]


def test_max_frames() -> None:
    stats = Pipeline(
        ListSource([room_picture()] * 9), "#000000", ["null"], max_frames=4, engine=FakeEngine()
    ).run()
    assert stats.frames == 4


def test_mirror_flips_the_picture() -> None:
    image = room_picture()
    image[:, : image.shape[1] // 2] = (1, 254, 3)
    recorder = Recorder()
    Pipeline(ListSource([image]), "#000000", [recorder], mirror=True, engine=FakeEngine()).run()
    columns = recorder.frames[0].image[36].sum(axis=-1)
    assert columns[:28].sum() > 50 * columns[40:].sum()


def test_newest_frame_wins(clock: ManualClock) -> None:
    """A network three times slower than the camera sees every third frame; others are counted."""

    class Counted(LiveSource):
        reads, ended = 0, False

        def read(self, out: Image) -> float | None:
            self.reads += 1
            timestamp = super().read(out)
            self.ended = timestamp is None
            return timestamp

    source, recorder = Counted(room_picture(), 49, clock=clock), Recorder()

    def slow(engine: FakeEngine) -> None:
        wait_until(lambda: pipeline.stats.frames >= engine.calls - 3, every=0.0005)
        for _ in range(3 * (engine.calls > 2)):
            reads = source.reads
            clock.advance(source.period)
            wait_until(lambda: source.reads > reads or source.ended, every=0.0005)  # noqa: B023

    pipeline = Pipeline(source, "#000000", [recorder], engine=FakeEngine(slow), clock=clock)
    pipeline.run()
    assert [o.index for o in recorder.frames] == list(range(0, 49, 3))
    assert pipeline.stats.drops["a newer frame came"] == 2 * 16
    assert pipeline.stats.source_fps == pytest.approx(200), "measured, whatever was granted"
    ages = pipeline.stats.stages["age"].samples()
    assert ages == pytest.approx(3 * source.period), "never older, whatever the backlog"


def test_steady_state_allocates_no_frame_sized_memory() -> None:
    size = (640, 480)
    peaks: list[int] = []
    images = [room_picture(*size)] * 30

    class Watch(Recorder):
        def write(self, output: Output) -> None:
            if output.index == 10:
                tracemalloc.start()
                tracemalloc.reset_peak()
            if output.index > 10:
                _, peak = tracemalloc.get_traced_memory()
                peaks.append(peak)
            if output.index == 29:
                tracemalloc.stop()

    for background in ("blur", "#00b140"):
        peaks.clear()
        engine = FakeEngine()
        engine.run = lambda: engine.output.fill(1)  # type: ignore[method-assign]  # noqa: B023
        Pipeline(ListSource(images), background, [Watch()], engine=engine).run()
        assert len(peaks) == 19
        assert max(peaks) < size[0] * size[1] / 4, "less than a quarter of one plane"
