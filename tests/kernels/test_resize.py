"""Reduction by halves."""

from __future__ import annotations

import pytest

from livecut.frame import Image, Size
from livecut.kernels import reference
from livecut.kernels.resize import reduce
from tests.kernels.cases import SIZES, apart, picture


@pytest.mark.parametrize("size", [*SIZES, (640, 363)])
@pytest.mark.parametrize("share", [1, 2, 9])
def test_reduce(size: Size, share: int) -> None:
    """Each level is rounded to bytes by half a level at most, and then averaged with others."""
    image, levels = picture(size), list[Image]()
    least = max(1, size[0] // share), max(1, size[1] // share)
    got, expected = reduce(image, least, levels), reference.reduce(image, least)
    assert apart(got, expected).max() <= 0.5 + 0.5 * len(levels)
    assert apart(got, expected).mean() <= 0.5
    assert got is (levels[-1] if levels else image)
    assert got.shape[1] >= least[0]
    assert got.shape[0] >= least[1]


def test_reduce_uses_its_buffers_again() -> None:
    levels = list[Image]()
    first = reduce(picture((64, 48)), (16, 12), levels)
    assert [level.shape for level in levels] == [(24, 32, 3), (12, 16, 3)]
    assert reduce(picture((64, 48)), (16, 12), levels) is first
    assert reduce(picture((64, 48)), (32, 24), levels).shape == (24, 32, 3)
    assert len(levels) == 1
