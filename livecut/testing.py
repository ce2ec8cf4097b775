"""Stand-ins for those who test a source, a sink, an engine or what runs them.

A pipeline of them needs no camera, no model and no time:

>>> recorder = Recorder()   # doctest: +SKIP
>>> Pipeline(ListSource([room_picture()]), "#000000", [recorder], engine=FakeEngine()).run()
>>> assert not any(shows_room(output.image) for output in recorder.outputs)
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

import numpy as np

from livecut.clock import CLOCK, Clock
from livecut.engines.base import Batch, Engine
from livecut.errors import EngineError, SourceError
from livecut.frame import Image, Output
from livecut.sinks.base import Sink
from livecut.sources.base import Source

T = TypeVar("T")

ROOM = (1, 254, 3)
"""The colour, BGR, of a room that must never be seen."""
PERSON = (200, 60, 40)
"""The colour, BGR, that a FakeEngine takes for a person."""
EPSILON = 1e-6
"""Seconds by which a deadline on a ManualClock may be missed: sums of floats are not exact."""
PATIENCE = 20.0
"""Real seconds after which `ManualClock.pass_until` gives up."""


def room_picture(width: int = 64, height: int = 48) -> Image:
    """A PERSON rectangle in the middle of a ROOM: BGR uint8 (H, W, 3)."""
    image = np.full((height, width, 3), ROOM, np.uint8)
    image[height // 4 :, width // 4 : 3 * width // 4] = PERSON
    return image


def shows_room(image: Image) -> bool:
    """Whether any pixel of a BGR or BGRA picture comes near the room's colour."""
    return bool((np.abs(image[..., :3].astype(int) - ROOM).max(axis=-1) < 40).any())


class ManualClock(Clock):
    """A clock that stands still until a test moves it; any thread may.

    Who sleeps, or waits for the end of a thread, moves it and goes on. Who waits for something else
    within a time really waits, until that has come or the clock was moved far enough.
    """

    def __init__(self, now: float = 1000.0) -> None:
        self._lock = threading.Lock()
        self._now = now
        self._alarms: list[Callable[[], None]] = []

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the time on, and wake whoever waits for it."""
        with self._lock:
            self._now += seconds
            alarms = list(self._alarms)
        for alarm in alarms:
            alarm()

    def pass_until(self, done: Callable[[], bool], step: float = 0.05) -> None:
        """Move the time on by steps, a real millisecond apart, until `done`.

        Raises TimeoutError after `PATIENCE` real seconds.
        """
        nothing, end = threading.Event(), CLOCK.now() + PATIENCE
        while not done():
            if CLOCK.now() > end:
                raise TimeoutError(f"it did not come within {PATIENCE:g} real seconds")
            self.advance(step)
            nothing.wait(0.001)

    def sleep(self, seconds: float) -> None:
        self.advance(max(0.0, seconds))

    def join(self, thread: threading.Thread, seconds: float) -> None:
        deadline = self._now + seconds
        while thread.is_alive() and self._now < deadline - EPSILON:
            self.advance(0.05)
            thread.join(0.01)

    def wait(
        self, changed: threading.Condition, done: Callable[[], bool], seconds: float | None
    ) -> bool:
        if seconds is None:
            return changed.wait_for(done)
        deadline = self._now + seconds

        def wake() -> None:
            with changed:
                changed.notify_all()

        self._add(wake)
        try:
            changed.wait_for(lambda: done() or self._now >= deadline - EPSILON)
        finally:
            self._remove(wake)
        return done()

    async def within(self, waiting: Awaitable[T], seconds: float) -> T:
        deadline, loop = self._now + seconds, asyncio.get_running_loop()
        async with asyncio.timeout(None) as limit:

            def ring() -> None:
                if self._now >= deadline - EPSILON and alarm in self._alarms:
                    limit.reschedule(loop.time())

            def alarm() -> None:
                with suppress(RuntimeError):  # the loop has ended meanwhile
                    loop.call_soon_threadsafe(ring)

            self._add(alarm)
            try:
                return await waiting
            finally:
                self._remove(alarm)

    def _add(self, alarm: Callable[[], None]) -> None:
        with self._lock:
            self._alarms.append(alarm)

    def _remove(self, alarm: Callable[[], None]) -> None:
        with self._lock:
            self._alarms.remove(alarm)


class FakeBatch(Batch):
    """Pictures for a FakeEngine's `work`."""

    def __init__(self, engine: FakeEngine, count: int, width: int, height: int) -> None:
        self._engine = engine
        super().__init__(count, width, height, stride=2)

    def run(self) -> None:
        self._engine.batches.append(len(self.input))
        self._engine.work(self)


def find_person(batch: FakeBatch) -> None:
    """Alpha 1 where a picture has the person's colour, else 0."""
    person = np.abs(batch.input.astype(int) - PERSON).max(axis=-1) < 60
    batch.output[:] = person[:, ::2, ::2]


class FakeEngine(Engine):
    """An engine that gives alpha 1 where the picture has the person's colour.

    `before` is called with the engine after each run and may spoil its `output` or raise. Batches,
    which streams share, go through `work` instead, and their sizes into `batches`. `calls` counts
    the runs.
    """

    description = "a fake"
    area, stride = 64 * 48, 16

    def __init__(
        self,
        before: Callable[[FakeEngine], None] = lambda engine: None,
        *,
        work: Callable[[FakeBatch], None] = find_person,
        max_batch: int = 1,
    ) -> None:
        self.before, self.work, self.max_batch = before, work, max_batch
        self.calls = 0
        self.batches: list[int] = []

    def batch(self, count: int, width: int, height: int) -> FakeBatch:
        return FakeBatch(self, count, width, height)

    def resize(self, width: int, height: int) -> None:
        self.input = np.zeros((height, width, 3), np.uint8)
        self.output = np.zeros((height // 2, width // 2), np.float32)

    def run(self) -> None:
        self.calls += 1
        person = np.abs(self.input.astype(int) - PERSON).max(axis=-1) < 60
        self.output[:] = person[::2, ::2]
        self.before(self)


def fail(engine: FakeEngine) -> None:
    """Breaks a FakeEngine: its `before` that raises EngineError."""
    raise EngineError("the network broke")


class ListSource(Source):
    """A file of the pictures given, all of one size; `closed` counts the calls of `close`."""

    name, description = "list", "a list of pictures"
    realtime = False

    def __init__(self, pictures: Iterable[Image], fps: float = 30.0) -> None:
        self.pictures = list(pictures)
        self.size = (self.pictures[0].shape[1], self.pictures[0].shape[0])
        self.fps, self.frames = fps, len(self.pictures)
        self.closed = 0
        self._at = 0

    def read(self, out: Image) -> float | None:
        if self._at == len(self.pictures):
            return None
        np.copyto(out, self.pictures[self._at])
        self._at += 1
        return CLOCK.now()

    def close(self) -> None:
        self.closed += 1


class LiveSource(Source):
    """A camera that gives one picture `count` times, `period` seconds of its clock apart.

    While `stalled` it gives none; while `unplugged`, reading and reopening fail. `reopened` and
    `closed` count.
    """

    name, description = "fake camera", "64x48"
    realtime = True
    frames = None

    def __init__(
        self, image: Image, count: int = 10**9, period: float = 0.005, clock: Clock = CLOCK
    ) -> None:
        self.image, self.count, self.period, self.clock = image, count, period, clock
        self.size = (image.shape[1], image.shape[0])
        self.fps = 1 / period
        self.unplugged = False
        self.reopened = 0
        self.closed = 0
        self._changed = threading.Condition()
        self._stalled = False
        self._due = 0.0

    @property
    def stalled(self) -> bool:
        """Whether it gives no picture at present, and `read` waits."""
        return self._stalled

    @stalled.setter
    def stalled(self, stalled: bool) -> None:
        with self._changed:
            self._stalled = stalled
            self._changed.notify_all()

    def read(self, out: Image) -> float | None:
        if self.count <= 0:
            return None
        self.pause()
        if self.unplugged:
            raise SourceError("the fake camera was unplugged")
        self.count -= 1
        np.copyto(out, self.image)
        return self.clock.now()

    def pause(self) -> None:
        """Wait until the next picture is due."""

        def due() -> bool:
            return self.clock.now() >= self._due - EPSILON

        with self._changed:
            self.clock.wait(self._changed, due, self._due - self.clock.now())
            self._changed.wait_for(lambda: not self._stalled)
        self._due = self.clock.now() + self.period

    def reopen(self) -> None:
        if self.unplugged:
            raise SourceError("the fake camera is still unplugged")
        self.reopened += 1

    def close(self) -> None:
        self.closed += 1


class Recorder(Sink):
    """Keeps a copy of all it is given in `outputs`; `then` is called after each.

    `queue` holds the keys that its user presses next; `closed` counts the calls of `close`.
    """

    def __init__(
        self, *, paced: bool = False, then: Callable[[Recorder], None] = lambda r: None
    ) -> None:
        self.name, self.paced = "recorder", paced
        self.then = then
        self.outputs: list[Output] = []
        self.closed = 0
        self.queue: list[str] = []

    def write(self, output: Output) -> None:
        alpha = None if output.alpha is None else output.alpha.copy()
        self.outputs.append(replace(output, image=output.image.copy(), alpha=alpha))
        self.then(self)

    def close(self) -> None:
        self.closed += 1

    def pressed(self) -> list[str]:
        keys, self.queue = self.queue, []
        return keys

    @property
    def frames(self) -> list[Output]:
        """What was composited."""
        return [o for o in self.outputs if not o.reason]

    @property
    def reasons(self) -> list[str]:
        """What the placeholders said."""
        return [o.reason for o in self.outputs if o.reason]
