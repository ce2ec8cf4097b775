"""A frame's number painted into the picture, to be read back at the other end of a sink."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from livecut.frame import Image

NUMBERS = 4096
"""Frame numbers are taken modulo this."""
LEFT, TOP, RIGHT, BOTTOM = 0.36, 0.77, 0.52, 0.95
"""Place of the code, as shares of the picture: on the person's chest in every frame of the demo
clip, so that it stays in the picture whatever stands behind them."""
DARK, BRIGHT = 16, 160
_CHECK = 0b1010  # a dark or a bright field is no code


def _bits(number: int) -> int:
    check = (number ^ number >> 4 ^ number >> 8 ^ _CHECK) & 15
    return number << 4 | check


def area(width: int, height: int) -> tuple[slice, slice]:
    """The rows and columns of the code in a picture of this size, 100x90 or larger."""
    return (
        slice(int(TOP * height), int(BOTTOM * height)),
        slice(int(LEFT * width), int(RIGHT * width)),
    )


def _cells(code: Image) -> Iterator[Image]:
    """The sixteen cells of the code's area, most significant bit first."""
    ys, xs = (np.linspace(0, side, 5).astype(int) for side in code.shape[:2])
    for top, bottom in pairwise(ys):
        for left, right in pairwise(xs):
            yield code[top:bottom, left:right]


def paint(image: Image, number: int) -> None:
    """Write `number` modulo `NUMBERS` into a picture (H, W, 3)."""
    bits = _bits(number % NUMBERS)
    for place, cell in enumerate(_cells(image[area(image.shape[1], image.shape[0])])):
        cell[:] = BRIGHT if bits >> (15 - place) & 1 else DARK


def read(code: Image) -> int | None:
    """The number in the luma of a code's area (h, w); None where none can be trusted."""
    bits = 0
    for cell in _cells(code):
        y, x = cell.shape[0] // 4, cell.shape[1] // 4
        inside = cell[y : cell.shape[0] - y, x : cell.shape[1] - x]
        bits = bits << 1 | int(inside.mean() > (DARK + BRIGHT) / 2)
    number = bits >> 4
    return number if _bits(number) == bits else None
