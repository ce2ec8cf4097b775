"""Several pipelines at once: what each gives, and that none holds up, ends or spoils another."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from livecut import EngineError, Pipeline, SharedEngine, SinkError, SourceError, run_all
from livecut.errors import LivecutError
from livecut.frame import Image, Output
from livecut.sinks import window
from livecut.sinks.base import Sink
from livecut.testing import (
    FakeBatch,
    FakeEngine,
    ListSource,
    LiveSource,
    ManualClock,
    Recorder,
    find_person,
    room_picture,
    shows_room,
)
from tests.processors.test_shared import demo
from tests.waiting import wait_until

MARK = (9, 9, 9)
"""The colour of a picture's corner for which a test's network does something wrong."""


@pytest.fixture
def engine() -> FakeEngine:
    """An engine that takes two pictures a batch."""
    return FakeEngine(max_batch=2)


def marked(image: Image) -> Image:
    image[:2, :2] = MARK
    return image


def realtime(
    shared: SharedEngine, recorder: Recorder, image: Image | None = None
) -> tuple[LiveSource, Pipeline]:
    source = LiveSource(room_picture() if image is None else image)
    return source, Pipeline(source, "#000000", [recorder], engine=shared)


def until(recorders: list[Recorder], done: Callable[[], bool], pipelines: list[Pipeline]) -> None:
    """Run them until `done` says so; never longer than 20 seconds."""
    end = time.perf_counter() + 20

    def then(_: Recorder) -> None:
        if done() or time.perf_counter() > end:
            for pipeline in pipelines:
                pipeline.stop()

    for recorder in recorders:
        recorder.then = then
    run_all(pipelines)
    assert time.perf_counter() < end
    for recorder in recorders:
        assert not any(shows_room(o.image) for o in recorder.outputs)


def started(recorder: Recorder) -> list[str]:
    """The reasons for placeholders, without those of the start."""
    return [reason for reason in recorder.reasons if not reason.startswith("starting")]


@pytest.mark.parametrize("in_flight", [1, 2])
def test_files_give_what_each_gives_alone(in_flight: int) -> None:
    """Bit for bit, of two sizes, with the shipped network."""
    films = [demo(6, (320, 180)), demo(9, (200, 240))]
    alone, at_once = [Recorder(), Recorder()], [Recorder(), Recorder()]
    for film, recorder in zip(films, alone, strict=True):
        Pipeline(ListSource(film), "blur", [recorder], device="cpu", in_flight=in_flight).run()
    shared = SharedEngine(device="cpu")
    run_all(
        [
            Pipeline(ListSource(film), "blur", [r], engine=shared, in_flight=in_flight)
            for film, r in zip(films, at_once, strict=True)
        ]
    )
    for one, other, film in zip(alone, at_once, films, strict=True):
        assert [o.index for o in other.outputs] == list(range(len(film)))
        for a, b in zip(one.outputs, other.outputs, strict=True):
            assert a.alpha is not None
            assert b.alpha is not None
            assert (a.image == b.image).all()
            assert (a.alpha == b.alpha).all()


def test_one_stalls_and_one_gives_nan_and_the_third_goes_on(engine: FakeEngine) -> None:
    def work(batch: FakeBatch) -> None:
        find_person(batch)
        batch.output[(batch.input[:, 0, 0] == MARK).all(axis=-1)] = np.nan

    engine.work = work
    shared, recorders = SharedEngine(engine=engine), [Recorder() for _ in range(3)]
    stalled, first = realtime(shared, recorders[0])
    _, second = realtime(shared, recorders[1], marked(room_picture()))
    _, third = realtime(shared, recorders[2])
    stalled.stalled = True

    def done() -> bool:
        named = any("no picture comes from" in reason for reason in recorders[0].reasons)
        return named and len(recorders[2].frames) > 100

    def unstall() -> None:
        wait_until(lambda: first.stopping)
        stalled.stalled = False  # lest its thread be waited for

    with ThreadPoolExecutor(1) as pool:
        pool.submit(unstall)
        until(recorders, done, [first, second, third])
    assert not recorders[0].frames
    assert not recorders[1].frames
    assert {"no valid alpha" in reason for reason in started(recorders[1])} == {True}
    assert started(recorders[2]) == []


def test_a_network_that_fails_gives_each_its_placeholder_and_recovers(engine: FakeEngine) -> None:
    recorders = [Recorder(), Recorder()]
    sizes = ((64, 48), (96, 72))

    def work(batch: FakeBatch) -> None:
        if all(r.frames for r in recorders) and not all(r.reasons for r in recorders):
            raise EngineError("the network broke")
        find_person(batch)

    engine.work = work
    shared = SharedEngine(engine=engine)
    pipelines = [
        realtime(shared, recorder, room_picture(*size))[1]
        for recorder, size in zip(recorders, sizes, strict=True)
    ]
    until(
        recorders,
        lambda: all(r.reasons and not r.outputs[-1].reason for r in recorders),
        pipelines,
    )
    for recorder, (width, height) in zip(recorders, sizes, strict=True):
        assert set(recorder.reasons) == {"the network broke"}
        assert {o.image.shape for o in recorder.outputs} == {(height, width, 3)}


def test_one_that_ends_does_not_end_the_others(engine: FakeEngine) -> None:
    shared, recorders = SharedEngine(engine=engine), [Recorder(), Recorder()]
    short = Pipeline(
        LiveSource(room_picture()), "#000000", [recorders[0]], engine=shared, max_frames=3
    )
    _, other = realtime(shared, recorders[1])
    after: list[int] = []

    def done() -> bool:
        if short.stopping:
            after.append(1)
        return len(after) > 20

    until([recorders[1]], done, [short, other])
    assert len(recorders[0].frames) == 3


class Torn(ListSource):
    """A file that cannot be read to its end."""

    def read(self, out: Image) -> float | None:
        if self._at == 3:
            raise SourceError("torn")
        return super().read(out)


def test_one_that_fails_is_told_and_the_others_go_on(engine: FakeEngine) -> None:
    shared, recorder = SharedEngine(engine=engine), Recorder()
    torn = Pipeline(Torn([room_picture()] * 9), "#000000", ["null"], engine=shared)
    atomic_write = Pipeline(ListSource([room_picture()] * 40), "#000000", [recorder], engine=shared)
    found: list[tuple[Pipeline, LivecutError]] = []
    run_all([torn, atomic_write], failed=lambda *failure: found.append(failure))
    assert [(p, str(e)) for p, e in found] == [(torn, "torn")]
    assert [o.index for o in recorder.frames] == list(range(40))


def test_or_else_it_ends_them_and_is_raised(engine: FakeEngine, tmp_path: Path) -> None:
    shared, out = SharedEngine(engine=engine), tmp_path / "out.mp4"
    torn = Pipeline(Torn([room_picture()] * 9), "#000000", ["null"], engine=shared)
    endless = Pipeline(LiveSource(room_picture()), "#000000", [str(out)], engine=shared)
    with pytest.raises(SourceError, match="torn"):
        run_all([torn, endless])
    assert endless.stopping
    assert [p.name for p in tmp_path.iterdir()] in ([], ["out.mp4"]), "finished or absent"


def test_what_is_no_error_of_livecut_is_never_swallowed(engine: FakeEngine) -> None:
    def mistake(_: Recorder) -> None:
        raise ZeroDivisionError("a bug")

    pipeline = Pipeline(
        ListSource([room_picture()]),
        "#000000",
        [Recorder(then=mistake)],
        engine=SharedEngine(engine=engine),
    )
    with pytest.raises(ZeroDivisionError, match="a bug"):
        run_all([pipeline], failed=lambda *_: None)


def test_ctrl_c_ends_all_and_finishes_their_files(engine: FakeEngine, tmp_path: Path) -> None:
    shared, outs = SharedEngine(engine=engine), [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    recorder = Recorder()
    pipelines = [
        Pipeline(LiveSource(room_picture()), "#000000", [str(out), recorder], engine=shared)
        for out in outs
    ]
    pressed: list[int] = []

    def then(r: Recorder) -> None:
        if len(r.frames) >= 30 and not pressed:
            pressed.append(1)
            signal.raise_signal(signal.SIGINT)

    recorder.then = then
    with pytest.raises(KeyboardInterrupt):
        run_all(pipelines)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


def test_one_that_hangs_at_the_end_is_left_behind_and_its_sinks_closed(
    engine: FakeEngine,
) -> None:
    clock, hang = ManualClock(), threading.Event()

    class Hangs(ListSource):
        def read(self, out: Image) -> float | None:
            if self._at == 2:
                pipeline.stop()
                clock.pass_until(lambda: recorder.closed > 0, step=1)
                hang.wait(20)
            return super().read(out)

    recorder = Recorder()
    pipeline = Pipeline(
        Hangs([room_picture()] * 5),
        "#000000",
        [recorder],
        engine=SharedEngine(engine=engine),
        in_flight=1,
    )
    run_all([pipeline], clock=clock)
    assert recorder.closed == 1
    hang.set()


def test_windows_are_handled_on_the_thread_that_runs_them(engine: FakeEngine) -> None:
    """And what fails there is raised in the pipeline whose window it is."""

    class Pane(Recorder):
        def __init__(self, fails: bool = False) -> None:
            super().__init__()
            self.fails, self.threads = fails, set[threading.Thread]()

        def write(self, output: Output) -> None:
            self.on_main(lambda: self._write(output))

        def _write(self, output: Output) -> None:
            self.threads.add(threading.current_thread())
            if self.fails and len(self.frames) > 2:
                raise SinkError("the window broke")
            super().write(output)

    shared, panes = SharedEngine(engine=engine), [Pane(), Pane(fails=True)]
    pipelines = [
        Pipeline(ListSource([room_picture()] * 8), "#000000", [pane], engine=shared)
        for pane in panes
    ]
    found: list[tuple[Pipeline, str]] = []
    run_all(pipelines, failed=lambda p, e: found.append((p, str(e))))
    assert [len(p.frames) for p in panes] == [8, 3]
    assert panes[0].threads == panes[1].threads == {threading.current_thread()}
    assert found == [(pipelines[1], "the window broke")]


def test_a_pipeline_that_is_not_run_closes_what_it_opened(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    given: Sink = Recorder()
    pipeline = Pipeline(ListSource([room_picture()]), "#000000", [str(out), given])
    assert list(tmp_path.iterdir())
    pipeline.close()
    assert list(tmp_path.iterdir()) == []
    assert isinstance(given, Recorder)
    assert not given.closed


def test_windows_have_titles_of_their_own_and_share_their_keys(
    display: str, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """q, pressed once, ends both; each shows its own stream."""
    pressed = iter([-1] * 40 + [ord("q"), *[-1] * 100_000])
    monkeypatch.setattr(window, "_poll_key", lambda: cv2.pollKey() * 0 + next(pressed))
    shared, recorders = SharedEngine(engine=engine), [Recorder(), Recorder()]
    pipelines = [
        Pipeline(
            LiveSource(room_picture(*size)),
            "#000000",
            ["window", recorder],
            engine=shared,
            title=f"livecut: {number}",
        )
        for number, (size, recorder) in enumerate(
            zip(((320, 240), (200, 160)), recorders, strict=True)
        )
    ]
    windows = [pipeline.sinks[0] for pipeline in pipelines]
    shown: dict[str, set[tuple[int, ...]]] = {}
    imshow = cv2.imshow

    def show(title: str, image: Image) -> None:
        assert threading.current_thread() is threading.main_thread()
        shown.setdefault(title, set()).add(image.shape)
        imshow(title, image)

    monkeypatch.setattr(cv2, "imshow", show)
    run_all(pipelines)
    assert shown == {"livecut: 0": {(240, 320, 3)}, "livecut: 1": {(160, 200, 3)}}
    assert all(r.frames for r in recorders)
    for pane in windows:
        assert not pane._open  # type: ignore[attr-defined]
        assert pane not in pane._all  # type: ignore[attr-defined]
