"""Two frames in flight: the same pictures as with one, in order, and the same failures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from livecut import ConfigError, Pipeline
from livecut.errors import EngineError
from livecut.frame import Image
from livecut.testing import (
    PERSON,
    FakeEngine,
    ListSource,
    LiveSource,
    Recorder,
    room_picture,
    shows_room,
)
from tests.waiting import pause, wait_until


def jumping(count: int) -> list[Image]:
    """A person who is elsewhere in each picture, before a room of its own brightness."""
    pictures = []
    for i in range(count):
        picture = np.full((96, 128, 3), 40 + i, np.uint8)
        left = (i * 37) % 80
        picture[20:, left : left + 40] = PERSON
        pictures.append(picture)
    return pictures


def outputs(pictures: list[Image], **options: Any) -> Recorder:
    """What comes out where the network is now quicker and now slower than the rest."""

    def hesitate(engine: FakeEngine) -> None:
        pause(0.004 * (engine.calls % 3))

    recorder = Recorder()
    engine = FakeEngine(hesitate)
    Pipeline(ListSource(pictures), sinks=[recorder], engine=engine, **options).run()
    return recorder


@pytest.mark.parametrize("mirror", [False, True])
def test_same_pictures_with_one_and_with_several(mirror: bool) -> None:
    pictures = jumping(12)
    one = outputs(pictures, in_flight=1, mirror=mirror)
    for in_flight in (2, 3):
        several = outputs(pictures, in_flight=in_flight, mirror=mirror)
        assert [o.index for o in several.frames] == list(range(12))
        for a, b in zip(one.frames, several.frames, strict=True):
            assert np.array_equal(a.image, b.image)
            assert a.alpha is not None
            assert b.alpha is not None
            assert np.array_equal(a.alpha, b.alpha)


def test_network_runs_beside_the_rest() -> None:
    """While a frame is in the sink, the network works on the next."""
    started: list[int] = []
    engine = FakeEngine(lambda engine: started.append(engine.calls))
    seen: list[int] = []

    def wait(recorder: Recorder) -> None:
        wanted = 2 + len(recorder.outputs) + 1  # two of the warm-up
        wait_until(lambda: len(started) >= min(wanted, 2 + 6), every=0.001)
        seen.append(len(started) - 2)

    Pipeline(ListSource(jumping(6)), "red", [Recorder(then=wait)], engine=engine).run()
    assert seen == [2, 3, 4, 5, 6, 6]


def test_failure_on_the_other_thread_ends_the_run() -> None:
    def third(engine: FakeEngine) -> None:
        if engine.calls == 5:
            raise EngineError("the network broke")

    recorder = Recorder()
    source = ListSource([room_picture()] * 9)
    with pytest.raises(EngineError, match="the network broke"):
        Pipeline(source, "#000000", [recorder], engine=FakeEngine(third)).run()
    assert [o.index for o in recorder.outputs] == [0, 1]
    assert not any(shows_room(o.image) for o in recorder.outputs)


def test_live_source_has_one_frame_in_flight() -> None:
    with pytest.raises(ConfigError, match="2 frames in flight, of a live source"):
        Pipeline(LiveSource(room_picture()), "blur", ["null"], in_flight=2)
