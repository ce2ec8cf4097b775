"""Several streams on one network: what goes together, and that each gets its own alpha back."""

from __future__ import annotations

import random
import threading
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from livecut import EngineError, ModelError, Segmenter, SharedEngine, open_source
from livecut.backgrounds import open_background
from livecut.engines import open_engine
from livecut.engines.shared import Batcher, Port, fill
from livecut.frame import Frame, Image
from livecut.models import Target
from livecut.processors.base import FrameProcessor
from livecut.stats import Stats
from livecut.testing import FakeBatch, FakeEngine
from tests.waiting import pause, wait_until

SIZES = ((64, 48), (48, 64))


def ports(engine: FakeEngine, count: int, threads: int = 1) -> list[Port]:
    batcher = Batcher(engine, threads)
    made = [Port(batcher) for _ in range(count)]
    for port in made:
        port.resize(*SIZES[0])
    engine.batches.clear()
    return made


def send(port: Port, level: int) -> None:
    """Send a picture of which `is_own` knows the alpha."""
    port.input[:] = level
    port.output.fill(np.nan)
    port.run()


def is_own(port: Port, level: int) -> bool:
    return bool((port.output == np.float32(level / 255)).all())


def mean(batch: FakeBatch) -> None:
    """A network whose alpha is the picture's own level."""
    batch.output[:] = batch.input[:, ::2, ::2, 0] / np.float32(255)


def held(engine: FakeEngine) -> tuple[threading.Event, threading.Event]:
    """Makes the engine wait in its next run: what says that it does, and what lets it go on."""
    inside, go_on, work = threading.Event(), threading.Event(), engine.work

    def wait(batch: FakeBatch) -> None:
        inside.set()
        assert go_on.wait(20)
        work(batch)

    engine.work = wait
    return inside, go_on


def due(port: Port, count: int) -> None:
    """Wait until so many pictures wait for the network."""
    wait_until(lambda: len(port._batcher._due) >= count, every=0.001)


def test_every_stream_gets_its_own_alpha() -> None:
    """Whatever goes together, in whatever order, in two sizes."""
    engine = FakeEngine(work=mean, max_batch=4)
    made = ports(engine, 7)
    chance = random.Random(0)

    def stream(number: int) -> int:
        port, right = made[number], 0
        for picture in range(60):
            if picture % 20 == 0:
                port.resize(*SIZES[(number + picture // 20) % 2])
            level = (number * 60 + picture) % 256
            send(port, level)
            right += is_own(port, level)
            pause(chance.random() * 0.002)
        return right

    with ThreadPoolExecutor(7) as pool:
        assert list(pool.map(stream, range(7))) == [60] * 7
    assert set(engine.batches) <= {1, 2, 4}
    assert max(engine.batches) > 1
    assert not made[0]._batcher._due


def test_what_becomes_due_meanwhile_goes_together() -> None:
    engine = FakeEngine(work=mean, max_batch=4)
    made = ports(engine, 7)
    inside, go_on = held(engine)
    with ThreadPoolExecutor(7) as pool:
        jobs = [pool.submit(send, made[0], 0)]
        assert inside.wait(20)
        for number in range(1, 7):
            jobs.append(pool.submit(send, made[number], number))
            due(made[0], number)
        go_on.set()
        for job in jobs:
            job.result(20)
    assert engine.batches == [1, 4, 2], "the first waits for nobody"
    assert all(is_own(port, number) for number, port in enumerate(made))


def test_other_sizes_keep_their_place() -> None:
    engine = FakeEngine(work=mean, max_batch=4)
    made = ports(engine, 5)
    for port in made[2:4]:
        port.resize(*SIZES[1])
    engine.batches.clear()
    inside, go_on = held(engine)
    with ThreadPoolExecutor(5) as pool:
        jobs = [pool.submit(send, made[0], 0)]
        assert inside.wait(20)
        for place, number in enumerate((1, 2, 4, 3), 1):
            jobs.append(pool.submit(send, made[number], number))
            due(made[0], place)
        go_on.set()
        for job in jobs:
            job.result(20)
    assert engine.batches == [1, 2, 2]
    assert all(is_own(port, number) for number, port in enumerate(made))


def test_a_cpu_takes_them_side_by_side() -> None:
    lock, inside, most = threading.Lock(), 0, 0

    def work(batch: FakeBatch) -> None:
        nonlocal inside, most
        with lock:
            inside, most = inside + 1, max(most, inside + 1)
        pause(0.003)
        mean(batch)
        with lock:
            inside -= 1

    engine = FakeEngine(work=work)
    made = ports(engine, 5, threads=2)
    most = 0

    def stream(number: int) -> bool:
        for _ in range(10):
            send(made[number], number)
            if not is_own(made[number], number):
                return False
        return True

    with ThreadPoolExecutor(5) as pool:
        assert all(pool.map(stream, range(5)))
    assert most == 2
    assert set(engine.batches) == {1}
    assert "2 pictures at once" in made[0].description


def max_batch(engine: FakeEngine, made: list[Port]) -> list[BaseException | None]:
    """Send pictures 1, 2, … as one batch, behind one that is held up; what each raised."""
    inside, go_on = held(engine)
    first = Port(made[0]._batcher)
    first.resize(*SIZES[0])
    engine.batches.clear()

    with ThreadPoolExecutor(len(made) + 1) as pool:
        ahead = pool.submit(send, first, 0)
        assert inside.wait(20)
        jobs = []
        for number, port in enumerate(made, 1):
            jobs.append(pool.submit(send, port, number))
            due(port, number)
        go_on.set()
        found = [job.exception(20) for job in jobs]
        ahead.result(20)
    assert engine.batches == [1, len(made)]
    return found


@pytest.mark.parametrize(
    ("error", "said"),
    [(EngineError("it broke"), "it broke"), (ZeroDivisionError("by 0"), "ZeroDivisionError: by 0")],
)
def test_a_batch_that_fails_fails_for_all_in_it(error: Exception, said: str) -> None:
    def work(batch: FakeBatch) -> None:
        if len(batch.input) > 1:
            raise error
        mean(batch)

    engine = FakeEngine(work=mean, max_batch=4)
    made = ports(engine, 4)
    engine.work = work
    found = max_batch(engine, made)
    assert all(isinstance(e, EngineError) and said in str(e) for e in found)
    assert len({id(e) for e in found}) == 4, "each its own"
    assert all(np.isnan(port.output).all() for port in made)
    engine.work = mean
    send(made[1], 9)
    assert is_own(made[1], 9), "it goes on"


def test_a_network_that_writes_nothing_gives_no_alpha() -> None:
    engine = FakeEngine(work=mean)
    [port] = ports(engine, 1)
    send(port, 7)
    engine.work = lambda batch: None
    send(port, 8)
    assert np.isnan(port.output).all()


def test_a_receipt_of_another_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in the bookkeeping, put in on purpose, is found."""
    engine = FakeEngine(work=mean, max_batch=2)
    made = ports(engine, 2)
    monkeypatch.setattr(
        "livecut.engines.shared.fill", lambda batch, ports: fill(batch, ports[::-1])
    )
    for error in max_batch(engine, made):
        assert isinstance(error, EngineError)
        assert "came for" in str(error)


def test_nothing_of_a_pictures_size_is_allocated() -> None:
    engine = FakeEngine(work=lambda batch: batch.output.fill(1), max_batch=4)
    [port] = ports(engine, 1)
    port.resize(512, 288)
    port.run()
    tracemalloc.start()
    for _ in range(50):
        port.run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 512 * 288 / 8


# whole processors


def demo(count: int, size: tuple[int, int]) -> list[Image]:
    images = [np.zeros((size[1], size[0], 3), np.uint8) for _ in range(count)]
    with open_source("demo", size=size) as source:
        for image in images:
            source.read(image)
    return images


def processor(engine: SharedEngine, in_flight: int = 1) -> FrameProcessor:
    background = open_background("blur", (64, 48))
    return engine.open_processor(
        background=background, temporal=True, in_flight=in_flight, stats=Stats()
    )


def test_it_is_loaded_once_when_first_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []

    def load(*_: object, **__: object) -> FakeEngine:
        loaded.append(1)
        pause(0.05)
        return FakeEngine()

    monkeypatch.setattr("livecut.processors.shared.open_engine", load)
    engine = SharedEngine(device="cpu")
    assert not loaded
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: processor(engine), range(4)))
    assert len(loaded) == 1
    assert len({id(c) for c in made}) == 4


def test_what_cannot_be_loaded_is_said_to_all_and_tried_once() -> None:
    engine = SharedEngine("nosuch", device="cpu")
    errors = []
    for _ in range(2):
        with pytest.raises(ModelError, match="unknown model 'nosuch'") as raised:
            processor(engine)
        errors.append(raised.value)
    assert errors[0] is errors[1]


def test_each_stream_has_a_state_of_its_own() -> None:
    """One is cut to another scene, one is reset, one goes on; as each would be alone."""
    images = demo(3, (320, 180))
    noisy = np.minimum(images[0], 243) + np.uint8(12)
    films = [[images[0], 255 - images[1], images[2]], images, [noisy, images[0], images[0]]]
    engine = SharedEngine(device="cpu")
    processors: list[list[Any]] = [
        [processor(engine) for _ in films],
        [Segmenter(device="cpu", temporal=True) for _ in films],
    ]
    for index in range(3):
        for number, film in enumerate(films):
            frame = Frame(film[index], index, 0.0, 0.0)
            if (number, index) == (1, 2):
                for row in processors:
                    row[1].reset()
            got, alone = (row[number].cut(frame).alpha for row in processors)
            assert (got == alone).all()


def test_pictures_of_a_batch_do_not_touch_each_other() -> None:
    """The shipped network, three at once: bit for bit what each gives alone."""
    engine = open_engine(Target.parse("live", "cpu"), threads=1)
    pictures = demo(3, (256, 144))
    engine.resize(256, 144)
    alone = []
    for picture in pictures:
        np.copyto(engine.input, picture)
        engine.run()
        alone.append(engine.output.copy())
    batch = engine.batch(3, 256, 144)
    np.copyto(batch.input, pictures)
    batch.run()
    assert (batch.output == alone).all()
    batch.input[1] = 255 - batch.input[1]
    batch.run()
    assert (batch.output[[0, 2]] == [alone[0], alone[2]]).all()
    assert (batch.output[1] != alone[1]).any()


def test_the_real_network_through_batches() -> None:
    engine = open_engine(Target.parse("live", "cpu"), threads=1)
    engine.max_batch = 4
    batcher, pictures = Batcher(engine), demo(6, (256, 144))
    made = [Port(batcher) for _ in pictures]
    engine.resize(256, 144)

    def stream(number: int) -> Image:
        made[number].resize(256, 144)
        np.copyto(made[number].input, pictures[number])
        for _ in range(4):
            made[number].run()
        return made[number].output.copy()  # type: ignore[return-value]

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(stream, range(6)))
    for picture, got in zip(pictures, found, strict=True):
        np.copyto(engine.input, picture)
        engine.run()
        assert (got == engine.output).all()


def test_nan_in_one_stream_is_its_own_affair() -> None:
    def work(batch: FakeBatch) -> None:
        mean(batch)
        batch.output[batch.input[:, 0, 0, 0] == 13] = np.nan

    engine = FakeEngine(work=work, max_batch=2)
    both = SharedEngine(engine=engine)
    processors = [processor(both), processor(both)]
    frames = [Frame(np.full((48, 64, 3), level, np.uint8), 0, 0.0, 0.0) for level in (13, 200)]
    for c in processors:
        c.cut(Frame(np.zeros((48, 64, 3), np.uint8), 0, 0.0, 0.0))
    inside, go_on = held(engine)
    engine.batches.clear()
    waiting: Callable[[], Any] = lambda: processor(both).cut(frames[1])  # noqa: E731
    with ThreadPoolExecutor(3) as pool:
        ahead = pool.submit(waiting)
        assert inside.wait(20)
        jobs = [pool.submit(c.cut, f) for c, f in zip(processors, frames, strict=True)]
        due(processors[0]._segmenter._engine, 2)  # type: ignore[attr-defined]
        go_on.set()
        with pytest.raises(EngineError, match="no valid alpha"):
            jobs[0].result(20)
        assert jobs[1].result(20).alpha.min() > 150
        ahead.result(20)
    assert engine.batches == [1, 2]
