"""Time and waiting behind one small interface, so that a test can move the time itself.

What waits for time takes a `Clock` and defaults to `CLOCK`, the real one; `livecut.testing` has a
clock that a test moves.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class Clock:
    """Real time."""

    def now(self) -> float:
        """Seconds by `time.perf_counter`, which never goes back."""
        return time.perf_counter()

    def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        time.sleep(seconds)

    def wait(
        self, changed: threading.Condition, done: Callable[[], bool], seconds: float | None
    ) -> bool:
        """Wait until `done`, and no longer than `seconds`; returns whether it is done.

        The caller holds `changed`, which is notified when the answer of `done` may be another.
        """
        return changed.wait_for(done, seconds)

    def join(self, thread: threading.Thread, seconds: float) -> None:
        """Wait for the end of a thread, and no longer than `seconds`."""
        thread.join(seconds)

    async def within(self, waiting: Awaitable[T], seconds: float) -> T:
        """Wait for the result of `waiting`; raises TimeoutError after `seconds`."""
        return await asyncio.wait_for(waiting, seconds)


CLOCK = Clock()
"""Real time, for all that is given no other clock."""
