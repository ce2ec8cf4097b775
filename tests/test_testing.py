"""The clock that tests move, and the stand-ins as outsiders use them."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from livecut import testing
from livecut.clock import Clock
from livecut.errors import SourceError
from livecut.testing import LiveSource, ManualClock, room_picture
from tests.waiting import wait_until


def test_who_waits_is_woken_when_the_time_has_come_and_not_before() -> None:
    clock, changed, begun = ManualClock(), threading.Condition(), threading.Event()

    def wait(done: bool) -> bool:
        with changed:
            begun.set()
            return clock.wait(changed, lambda: done, 1.0)

    assert wait(True), "at once"
    begun.clear()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait, False)
        assert begun.wait(20)
        with changed:  # which it lets go of only to wait
            pass
        clock.advance(0.9)
        assert not waiting.done()
        clock.advance(0.1)
        assert waiting.result(20) is False


def test_a_condition_that_comes_true_ends_the_wait() -> None:
    clock, changed, met = ManualClock(), threading.Condition(), list[int]()

    def wait(seconds: float | None) -> bool:
        with changed:
            return clock.wait(changed, lambda: bool(met), seconds)

    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(wait, seconds) for seconds in (5.0, None)]
        with changed:
            met.append(1)
            changed.notify_all()
        assert [each.result(20) for each in waiting] == [True, True]
    assert clock.now() == 1000.0


def test_sleep_and_join_move_the_time() -> None:
    clock, go_on = ManualClock(), threading.Event()
    clock.sleep(2.5)
    clock.sleep(-1)
    assert clock.now() == 1002.5
    thread = threading.Thread(target=go_on.wait, args=(20,))
    thread.start()
    clock.join(thread, 0.5)
    assert thread.is_alive()
    assert clock.now() == pytest.approx(1003)
    go_on.set()
    thread.join()
    clock.join(thread, 3.0)
    assert clock.now() == pytest.approx(1003)


def test_time_passes_until_something_is_so(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    clock.pass_until(lambda: clock.now() >= 1001)
    assert clock.now() == pytest.approx(1001, abs=0.06)
    monkeypatch.setattr(testing, "PATIENCE", 0.02)
    with pytest.raises(TimeoutError, match="did not come within"):
        clock.pass_until(lambda: False)


@pytest.mark.parametrize("clock", [ManualClock(), Clock()], ids=["manual", "real"])
def test_a_coroutine_has_so_much_time(clock: Clock) -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    async def seven() -> int:
        return 7

    async def both() -> None:
        assert await clock.within(seven(), 1.0) == 7
        if isinstance(clock, ManualClock):
            asyncio.get_running_loop().call_later(0.01, clock.advance, 0.03)
        with pytest.raises(TimeoutError):
            await clock.within(forever(), 0.02)

    asyncio.run(both())


def test_a_fake_camera_gives_a_picture_each_period_and_can_be_unplugged() -> None:
    clock = ManualClock()
    source = LiveSource(room_picture(), count=3, period=0.04, clock=clock)
    out = np.zeros((48, 64, 3), np.uint8)
    assert source.read(out) == clock.now(), "the first comes at once"
    assert (out == room_picture()).all()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(source.read, out)
        wait_until(lambda: bool(clock._alarms))
        clock.advance(0.03)
        assert not reading.done()
        clock.advance(0.01)
        assert reading.result(20) == pytest.approx(1000.04)
        source.unplugged = True
        clock.advance(1)
        with pytest.raises(SourceError, match="was unplugged"):
            source.read(out)
        source.unplugged = False
        source.reopen()
        clock.advance(1)
        assert source.read(out) == pytest.approx(1002.04)
        assert source.read(out) is None, "three were asked for"
