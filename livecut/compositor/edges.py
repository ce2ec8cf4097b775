"""The person's own colour at soft edges, so that no rim of the old room surrounds them.

A pixel of the frame is a * F + (1 - a) * B: where alpha is soft, the room shines through. There the
composite takes F for a blend of the frame and of the person's colour nearby, a mean of the frame over
cells of 8x8 pixels or more, weighted by the cells' alpha. The weighted mean is the start of the blur
fusion of Forte (Approximate Fast Foreground Colour Estimation, 2021); in place of the room's colour and
a correction by the rest, which go wrong where alpha itself does, the frame's share falls with alpha.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, int32, uint8, uint16, uint32, uintp
from numpy.typing import NDArray

from livecut.compositor import kernel
from livecut.frame import Image

Floats = NDArray[np.float32]

CELLS = 3
"""How many cells on each side of an edge between cells count for the person's colour there."""
FALL = 0.1
"""What a cell counts, by its distance, of what the next nearer one counts."""
FLOOR = 1e-4
"""What the person's mean colour counts everywhere; a cell that is all person counts 1."""

Edges = tuple[Floats, Image, int]
"""What the composites are to know of a cutout: the mean alpha (h, w) of its cells in 0..1, exactly 0
or 1 where all pixels are; the person's colour, BGR (h + 1, w + 1, 3), at the corners of those that are
neither; and a cell's width and height in pixels."""


def cell_size(size: tuple[int, int]) -> int:
    """The width and height, a power of two up to 16, of cells for a frame of `size` pixels."""
    return 8 if min(size) < 1440 else 16


def cells_least(size: tuple[int, int]) -> tuple[int, int]:
    """The least (width, height) that a frame of `size` is averaged down to, before it is fitted to cells."""
    cell = cell_size(size)
    return max(1, size[0] // cell), max(1, size[1] // cell)


@kernel
def survey(alpha: Image, cell: int, mean: Floats) -> None:
    """Write the mean of alpha (H, W) over cells of `cell` (up to 16) pixels squared: (h, w) in 0..1.

    The last row and column of cells may stand over; what lies outside counts for nothing.
    """
    height, width = alpha.shape
    rows, columns = mean.shape
    sums = np.zeros(columns * cell, np.uint16)
    for row in range(rows):
        top, bottom = row * cell, min(height, (row + 1) * cell)
        sums[:] = 0
        for y in range(top, bottom):
            for x in range(width):
                sums[x] = uint16(sums[x] + uint16(alpha[y, x]))
        count = columns * cell
        while count > columns:
            count //= 2
            for x in range(count):
                sums[x] = uint16(sums[2 * x] + sums[2 * x + 1])
        most = float32(255 * cell * (bottom - top))
        for x in range(columns):
            mean[row, x] = float32(sums[x]) / most
        most = float32(255 * (width - (columns - 1) * cell) * (bottom - top))
        mean[row, columns - 1] = float32(sums[columns - 1]) / most


@kernel
def weigh_person(image: Image, mean: Floats, out: Floats) -> None:
    """Write (B w, G w, R w, w) float32 (h, w, 4), where w = alpha^8: the person without the room."""
    height, width = mean.shape
    for y in range(height):
        for x in range(width):
            w = mean[y, x]
            w *= w
            w *= w
            w *= w
            for c in range(3):
                out[y, x, c] = float32(image[y, x, c]) * w
            out[y, x, 3] = w


@kernel
def spread_person(
    weighted: Floats, mean: Floats, reach: int, fall: float, floor: float, out: Image
) -> None:
    """Write the person's colour at the corners of soft cells, from what `weigh_person` made.

    `out` is BGR (h + 1, w + 1, 3); other corners stay as they are. The cells that count lie up to `reach`
    to each side of the corner, the nearest fully, those behind by `fall` of the one before, in each
    direction. The person's mean colour counts `floor`; it is black where there is no person.
    """
    height, width = mean.shape
    rows = weighted.reshape(height, width * 4)
    sums, total = np.zeros(width * 4, np.float32), np.zeros(4, np.float32)
    for y in range(height):
        _add(sums, rows[y], float32(1))
    for x in range(width):
        for c in range(4):
            total[c] += sums[4 * x + c]
    share = float32(floor) / max(total[3], float32(1e-30))
    line = np.zeros((width + 2 * reach) * 4, np.float32)
    around = np.empty((width + 1) * 4, np.float32)
    soft = np.zeros(width + 2, np.bool_)
    for row in range(height + 1):
        above, below = max(row - 1, 0), min(row, height - 1)
        for x in range(width):
            a, b = mean[above, x], mean[below, x]
            soft[x + 1] = ((a > 0) & (a < 1)) | ((b > 0) & (b < 1))
        if not soft.any():
            continue
        line[:] = 0
        around[:] = 0
        counts = float32(1)
        for step in range(reach):
            for y in (row - 1 - step, row + step):
                if 0 <= y < height:
                    _add(line[4 * reach :], rows[y], counts)
            counts *= float32(fall)
        counts = float32(1)
        for step in range(reach):
            _add(around, line[4 * (reach - 1 - step) :], counts)
            _add(around, line[4 * (reach + step) :], counts)
            counts *= float32(fall)
        for column in range(width + 1):
            if soft[column] | soft[column + 1]:
                scale = float32(1) / (around[4 * column + 3] + float32(floor))
                for c in range(3):
                    v = (around[4 * column + c] + share * total[c]) * scale + float32(0.5)
                    out[row, column, c] = uint8(min(v, float32(255)))


@kernel
def _add(sums: Any, values: Any, counts: Any) -> None:
    for i in range(min(sums.shape[0], values.shape[0])):
        sums[i] += counts * values[i]


NOBODY, PERSON, SOFT = 0, 1, 2


@kernel
def person_runs(edges: Edges, row: int, lines: Image) -> Any:
    """The runs of a row of cells: (n, 2) int32, a kind and the column of pixels where it ends.

    The person's colour at the row's upper and lower side is written into `lines` (2, W * 3), where it is
    SOFT.
    """
    mean, colours, cell = edges
    columns, width = mean.shape[1], lines.shape[1] // 3
    runs = np.empty((columns, 2), np.int32)
    count, before, step = 0, -1, 128 // cell
    for column in range(columns):
        a = mean[row, column]
        kind = NOBODY if a == 0 else (PERSON if a == 1 else SOFT)
        if kind != before:
            if count:
                runs[count - 1, 1] = column * cell
            runs[count, 0] = before = kind
            count += 1
        if kind == SOFT:
            first, last = column * cell, min(width, (column + 1) * cell)
            for side in range(2):
                left, right = colours[row + side, column], colours[row + side, column + 1]
                b, g, r = int32(left[0]) << 8, int32(left[1]) << 8, int32(left[2]) << 8
                db = int32(int32(right[0]) - int32(left[0])) * step
                dg = int32(int32(right[1]) - int32(left[1])) * step
                dr = int32(int32(right[2]) - int32(left[2])) * step
                line = lines[side]
                for x in range(uintp(first), uintp(last)):
                    i = uintp(3) * x
                    line[i] = uint8((b + db) >> 8)
                    line[i + uintp(1)] = uint8((g + dg) >> 8)
                    line[i + uintp(2)] = uint8((r + dr) >> 8)
                    b, g, r = b + 2 * db, g + 2 * dg, r + 2 * dr
    runs[count - 1, 1] = width
    return runs[:count]


@kernel
def person_weight(y: int, cell: int) -> int:
    """How much of 256 the lower of the lines that `person_runs` makes counts in row `y` of the picture."""
    return (2 * (y % cell) + 1) * (128 // cell)


@kernel
def _weights(alpha: Any, first: Any, last: Any, straight: bool, own: Any, whole: Any) -> None:
    """What of 256 the person counts, and the frame's own colour alone: alpha, and its smooth step of that.

    Both thrice, for the channels. Where `straight`, the person counts wholly wherever alpha is not 0.
    """
    for x in range(first, last):
        a = uint32(alpha[x])
        a = uint32(a + (a >> uint32(7)))
        s = uint32(uint32(a * a) * uint32(uint32(768) - uint32(2) * a)) >> uint32(16)
        if straight:
            a = uint32(256) if a else uint32(0)
        k, i = uint16(uint32(a * s) >> uint32(8)), uintp(3) * x
        own[i] = own[i + uintp(1)] = own[i + uintp(2)] = k
        whole[i] = whole[i + uintp(1)] = whole[i + uintp(2)] = uint16(a)


@kernel
def put_person(
    frame: Any,
    behind: Any,
    alpha: Any,
    runs: Any,
    lines: Any,
    lower: int,
    straight: bool,
    weights: Any,
    out: Any,
) -> None:
    """Write a row of the person over what is `behind`; all are (W * 3,), but alpha is (W,).

    `runs` and `lines` are those of `person_runs`, `lower` is `person_weight`, `weights` (2, W * 3) uint16
    is room to work in. Where `straight`, alpha is not multiplied in: all but alpha 0 is the person's colour
    alone.
    """
    t = uint16(lower)
    rest = uint16(uint16(256) - t)
    above, below, own, whole = lines[0], lines[1], weights[0], weights[1]
    first = uintp(0)
    for run in range(runs.shape[0]):
        kind, last = runs[run, 0], uintp(runs[run, 1])  # unsigned, or no loop is vectorised
        if kind == NOBODY:
            for i in range(uintp(3) * first, uintp(3) * last):
                out[i] = behind[i]
        elif kind == PERSON:
            for i in range(uintp(3) * first, uintp(3) * last):
                out[i] = frame[i]
        else:
            _weights(alpha, first, last, straight, own, whole)
            for i in range(uintp(3) * first, uintp(3) * last):
                mixed = uint16(uint16(uint16(above[i]) * rest) + uint16(uint16(below[i]) * t))
                k, a = own[i], whole[i]
                near = uint16(uint16(mixed >> uint16(8)) * uint16(a - k))
                person = uint16(uint16(uint16(frame[i]) * k) + near)
                room = uint16(uint16(behind[i]) * uint16(uint16(256) - a))
                out[i] = uint8(uint16(person + room) >> uint16(8))
        first = last
