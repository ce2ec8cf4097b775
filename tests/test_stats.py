"""What a run says of itself: which frames came late, and why."""

from __future__ import annotations

import time

import numpy as np
import pytest

from livecut import Pipeline
from livecut.frame import Floats, Image
from livecut.kernels.composite import premultiply
from livecut.stats import Stats
from livecut.testing import FakeEngine, LiveSource, Recorder, room_picture
from tests.waiting import pause


def arrive(stats: Stats, index: int, age: float, **stages: float) -> None:
    """One live frame that was `age` seconds old when its sink had it."""
    for name, seconds in stages.items():
        if name != "sink":
            stats.add(name, seconds)
    stats.made(index)
    stats.add("sink", stages.get("sink", 0.0))
    now = time.perf_counter()
    stats.handed_over(now - age, now)
    stats.judge(index, now - age, 0.03)


def test_late_frames_are_counted_by_what_took_longest() -> None:
    stats = Stats()
    arrive(stats, 0, 0.020, network=0.015, sink=0.002)
    arrive(stats, 1, 0.050, network=0.040, sink=0.002)
    arrive(stats, 2, 0.050, network=0.010, sink=0.035)
    arrive(stats, 3, 0.060, capture=0.030, network=0.010, sink=0.010)
    arrive(stats, 7, 0.060, network=0.010, sink=0.002)
    assert stats.late == {"network": 1, "sink": 1, "capture": 1, "waiting for the output": 1}


def test_a_frame_that_was_dropped_is_not_taken_for_another() -> None:
    stats = Stats()
    stats.add("network", 0.5)
    stats.made(0)
    arrive(stats, 1, 0.05, refine=0.04, network=0.0)
    assert stats.late == {"refine": 1}
    assert stats._made == {}


def test_a_slow_background_is_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the lateness, and of no other stage's time."""

    def slow(image: Image, alpha: Image, out: Floats) -> None:
        pause(0.1)
        premultiply(image, alpha, out)

    monkeypatch.setattr("livecut.backgrounds.blur.premultiply", slow)
    source = LiveSource(room_picture(320, 192), period=0.03)
    stats = Pipeline(source, "blur", [Recorder()], max_frames=10, engine=FakeEngine()).run()
    assert max(stats.late, key=stats.late.__getitem__) == "background"
    assert stats.stages["background"].samples().min() >= 0.1
    assert np.median(stats.stages["composite"].samples()) < 0.05


def test_prints_as_figures() -> None:
    stats = Stats()
    assert str(stats) == "0 frames, 0.0 fps, drops: none\nstage  p50 ms  p95 ms  p99 ms"
    for _ in range(3):
        stats.add("network", 0.0125)
        stats.add("composite", 1.5)
        stats.handed_over(1.0, 1.01)
    stats.drop("a newer frame came")
    first, *table = str(stats).splitlines()
    assert first.startswith("3 frames, ")
    assert first.endswith(" fps, drops: 1 (a newer frame came)")
    assert table[0] == "stage       p50 ms   p95 ms   p99 ms"
    assert table[1] == "network      12.50    12.50    12.50"
    assert table[2] == "composite  1500.00  1500.00  1500.00"
    assert table[3:] == ["age          10.00    10.00    10.00"]
