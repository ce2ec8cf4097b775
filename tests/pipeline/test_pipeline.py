"""The pipeline, and above all: in how many ways it does not show the room."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from livecut import Pipeline, SinkError, SourceError
from livecut.errors import ConfigError, EngineError, ModelError
from livecut.frame import Cutout, Image, Output
from tests.fakes import (
    PERSON,
    FakeEngine,
    ListSource,
    LiveSource,
    Recorder,
    fail,
    room_picture,
    shows_room,
)

UseEngine = Callable[[FakeEngine], FakeEngine]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> UseEngine:
    """Make every Segmenter run the engine given."""

    def install(engine: FakeEngine) -> FakeEngine:
        monkeypatch.setattr("livecut.segmenter.open_engine", lambda *_, **__: engine)
        monkeypatch.setattr("livecut.hardware.nvidia.driver_loads", lambda: False)
        return engine

    return install


def until(
    recorder: Recorder, done: Callable[[], bool], pipeline: list[Pipeline], seconds: float = 10
) -> None:
    """End the run once `done` says so; never runs longer than `seconds`."""
    end = time.perf_counter() + seconds

    def then(_: Recorder) -> None:
        if done() or time.perf_counter() > end:
            pipeline[0].stop()

    recorder.then = then


def live_run(
    source: LiveSource, recorder: Recorder, done: Callable[[], bool], background: str = "#000000"
) -> Pipeline:
    pipeline = Pipeline(source, background, [recorder])
    until(recorder, done, [pipeline])
    pipeline.run()
    return pipeline


def test_file_gives_every_frame_in_order(use: UseEngine) -> None:
    use(FakeEngine())
    recorder = Recorder()
    stats = Pipeline(ListSource([room_picture()] * 7), "#000000", [recorder]).run()
    assert [o.index for o in recorder.frames] == list(range(7))
    assert stats.frames == 7
    assert not stats.drops
    assert not any(shows_room(o.image) for o in recorder.outputs)
    middle = recorder.frames[0].image[36, 32]
    assert np.abs(middle.astype(int) - PERSON).max() <= 1


def test_alpha_is_of_the_very_frame(use: UseEngine) -> None:
    """A person who jumps between two places is cut out where they are, not where they were."""
    use(FakeEngine())
    left, right = room_picture(128, 96), room_picture(128, 96)
    left[:] = right[:] = (1, 254, 3)
    left[20:, 8:40] = PERSON
    right[20:, 88:120] = PERSON
    recorder = Recorder()
    Pipeline(ListSource([left, right] * 5), "#000000", [recorder]).run()
    for o in recorder.frames:
        assert o.alpha is not None
        here, there = (slice(8, 40), slice(88, 120))[:: 1 if o.index % 2 == 0 else -1]
        assert o.alpha[40:80, here].mean() > 250
        assert o.alpha[40:80, there].mean() < 1
        assert not shows_room(o.image)


def test_file_raises_what_the_network_raises(use: UseEngine) -> None:
    use(FakeEngine(fail))
    recorder = Recorder()
    with pytest.raises(EngineError, match="the network broke"):
        Pipeline(ListSource([room_picture()]), "#000000", [recorder]).run()
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
    use: UseEngine, breaks: Callable[[FakeEngine], None]
) -> None:
    recorder = Recorder()

    def before(engine: FakeEngine) -> None:
        if engine.calls > 5 and not recorder.reasons:
            breaks(engine)

    use(FakeEngine(before))
    source = LiveSource(room_picture())
    pipeline = live_run(
        source, recorder, lambda: bool(recorder.reasons) and not recorder.outputs[-1].reason
    )
    assert recorder.reasons
    assert recorder.outputs[-1].reason == "", "it goes on once the network does"
    assert not any(shows_room(o.image) for o in recorder.outputs)
    assert any("failed" in cause for cause in pipeline.stats.drops)


def test_an_alpha_rounded_to_over_one_is_a_good_one(use: UseEngine) -> None:
    use(FakeEngine(lambda engine: engine.output.fill(1.0000001)))
    recorder = Recorder()
    Pipeline(ListSource([room_picture()]), "#000000", [recorder]).run()
    assert [o.reason for o in recorder.outputs] == [""]


def test_silent_network_is_caught(use: UseEngine) -> None:
    """An engine that returns without writing its output leaves the last alpha there: it must not count."""
    engine = FakeEngine()
    use(engine)
    engine.run = lambda: None  # type: ignore[method-assign]
    with pytest.raises(EngineError, match="no valid alpha"):
        Pipeline(ListSource([room_picture()]), "#000000", [Recorder()]).run()


def test_hanging_network_is_named_on_the_placeholder(use: UseEngine) -> None:
    def hang(engine: FakeEngine) -> None:
        if engine.calls == 3:
            time.sleep(2.5)

    use(FakeEngine(hang))
    recorder = Recorder()
    pipeline = live_run(LiveSource(room_picture()), recorder, lambda: len(recorder.frames) > 6)
    assert any("does not answer" in reason for reason in recorder.reasons)
    assert any("more than 2 s" in cause for cause in pipeline.stats.drops), "late alpha is refused"
    assert len(recorder.frames) > 6
    assert not any(shows_room(o.image) for o in recorder.outputs)


def test_placeholder_before_the_first_frame(
    use: UseEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = use(FakeEngine())

    def slow(*_: object, **__: object) -> FakeEngine:
        time.sleep(0.4)
        return engine

    monkeypatch.setattr("livecut.segmenter.open_engine", slow)
    recorder = Recorder(paced=True)
    live_run(LiveSource(room_picture()), recorder, lambda: len(recorder.frames) > 2)
    assert "loading" in recorder.outputs[0].reason
    assert not any(shows_room(o.image) for o in recorder.outputs)


def test_network_that_cannot_be_loaded_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> FakeEngine:
        raise ModelError("no such model")

    monkeypatch.setattr("livecut.segmenter.open_engine", missing)
    recorder = Recorder(paced=True)
    with pytest.raises(ModelError, match="no such model"):
        Pipeline(LiveSource(room_picture()), "#000000", [recorder]).run()
    assert not recorder.frames


def test_unplugged_camera_says_so_and_comes_back(use: UseEngine) -> None:
    use(FakeEngine())
    source, recorder = LiveSource(room_picture()), Recorder()
    pipeline = Pipeline(source, "#000000", [recorder])
    end = time.perf_counter() + 15
    seen: list[int] = []

    def then(r: Recorder) -> None:
        if len(r.frames) == 5:
            source.unplugged = True
        if any("unplugged" in reason for reason in r.reasons):
            source.unplugged = False
            seen.append(r.outputs[-1].index)
        if (seen and len(r.frames) > 10) or time.perf_counter() > end:
            pipeline.stop()

    recorder.then = then
    pipeline.run()
    assert any("unplugged" in reason for reason in recorder.reasons)
    assert source.reopened >= 1
    assert len(recorder.frames) > 10
    assert not any(shows_room(o.image) for o in recorder.outputs)


def test_stalled_camera_is_named(use: UseEngine) -> None:
    use(FakeEngine())
    source, recorder = LiveSource(room_picture()), Recorder()

    def then(r: Recorder) -> None:
        source.stalled = len(r.frames) >= 3 and not r.reasons
        if r.reasons or len(r.frames) > 500:
            pipeline.stop()

    recorder.then = then
    pipeline = Pipeline(source, "#000000", [recorder])
    pipeline.run()
    assert any("no picture comes from fake camera" in reason for reason in recorder.reasons)


def test_swapping_backgrounds_never_shows_the_room(use: UseEngine) -> None:
    use(FakeEngine())
    recorder = Recorder()
    pipeline = Pipeline(LiveSource(room_picture()), "#000000", [recorder])

    def then(r: Recorder) -> None:
        if len(r.frames) % 3 == 0:
            r.queue = ["background", "mirror"]
        if len(r.frames) > 60:
            r.queue = ["quit"]

    recorder.then = then
    pipeline.run()
    colours = {tuple(int(v) for v in o.image[0, 0]) for o in recorder.frames}
    assert len(colours) >= 2, "the background did change"
    # Blur shows the room's own colour, so only the frames over a plain colour can be judged.
    plain = [o.image for o in recorder.frames if tuple(o.image[0, 0]) in ((0, 0, 0), (64, 177, 0))]
    assert len(plain) > 20
    assert not any(shows_room(image) for image in plain)


@pytest.mark.parametrize("live", [True, False])
def test_next_background_that_is_gone_is_told_and_the_old_one_goes_on(
    use: UseEngine, live: bool
) -> None:
    use(FakeEngine())
    recorder, told = Recorder(), list[str]()
    source = LiveSource(room_picture()) if live else ListSource([room_picture()] * 9)
    pipeline = Pipeline(source, "#000000", [recorder], max_frames=9, notice=told.append)
    pipeline._cycle = ("gone.png",)
    recorder.queue = ["background"]
    pipeline.run()
    assert ["gone.png" in text for text in told] == [True]
    assert len(recorder.frames) == 9
    assert not recorder.reasons
    assert not any(shows_room(o.image) for o in recorder.outputs)


def test_background_that_breaks_gives_placeholders(use: UseEngine) -> None:
    """One that fails while it composes, half-way through the picture."""

    class Breaks:
        name, seconds = "breaks", 0.0
        count = 0

        def compose(self, cutout: Cutout, out: Image) -> None:
            self.count += 1
            np.copyto(out, cutout.frame.image if self.count == 4 else np.uint8(0))
            if self.count == 4:
                raise ConfigError("background gone.mp4 gives no picture any more")

    use(FakeEngine())
    recorder = Recorder()
    pipeline = Pipeline(LiveSource(room_picture()), "#000000", [recorder])
    pipeline._change(Breaks())

    def then(r: Recorder) -> None:
        if (r.reasons and r.outputs[-1].reason == "") or len(r.frames) > 500:
            pipeline.stop()

    recorder.then = then
    pipeline.run()
    assert any("gone.mp4" in reason for reason in recorder.reasons)
    assert recorder.outputs[-1].reason == ""
    assert not any(shows_room(o.image) for o in recorder.outputs)


def test_freeze_repeats_a_composite_and_resumes_with_a_fresh_one(use: UseEngine) -> None:
    use(FakeEngine())
    recorder = Recorder(paced=True)
    pipeline = Pipeline(LiveSource(room_picture()), "#000000", [recorder])

    def then(r: Recorder) -> None:
        count = len(r.frames)
        if count in (5, 15):
            r.queue = ["freeze"]
        if count > 25:
            pipeline.stop()

    recorder.then = then
    pipeline.run()
    indices = [o.index for o in recorder.frames]
    frozen = max(set(indices), key=indices.count)
    assert indices.count(frozen) >= 5
    assert indices[-1] > frozen
    assert not any(shows_room(o.image) for o in recorder.outputs)


def test_sink_that_fails_is_aborted_and_everything_is_closed(use: UseEngine) -> None:
    use(FakeEngine())

    class Full(Recorder):
        aborted = 0

        def write(self, output: Output) -> None:
            raise SinkError("disk full")

        def abort(self) -> None:
            self.aborted += 1

    sink = Full()
    with pytest.raises(SinkError, match="disk full"):
        Pipeline(ListSource([room_picture()]), "#000000", [sink]).run()
    assert sink.aborted == 1


def test_opened_by_the_pipeline_closed_by_the_pipeline(use: UseEngine, tmp_path: Path) -> None:
    use(FakeEngine())
    out = tmp_path / "out.mp4"
    source = ListSource([room_picture()] * 3)
    Pipeline(source, "#000000", [str(out)]).run()
    assert out.stat().st_size > 0
    assert source.closed == 0, "who opens, closes: this source is the test's"


def test_source_error_mid_file_is_raised_and_the_file_is_finished(
    use: UseEngine, tmp_path: Path
) -> None:
    use(FakeEngine())

    class Torn(ListSource):
        def read(self, out: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> float | None:
            if self._at == 3:
                raise SourceError("torn")
            return super().read(out)

    out = tmp_path / "out.mp4"
    with pytest.raises(SourceError, match="torn"):
        Pipeline(Torn([room_picture()] * 5), "#000000", [str(out)]).run()
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]


def test_max_frames(use: UseEngine) -> None:
    use(FakeEngine())
    stats = Pipeline(ListSource([room_picture()] * 9), "#000000", ["null"], max_frames=4).run()
    assert stats.frames == 4


def test_mirror_flips_the_picture(use: UseEngine) -> None:
    use(FakeEngine())
    image = room_picture()
    image[:, : image.shape[1] // 2] = (1, 254, 3)
    recorder = Recorder()
    Pipeline(ListSource([image]), "#000000", [recorder], mirror=True).run()
    columns = recorder.frames[0].image[36].sum(axis=-1)
    assert columns[:28].sum() > 50 * columns[40:].sum()


def test_newest_frame_wins(use: UseEngine) -> None:
    """A network slower than the camera sees the newest frame each time, and drops are counted."""
    use(FakeEngine(lambda engine: time.sleep(0.03)))
    recorder = Recorder()
    pipeline = live_run(
        LiveSource(room_picture(), period=0.005), recorder, lambda: len(recorder.frames) > 15
    )
    assert pipeline.stats.drops["a newer frame came"] > 15
    assert 40 < pipeline.stats.source_fps < 200, "measured, whatever was granted"
    ages = pipeline.stats.stages["age"].percentiles(50)[0]
    assert ages < 60, "never older than a frame or two, whatever the backlog"


def test_steady_state_allocates_no_frame_sized_memory(use: UseEngine) -> None:
    use(FakeEngine())
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
        use(engine)
        Pipeline(ListSource(images), background, [Watch()]).run()
        assert len(peaks) == 19
        assert max(peaks) < size[0] * size[1] / 4, "less than a quarter of one plane"
