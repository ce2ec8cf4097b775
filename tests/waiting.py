"""Waiting for what really takes time: other threads, processes, devices."""

from __future__ import annotations

import threading
from collections.abc import Callable

from livecut.clock import CLOCK, Clock

_NEVER = threading.Event()


def pause(seconds: float) -> None:
    """Spend real time, for what measures it or needs to be left alone for a while."""
    _NEVER.wait(seconds)


def wait_until(condition: Callable[[], bool], timeout: float = 20.0, every: float = 0.005) -> None:
    """Look `every` so many seconds whether something is so; fails after `timeout` seconds."""
    end = CLOCK.now() + timeout
    while not condition():
        assert CLOCK.now() < end, f"it did not come within {timeout:g} s"
        pause(every)


class Hasty(Clock):
    """Real time, but who waits for something waits 10 ms at most."""

    def wait(
        self, changed: threading.Condition, done: Callable[[], bool], seconds: float | None
    ) -> bool:
        return super().wait(changed, done, seconds and min(seconds, 0.01))
