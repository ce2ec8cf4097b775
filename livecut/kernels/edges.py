"""The person's own colour at soft edges, so that no rim of the old room surrounds them.

A pixel of the frame is a * F + (1 - a) * B: where alpha is soft, the room shines through. There the
composites take two colours from nearby, F that of the person and B that of the room, means of the frame
over cells of 8x8 pixels or more that are weighted by alpha and by 1 - alpha. The pixel's place on the line
from B to F says how much of the person it is. A pixel of the room gets less alpha, a pixel of the person
keeps its own colour, and the others are drawn to F, the more the lower alpha is. Where F and B are alike
alpha alone decides. The two weighted means are those of blur fusion (Forte, Approximate Fast Foreground
Colour Estimation, 2021); what is made of them is not, because a network's alpha is itself not exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, int32, uint8, uint16, uintp

from livecut.frame import Floats, Image
from livecut.kernels import kernel
from livecut.kernels.constants import (
    CELL_FALL,
    CELL_FLOOR,
    CELL_REACH,
    CELL_SQUARINGS,
    COLOUR_CLEAR,
    COLOUR_NOISE,
    LARGE_CELL,
    LARGE_FRAME,
    PERSON_GAIN,
    SMALL_CELL,
    TINY,
    WEIGHT_BITS,
    WEIGHT_ONE,
)

Edges = tuple[Floats, Image, int]
"""What the composites are to know of a cutout: the mean alpha (h, w) of its cells in 0..1, exactly 0
or 1 where all pixels are; the colours of the person and of the room, BGR (2, h + 1, w + 1, 3), at the
corners of those that are neither; and a cell's width and height in pixels."""


def cell_size(size: tuple[int, int]) -> int:
    """The width and height, a power of two up to 16, of cells for a frame of `size` pixels."""
    return SMALL_CELL if min(size) < LARGE_FRAME else LARGE_CELL


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
def premultiply_cells(image: Image, mean: Floats, out: Floats) -> None:
    """Write (B w, G w, R w, w) float32 (h, w, 4), where w = mean^8: what `mean` is not 1 of hardly counts."""
    height, width = mean.shape
    for y in range(height):
        for x in range(width):
            w = mean[y, x]
            for _ in range(CELL_SQUARINGS):
                w *= w
            for c in range(3):
                out[y, x, c] = float32(image[y, x, c]) * w
            out[y, x, 3] = w


@kernel
def spread_cells(weighted: Floats, mean: Floats, out: Image) -> None:
    """Write the colour at the corners of soft cells, neither 0 nor 1, from what `premultiply_cells` made.

    `out` is BGR (h + 1, w + 1, 3); other corners stay as they are. The cells that count lie up to
    CELL_REACH to each side of the corner, the nearest fully, those behind by CELL_FALL of the one
    before, in each direction. The weighted mean colour of all counts CELL_FLOOR; it is black where
    nothing counts.
    """
    height, width = mean.shape
    reach, fall, floor = CELL_REACH, float32(CELL_FALL), float32(CELL_FLOOR)
    rows = weighted.reshape(height, width * 4)
    sums, total = np.zeros(width * 4, np.float32), np.zeros(4, np.float32)
    for y in range(height):
        _add(sums, rows[y], float32(1))
    for x in range(width):
        for c in range(4):
            total[c] += sums[4 * x + c]
    share = floor / max(total[3], float32(TINY))
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
            counts *= fall
        counts = float32(1)
        for step in range(reach):
            _add(around, line[4 * (reach - 1 - step) :], counts)
            _add(around, line[4 * (reach + step) :], counts)
            counts *= fall
        for column in range(width + 1):
            if soft[column] | soft[column + 1]:
                scale = float32(1) / (around[4 * column + 3] + floor)
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

    Where it is SOFT, four rows of colours are written into `lines` (4, W * 3): the person's at the row's
    upper and lower side, and the room's.
    """
    mean, colours, cell = edges
    columns, width = mean.shape[1], lines.shape[1] // 3
    runs = np.empty((columns, 2), np.int32)
    count, before, step = 0, -1, WEIGHT_ONE // 2 // cell
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
            for side in range(4):
                corners = colours[side // 2, row + side % 2]
                left, right = corners[column], corners[column + 1]
                b, g, r = (
                    int32(left[0]) << WEIGHT_BITS,
                    int32(left[1]) << WEIGHT_BITS,
                    int32(left[2]) << WEIGHT_BITS,
                )
                db = int32(int32(right[0]) - int32(left[0])) * step
                dg = int32(int32(right[1]) - int32(left[1])) * step
                dr = int32(int32(right[2]) - int32(left[2])) * step
                line = lines[side]
                for x in range(uintp(first), uintp(last)):
                    i = uintp(3) * x
                    line[i] = uint8((b + db) >> WEIGHT_BITS)
                    line[i + uintp(1)] = uint8((g + dg) >> WEIGHT_BITS)
                    line[i + uintp(2)] = uint8((r + dr) >> WEIGHT_BITS)
                    b, g, r = b + 2 * db, g + 2 * dg, r + 2 * dr
    runs[count - 1, 1] = width
    return runs[:count]


@kernel
def person_weight(y: int, cell: int) -> int:
    """How much of 256 the lower of the lines that `person_runs` makes counts in row `y` of the picture."""
    return (2 * (y % cell) + 1) * (WEIGHT_ONE // 2 // cell)


@kernel
def put_person(
    frame: Any,
    behind: Any,
    alpha: Any,
    runs: Any,
    lines: Any,
    lower: int,
    straight: bool,
    room: Any,
    shown: Any,
    out: Any,
) -> None:
    """Write a row of the person over what is `behind`; all are (W * 3,), but alpha is (W,).

    `runs` and `lines` are those of `person_runs`, `lower` is `person_weight`, `room` (4, W * 3) uint16 is
    for working in. The alpha that is used is written into `shown` (W,) where the runs are SOFT. Where
    `straight`, it is not multiplied in: all but alpha 0 is the person's colour alone.
    """
    t = uint16(lower)
    first = uintp(0)
    for run in range(runs.shape[0]):
        kind, last = runs[run, 0], uintp(runs[run, 1])  # unsigned, or no loop is vectorised
        start, end = uintp(3) * first, uintp(3) * last
        if kind == NOBODY:
            for i in range(start, end):
                out[i] = behind[i]
        elif kind == PERSON:
            for i in range(start, end):
                out[i] = frame[i]
        else:
            near, far, own, whole = room[0], room[1], room[2], room[3]
            _mix(lines[0], lines[1], t, start, end, near)
            _mix(lines[2], lines[3], t, start, end, far)
            _weights(frame, near, far, alpha, straight, first, last, shown, own, whole)
            for i in range(start, end):
                k, a = own[i], whole[i]
                person = uint16(uint16(uint16(frame[i]) * k) + uint16(near[i] * uint16(a - k)))
                back = uint16(uint16(behind[i]) * uint16(uint16(WEIGHT_ONE) - a))
                out[i] = uint8(uint16(person + back) >> uint16(WEIGHT_BITS))
        first = last


@kernel
def _mix(above: Any, below: Any, lower: Any, start: Any, end: Any, out: Any) -> None:
    rest = uint16(uint16(WEIGHT_ONE) - lower)
    for i in range(start, end):
        mixed = uint16(uint16(uint16(above[i]) * rest) + uint16(uint16(below[i]) * lower))
        out[i] = uint16(mixed >> uint16(WEIGHT_BITS))


@kernel
def _weights(
    frame: Any,
    near: Any,
    far: Any,
    alpha: Any,
    straight: bool,
    first: Any,
    last: Any,
    shown: Any,
    own: Any,
    whole: Any,
) -> None:
    """What of 256 the frame's own colour counts, and the person in `whole`: thrice, for the channels."""
    one = float32(1)
    for x in range(first, last):
        b, g, r = uintp(3) * x, uintp(3) * x + uintp(1), uintp(3) * x + uintp(2)
        rb, rg, rr = float32(far[b]), float32(far[g]), float32(far[r])
        db, dg, dr = float32(near[b]) - rb, float32(near[g]) - rg, float32(near[r]) - rr
        fb, fg, fr = float32(frame[b]) - rb, float32(frame[g]) - rg, float32(frame[r]) - rr
        apart = db * db + dg * dg + dr * dr
        along = fb * db + fg * dg + fr * dr
        person = min(max(along / (apart + float32(COLOUR_NOISE)), float32(0)), one)
        sure = apart / (apart + float32(COLOUR_CLEAR))
        a = float32(alpha[x]) * float32(1 / 255)
        s = a * a * (float32(3) - float32(2) * a)
        keep = min(one, float32(PERSON_GAIN) * person / max(a, float32(1 / 255)))
        less = sure * (one - keep) * (one - s)
        seen = int32(float32(255) * a * (one - less) + float32(0.5))
        shown[x] = uint8(seen)
        w = int32(seen + (seen >> (WEIGHT_BITS - 1)))
        w = int32(min(int32(WEIGHT_ONE), int32(w * WEIGHT_ONE))) if straight else w
        whole[b] = whole[g] = whole[r] = uint16(w)
        k = uint16(int32(float32(w) * max(s, person * sure) + float32(0.5)))
        own[b] = own[g] = own[r] = k


@kernel
def composite(frame: Image, alpha: Image, edges: Edges, background: Image, out: Image) -> None:
    """Write the frame where alpha is 255, the background where it is 0, a blend between.

    `edges` is what `livecut.backgrounds.edge_colours.EdgeColours` found.
    """
    height, width = alpha.shape
    f, b, o = (
        frame.reshape(height, width * 3),
        background.reshape(height, width * 3),
        out.reshape(height, width * 3),
    )
    cell = edges[2]
    lines, room = np.empty((4, width * 3), np.uint8), np.empty((4, width * 3), np.uint16)
    shown = np.empty(width, np.uint8)
    for row in range(edges[0].shape[0]):
        runs = person_runs(edges, row, lines)
        for y in range(row * cell, min(height, (row + 1) * cell)):
            put_person(
                f[y], b[y], alpha[y], runs, lines, person_weight(y, cell), False, room, shown, o[y]
            )


@kernel
def cutout(frame: Image, alpha: Image, edges: Edges, out: Image) -> None:
    """Write BGRA (H, W, 4): the person with straight alpha, black where alpha is 0.

    The colour under alpha 0 is cleared because alpha can be stripped from a file: the room would be
    there to see. Where alpha is soft, it and the colour are those of `composite`.
    """
    height, width = alpha.shape
    f, o = frame.reshape(height, width * 3), out.reshape(height, width * 4)
    cell = edges[2]
    lines, room = np.empty((4, width * 3), np.uint8), np.empty((4, width * 3), np.uint16)
    shown = np.empty(width, np.uint8)
    colour, black = np.empty(width * 3, np.uint8), np.zeros(width * 3, np.uint8)
    for row in range(edges[0].shape[0]):
        runs = person_runs(edges, row, lines)
        for y in range(row * cell, min(height, (row + 1) * cell)):
            put_person(
                f[y],
                black,
                alpha[y],
                runs,
                lines,
                person_weight(y, cell),
                True,
                room,
                shown,
                colour,
            )
            first = uintp(0)
            for run in range(runs.shape[0]):
                last = uintp(runs[run, 1])
                seen = shown if runs[run, 0] == SOFT else alpha[y]
                if runs[run, 0] == NOBODY:
                    for i in range(uintp(4) * first, uintp(4) * last):
                        o[y, i] = 0
                else:
                    for x in range(first, last):
                        out[y, x, 0] = colour[uintp(3) * x]
                        out[y, x, 1] = colour[uintp(3) * x + uintp(1)]
                        out[y, x, 2] = colour[uintp(3) * x + uintp(2)]
                        out[y, x, 3] = seen[x]
                first = last
