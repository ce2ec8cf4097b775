"""Frames that can be told apart, and checks of a processor away from the host."""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest

from livecut.errors import EngineError
from livecut.frame import BGR, Buffer, Frame, Image, as_image, output_buffers
from livecut.pipeline.guard import Guard
from livecut.sources import open_source
from livecut.testing import PERSON, ROOM, shows_room

SIZE = (64, 48)
SIZES = [(640, 360), (321, 243), (203, 360)]


@cache
def clip() -> list[Image]:
    """Three frames of the demo clip, ten apart."""
    frames = list[Image]()
    with open_source("demo") as source:
        for number in range(21):
            image = np.zeros((source.size[1], source.size[0], 3), np.uint8)
            source.read(image)
            frames += [image] * (number % 10 == 0)
    return frames


def demo(size: tuple[int, int], count: int = 1) -> list[Image]:
    """At most three frames of the demo clip, its middle where the shape is another."""
    return [middle(image, size) for image in clip()[:count]]


def middle(image: Image, size: tuple[int, int]) -> Image:
    (height, width), (w, h) = image.shape[:2], size
    wide, high = min(width, round(height * w / h)), min(height, round(width * h / w))
    left, top = (width - wide) // 2, (height - high) // 2
    return as_image(cv2.resize(image[top : top + high, left : left + wide], size))


def iou(a: Image, b: Image) -> float:
    return float(((a > 127) & (b > 127)).sum() / ((a > 127) | (b > 127)).sum())


def person_at(x: int) -> Image:
    image = np.full((SIZE[1], SIZE[0], 3), ROOM, np.uint8)
    image[8:40, x : x + 16] = PERSON
    return image


def frame(index: int) -> Frame:
    """The person is somewhere else in each."""
    return Frame(person_at(4 + index * 12 % 44), index, 0.0, 0.0)


def blank() -> Buffer:
    [buffer] = output_buffers(BGR, SIZE, 1)
    return buffer


def is_composite(image: Image, index: int) -> bool:
    """Whether an image shows the person of that frame, and black elsewhere."""
    expected = np.where((person_at(4 + index * 12 % 44) == PERSON).all(-1)[..., None], PERSON, 0)
    return float(np.abs(image.astype(int) - expected).mean()) < 6 and not shows_room(image)


def never_takes_what_was_given_up(made: Any) -> None:
    """Check a processor with one frame in flight."""
    old, new = frame(1), frame(2)
    slot = made.infer(old)
    made.infer(new)
    guard = Guard(
        SIZE,
        segment=lambda frame, out: made.finish(slot, out),
        compose=made.compose,
        realtime=False,
    )
    with pytest.raises(EngineError, match="of another frame than 1"):
        guard.process(old, blank())
    with pytest.raises(EngineError, match="handed over before"):
        made.finish(slot)


def uses_lent_buffers_in_place(made: Any) -> None:
    """Check that lent buffers and others may be mixed, and a frame may be given up."""
    buffers, outputs = made.frames(BGR, SIZE, 3), made.outputs(BGR, SIZE, 2)
    for index in range(8):
        buffer = buffers[index % 3]
        buffer.picture[:] = frame(index).image
        sent = frame(index) if index == 4 else buffer.frame(index, 0.0, 0.0)
        out = blank() if index == 5 else outputs[index % 2]
        slot = made.infer(sent, out)
        if index == 6:
            continue
        found = made.finish(slot, out)
        alpha: Image = found.alpha
        assert alpha is out.alpha
        assert np.shares_memory(slot.image(BGR), sent.image) == (index != 4)
        assert np.shares_memory(slot.alpha(), alpha) == (index != 5)
        made.compose(found, out)
        assert np.shares_memory(slot.picture(), out.picture) == (index != 5)
        assert is_composite(out.picture, index)
        assert alpha[out.picture.any(-1)].all()


def composes_only_what_came_down_last(made: Any) -> None:
    """Check a processor with two frames in flight."""
    first, second = made.infer(frame(1)), made.infer(frame(2))
    old = made.finish(first)
    made.finish(second)
    out = blank()
    with pytest.raises(EngineError, match="not that of frame 1"):
        made.compose(old, out)
    assert not out.picture.any()
    last = made.cut(frame(3))
    made.infer(frame(4))
    made.infer(frame(5))
    with pytest.raises(EngineError, match="frame 5 was sent over frame 3"):
        made.compose(last, out)
