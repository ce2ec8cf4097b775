"""Stand-ins that tests wire together: an engine, a file-like and a live source, a recording sink."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from livecut.engines.base import Batch
from livecut.errors import EngineError, SourceError
from livecut.frame import Image, Output
from livecut.sinks.base import Sink
from livecut.sources.base import Source

ROOM = (1, 254, 3)
"""The colour of a room that must never be seen."""
PERSON = (200, 60, 40)


def room_picture(width: int = 64, height: int = 48) -> Image:
    """A PERSON rectangle in the middle of a ROOM."""
    image = np.full((height, width, 3), ROOM, np.uint8)
    image[height // 4 :, width // 4 : 3 * width // 4] = PERSON
    return image


def shows_room(image: Image) -> bool:
    """Whether any pixel comes near the room's colour."""
    return bool((np.abs(image[..., :3].astype(int) - ROOM).max(axis=-1) < 40).any())


class FakeBatch(Batch):
    """Pictures for a FakeEngine's `work`."""

    def __init__(self, engine: FakeEngine, count: int, width: int, height: int) -> None:
        self._engine = engine
        super().__init__(count, width, height, stride=2)

    def run(self) -> None:
        self._engine.batches.append(len(self.input))
        self._engine.work(self)


def find_person(batch: FakeBatch) -> None:
    """Alpha 1 where a picture has the person's colour."""
    person = np.abs(batch.input.astype(int) - PERSON).max(axis=-1) < 60
    batch.output[:] = person[:, ::2, ::2]


class FakeEngine:
    """Gives alpha 1 where the picture has the person's colour; `before` may break it.

    What streams share goes through `work` instead, and the sizes of its batches into `batches`.
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


class ListSource(Source):
    """Plays the pictures given, as a file would."""

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
        return time.perf_counter()

    def close(self) -> None:
        self.closed += 1


class LiveSource(Source):
    """A camera that gives one picture `count` times, every `period` seconds; may be unplugged."""

    name, description = "fake camera", "64x48"
    realtime = True
    frames = None

    def __init__(self, image: Image, count: int = 10**9, period: float = 0.005) -> None:
        self.image, self.count, self.period = image, count, period
        self.size = (image.shape[1], image.shape[0])
        self.fps = 1 / period
        self.unplugged = False
        self.stalled = False
        self.reopened = 0
        self.closed = 0

    def read(self, out: Image) -> float | None:
        if self.count <= 0:
            return None
        while self.stalled:
            time.sleep(0.01)
        time.sleep(self.period)
        if self.unplugged:
            raise SourceError("the fake camera was unplugged")
        self.count -= 1
        np.copyto(out, self.image)
        return time.perf_counter()

    def reopen(self) -> None:
        if self.unplugged:
            raise SourceError("the fake camera is still unplugged")
        self.reopened += 1

    def close(self) -> None:
        self.closed += 1


class Recorder(Sink):
    """Keeps a copy of all it is given; `then` is called after each."""

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
        return [o for o in self.outputs if not o.reason]

    @property
    def reasons(self) -> list[str]:
        return [o.reason for o in self.outputs if o.reason]


def fail(engine: FakeEngine) -> None:
    raise EngineError("the network broke")
