"""Frames at a constant rate: repeated, left out, never early."""

from __future__ import annotations

from fractions import Fraction

import pytest

from livecut.sources.constant import ConstantRate


def chosen(times: list[float], rate: int, stay: float) -> str:
    """The letters of the frames that are chosen; a, b, c, ... are at these times."""
    frames = iter([(chr(97 + n), time) for n, time in enumerate(times)])
    constant = ConstantRate(lambda: next(frames, None), Fraction(rate), stay)
    letters = ""
    while (found := constant.next()) is not None:
        assert found[1] == pytest.approx(times[0] + len(letters) / rate)
        letters += found[0]
    assert constant.next() is None
    return letters


@pytest.mark.parametrize(
    ("times", "rate", "stay", "letters"),
    [
        ([0.0, 0.1, 0.2, 0.3], 10, 0.1, "abcd"),
        ([0.0, 0.1, 0.2, 0.3], 5, 0.1, "ac"),
        ([0.0, 0.1, 0.2], 20, 0.1, "aabbcc"),
        ([0.0, 0.5, 0.6], 10, 0.1, "aaaaabc"),
        ([0.0, 0.01, 0.02, 0.1], 10, 0.1, "ad"),
        ([2.0, 2.1000001, 2.2], 10, 0.1, "abc"),
        ([0.0], 10, 0.1, "a"),
        ([0.0], 10, 0.3, "aaa"),
        ([0.0, 0.3, 0.2, 0.4], 10, 0.1, "aaacd"),
    ],
    ids=str,
)
def test_the_newest_that_is_due(times: list[float], rate: int, stay: float, letters: str) -> None:
    assert chosen(times, rate, stay) == letters


def test_no_frames() -> None:
    constant = ConstantRate[str](lambda: None, Fraction(10), 0.1)
    assert constant.next() is None
