"""The gate itself, and the slot that feeds it."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from livecut.errors import EngineError
from livecut.frame import BGRA, Buffer, Cutout, Frame, Image
from livecut.pipeline.guard import FRESH, Guard, Placeholder
from livecut.slot import Slot
from livecut.testing import ManualClock, room_picture, shows_room


def compose(cutout: Cutout, out: Buffer) -> None:
    np.copyto(out.picture, cutout.frame.image)


CLOCK = ManualClock()


def frame(index: int = 0, age: float = 0.0) -> Frame:
    return Frame(room_picture(), index, CLOCK.now() - age, 0.0)


def guard(alpha: Image | Exception, seconds: float = 0.0) -> Guard:
    """A guard of a network that takes so many seconds for an alpha, or an error."""

    def segment(frame: Frame, out: Buffer) -> Cutout:
        CLOCK.advance(seconds)
        if isinstance(alpha, Exception):
            raise alpha
        return Cutout(frame, alpha)

    return Guard((64, 48), segment=segment, compose=compose, realtime=True, clock=CLOCK)


GOOD = np.zeros((48, 64), np.uint8)


@pytest.mark.parametrize(
    ("alpha", "reason"),
    [
        (EngineError("broke"), "broke"),
        (ValueError("odd"), "ValueError: odd"),
        (np.zeros((48, 63), np.uint8), "the alpha is"),
        (np.zeros((48, 64), np.float32), "the alpha is"),
        (np.zeros((0, 0), np.uint8), "the alpha is"),
    ],
)
def test_bad_alpha_gives_a_placeholder(alpha: Image | Exception, reason: str) -> None:
    output = guard(alpha).process(frame(), Buffer(room_picture()))
    assert reason in output.reason
    assert output.alpha is None
    assert not shows_room(output.image)


def test_another_frames_alpha_is_refused() -> None:
    other = Cutout(frame(0), GOOD)
    g = Guard(
        (64, 48),
        segment=lambda frame, out: other,
        compose=compose,
        realtime=True,
        clock=CLOCK,
    )
    output = g.process(frame(1), Buffer(room_picture()))
    assert "of another frame than 1" in output.reason
    assert not shows_room(output.image)


def test_old_and_repeated_frames_are_refused() -> None:
    g = guard(GOOD)
    out = Buffer(np.zeros((48, 64, 3), np.uint8))
    assert "2 s old" in g.process(frame(age=FRESH + 0.01), out).reason
    assert g.process(frame(3, age=FRESH - 0.01), out).reason == ""
    assert g.process(frame(5), out).reason == ""
    assert "came after" in g.process(frame(5), out).reason
    assert "came after" in g.process(frame(4), out).reason
    assert g.process(frame(6), out).reason == ""


@pytest.mark.parametrize(("seconds", "shown"), [(FRESH - 0.01, True), (FRESH + 0.01, False)])
def test_a_frame_that_became_too_old_meanwhile_is_refused(seconds: float, shown: bool) -> None:
    """In the network, and while it was composed."""

    def compose_slowly(cutout: Cutout, out: Buffer) -> None:
        CLOCK.advance(seconds)
        compose(cutout, out)

    slow = Guard(
        (64, 48),
        segment=lambda frame, out: Cutout(frame, GOOD),
        compose=compose_slowly,
        realtime=True,
        clock=CLOCK,
    )
    for made in (guard(GOOD, seconds), slow):
        output = made.process(frame(), Buffer(room_picture()))
        assert ("more than 2 s" in output.reason) != shown
        assert (output.alpha is not None) == shown


@pytest.mark.parametrize("size", [(1280, 720), (64, 48), (16, 16), (200, 2000)])
def test_placeholder_fits_and_is_drawn_once(size: tuple[int, int]) -> None:
    placeholder = Placeholder(size, BGRA)
    first = placeholder("the camera was unplugged; plug it in again " * 3)
    assert first.image.shape == (size[1], size[0], 4)
    assert (first.image[..., 3] == 255).all()
    assert first.image is placeholder(first.reason).image
    assert (placeholder("something else").image != first.image).any() or min(size) < 20


class Item:
    def __init__(self, image: Image, number: int) -> None:
        self.image, self.number = image, number


def test_slot_holds_the_newest_and_counts_drops() -> None:
    buffers = [Buffer(np.zeros((1, 1), np.uint8)) for _ in range(3)]
    dropped: list[None] = []
    slot: Slot[Item] = Slot(buffers, lambda: dropped.append(None))
    assert slot.get(timeout=0.01) is None
    for n in range(5):
        slot.put(Item(slot.writable().picture, n))
    got = slot.get()
    assert got is not None
    assert got.number == 4
    assert len(dropped) == 4
    assert slot.get(timeout=0.01) is None, "the same item is never given twice"


def test_slot_never_gives_out_a_buffer_in_use() -> None:
    """A writer and a reader at full speed: what is being read never changes under the reader."""
    buffers = [Buffer(np.zeros((64, 64), np.int64).view(np.uint8)) for _ in range(3)]
    dropped: list[None] = []
    slot: Slot[Item] = Slot(buffers, lambda: dropped.append(None))

    def write() -> None:
        for n in range(3000):
            image = slot.writable().picture
            image.view(np.int64)[:] = n
            slot.put(Item(image, n))
        slot.close()

    thread = threading.Thread(target=write)
    thread.start()
    last, seen = -1, 0
    while (item := slot.get()) is not None:
        values = item.image.view(np.int64)
        assert (values == item.number).all()
        assert item.number > last
        last, seen = item.number, seen + 1
        assert (values == item.number).all()
    thread.join()
    assert last == 2999
    assert seen + len(dropped) == 3000


def test_slot_raises_the_first_error() -> None:
    slot: Slot[Item] = Slot([])
    slot.close(EngineError("first"))
    slot.close(EngineError("second"))
    with pytest.raises(EngineError, match="first"):
        slot.get()
