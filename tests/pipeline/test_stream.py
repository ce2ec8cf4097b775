"""`livecut.stream`: frames in order, each with its own alpha, everything closed at the end."""

from __future__ import annotations

import threading
from contextlib import closing

import numpy as np
import pytest

import livecut
from livecut.errors import EngineError
from livecut.frame import Image
from livecut.testing import PERSON, ROOM, FakeEngine, ListSource, LiveSource, fail, room_picture
from tests.waiting import Hasty


def person_at(left: int) -> Image:
    image = np.full((96, 128, 3), ROOM, np.uint8)
    image[20:, left : left + 32] = PERSON
    return image


def test_a_file_gives_every_frame_with_its_own_alpha_to_keep() -> None:
    pictures = [person_at(left) for left in (0, 40, 80, 10, 90)]
    source = ListSource(pictures, fps=10)
    cutouts = list(livecut.stream(source, engine=FakeEngine()))
    assert source.closed == 0, "it was opened by the caller"
    assert [c.frame.index for c in cutouts] == list(range(5))
    assert [c.frame.position for c in cutouts] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    for cutout, picture in zip(cutouts, pictures, strict=True):
        assert (cutout.image == picture).all()
        assert cutout.alpha.shape == (96, 128)
        assert cutout.alpha.dtype == np.uint8
        person = (picture == PERSON).all(-1)
        assert cutout.alpha[person].mean() > 230
        assert cutout.alpha[~person].mean() < 25


def test_the_demo_clip_by_its_name_with_the_shipped_network() -> None:
    with closing(livecut.stream("demo", device="cpu")) as cutouts:
        first = next(cutouts)
    assert first.image.shape == (360, 640, 3)
    assert 0.05 < (first.alpha > 127).mean() < 0.8


def test_a_live_source_gives_the_newest_and_stops_with_the_loop() -> None:
    source = LiveSource(person_at(40))
    last, kept = -1, list[Image]()
    for cutout in livecut.stream(source, engine=FakeEngine()):
        assert cutout.frame.index > last
        last = cutout.frame.index
        kept.append(cutout.image)
        if len(kept) == 4:
            break
    del cutout
    assert all((image == source.image).all() for image in kept)
    assert len({image.ctypes.data for image in kept}) == 4, "none is written again"
    assert not [t for t in threading.enumerate() if t.name == "capture"]


def test_a_live_source_that_is_lost_is_told_and_taken_up_again(
    caplog: pytest.LogCaptureFixture,
) -> None:

    class Camera(LiveSource):
        def reopen(self) -> None:
            self.unplugged = not caplog.messages  # until it was told
            super().reopen()

    source = Camera(person_at(40))
    with closing(livecut.stream(source, engine=FakeEngine(), clock=Hasty())) as cutouts:
        next(cutouts)
        source.unplugged = True
        while not source.reopened:
            next(cutouts)
        next(cutouts)
    assert caplog.messages == ["the fake camera was unplugged", "the picture is back"]


def test_a_live_source_that_ends_ends_the_loop() -> None:
    cutouts = list(livecut.stream(LiveSource(person_at(40), count=3), engine=FakeEngine()))
    assert cutouts[-1].frame.index == 2


@pytest.mark.parametrize("source", [ListSource, lambda images: LiveSource(images[0])])
def test_a_network_that_fails_is_raised(source: type[ListSource]) -> None:
    with pytest.raises(EngineError, match="the network broke"):
        next(livecut.stream(source([room_picture()] * 3), engine=FakeEngine(fail)))


def test_nothing_is_opened_before_the_first_frame() -> None:
    cutouts = livecut.stream("nosuch.mp4")
    with pytest.raises(livecut.SourceError, match=r"nosuch\.mp4"):
        next(cutouts)
