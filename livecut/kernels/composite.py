"""Composites: the person over another background, or over none.

The formulas: `livecut.kernels.reference`. Weights are in 1 / WEIGHT_ONE, so that a row's sums fit
16 bits and are vectorised. Where a row is said to be (3 W,), it holds the channels pixel by pixel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, int32, uint8, uint16, uintp

from livecut.frame import Floats, Image
from livecut.kernels import kernel
from livecut.kernels.constants import (
    BACKGROUND_FLOOR,
    COLOUR_CLEAR,
    COLOUR_NOISE,
    PERSON_GAIN,
    WEIGHT_BITS,
    WEIGHT_ONE,
)
from livecut.kernels.edges import EdgeColours

BACKGROUND, PERSON, SOFT = 0, 1, 2
"""What a run of cells shows: alpha 0, alpha 255, or between."""


@kernel
def composite(
    frame: Image, alpha: Image, edges: EdgeColours, background: Image, out: Image
) -> None:
    """Write the frame where alpha is 255, the background where it is 0, a blend between.

    frame, background and out are BGR uint8 (H, W, 3), alpha is uint8 (H, W), `edges` what
    `livecut.kernels.edges.EdgeColourEstimator` gives of the two. Soft pixels have the person's
    colours, without those of the old background.
    """
    height, width = alpha.shape
    f, b, o = (
        frame.reshape(height, width * 3),
        background.reshape(height, width * 3),
        out.reshape(height, width * 3),
    )
    cell = edges[2]
    lines, scratch = np.empty((4, width * 3), np.uint8), np.empty((4, width * 3), np.uint16)
    shown = np.empty(width, np.uint8)
    for row in range(edges[0].shape[0]):
        runs = _cell_runs(edges, row, lines)
        for y in range(row * cell, min(height, (row + 1) * cell)):
            lower = _line_weight(y, cell)
            _composite_row(f[y], b[y], alpha[y], runs, lines, lower, False, scratch, shown, o[y])


@kernel
def cutout(frame: Image, alpha: Image, edges: EdgeColours, out: Image) -> None:
    """Write the person alone, BGRA uint8 (H, W, 4), with straight alpha, black where alpha is 0.

    The other arguments are those of `composite`, and so are the colour and the alpha of soft
    pixels. The colour under alpha 0 is cleared because alpha can be stripped from a file: the old
    background would be there to see.
    """
    height, width = alpha.shape
    f, o = frame.reshape(height, width * 3), out.reshape(height, width * 4)
    cell = edges[2]
    lines, scratch = np.empty((4, width * 3), np.uint8), np.empty((4, width * 3), np.uint16)
    shown = np.empty(width, np.uint8)
    colour, black = np.empty(width * 3, np.uint8), np.zeros(width * 3, np.uint8)
    for row in range(edges[0].shape[0]):
        runs = _cell_runs(edges, row, lines)
        for y in range(row * cell, min(height, (row + 1) * cell)):
            lower = _line_weight(y, cell)
            _composite_row(f[y], black, alpha[y], runs, lines, lower, True, scratch, shown, colour)
            first = uintp(0)
            for run in range(runs.shape[0]):
                last = uintp(runs[run, 1])
                seen = shown if runs[run, 0] == SOFT else alpha[y]
                if runs[run, 0] == BACKGROUND:
                    for i in range(uintp(4) * first, uintp(4) * last):
                        o[y, i] = 0
                else:
                    for x in range(first, last):
                        out[y, x, 0] = colour[uintp(3) * x]
                        out[y, x, 1] = colour[uintp(3) * x + uintp(1)]
                        out[y, x, 2] = colour[uintp(3) * x + uintp(2)]
                        out[y, x, 3] = seen[x]
                first = last


@kernel
def _cell_runs(edges: EdgeColours, row: int, lines: Image) -> Any:
    """Find the runs of a row of cells: (n, 2) int32, a kind and the column of pixels where it ends.

    Where the kind is SOFT, four rows of colours are written into `lines` (4, 3 W): the person's at
    the upper and the lower side of the cells, then the old background's.
    """
    mean, colours, cell = edges
    columns, width = mean.shape[1], lines.shape[1] // 3
    runs = np.empty((columns, 2), np.int32)
    count, before, step = 0, -1, WEIGHT_ONE // 2 // cell
    for column in range(columns):
        a = mean[row, column]
        kind = BACKGROUND if a == 0 else (PERSON if a == 1 else SOFT)
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
                b, g = int32(left[0]) << WEIGHT_BITS, int32(left[1]) << WEIGHT_BITS
                r = int32(left[2]) << WEIGHT_BITS
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
def _line_weight(y: int, cell: int) -> int:
    """Weight, in 1 / WEIGHT_ONE, of the lower line of `_cell_runs` in row `y` of the picture."""
    return (2 * (y % cell) + 1) * (WEIGHT_ONE // 2 // cell)


@kernel
def _composite_row(
    frame: Any,
    background: Any,
    alpha: Any,
    runs: Any,
    lines: Any,
    lower: int,
    straight: bool,
    scratch: Any,
    shown: Any,
    out: Any,
) -> None:
    """Write a row (3 W,) of the person over the background; alpha is (W,).

    `runs` and `lines` are those of `_cell_runs`, `lower` is `_line_weight`, `scratch` is (4, 3 W)
    uint16. The alpha that is used is written into `shown` (W,) where the runs are SOFT. Where
    `straight`, it is not multiplied in: all but alpha 0 is the person's colour alone.
    """
    t = uint16(lower)
    first = uintp(0)
    for run in range(runs.shape[0]):
        kind, last = runs[run, 0], uintp(runs[run, 1])  # unsigned, or no loop is vectorised
        start, end = uintp(3) * first, uintp(3) * last
        if kind == BACKGROUND:
            for i in range(start, end):
                out[i] = background[i]
        elif kind == PERSON:
            for i in range(start, end):
                out[i] = frame[i]
        else:
            person, old, own, weights = scratch[0], scratch[1], scratch[2], scratch[3]
            _mix(lines[0], lines[1], t, start, end, person)
            _mix(lines[2], lines[3], t, start, end, old)
            _soft_weights(frame, person, old, alpha, straight, first, last, shown, own, weights)
            for i in range(start, end):
                k, w = own[i], weights[i]
                mixed = uint16(uint16(uint16(frame[i]) * k) + uint16(person[i] * uint16(w - k)))
                behind = uint16(uint16(background[i]) * uint16(uint16(WEIGHT_ONE) - w))
                out[i] = uint8(uint16(mixed + behind) >> uint16(WEIGHT_BITS))
        first = last


@kernel
def _mix(above: Any, below: Any, lower: Any, start: Any, end: Any, out: Any) -> None:
    """Write the line between two, where `below` has the weight `lower`."""
    rest = uint16(uint16(WEIGHT_ONE) - lower)
    for i in range(start, end):
        mixed = uint16(uint16(uint16(above[i]) * rest) + uint16(uint16(below[i]) * lower))
        out[i] = uint16(mixed >> uint16(WEIGHT_BITS))


@kernel
def _soft_weights(
    frame: Any,
    person: Any,
    old: Any,
    alpha: Any,
    straight: bool,
    first: Any,
    last: Any,
    shown: Any,
    own: Any,
    weights: Any,
) -> None:
    """Write the weights of the frame's `own` colour and of all of the person, for each channel.

    `person` and `old`, the old background, are rows of colours.
    """
    one = float32(1)
    for x in range(first, last):
        b, g, r = uintp(3) * x, uintp(3) * x + uintp(1), uintp(3) * x + uintp(2)
        rb, rg, rr = float32(old[b]), float32(old[g]), float32(old[r])
        db, dg, dr = float32(person[b]) - rb, float32(person[g]) - rg, float32(person[r]) - rr
        fb, fg, fr = float32(frame[b]) - rb, float32(frame[g]) - rg, float32(frame[r]) - rr
        apart = db * db + dg * dg + dr * dr
        along = fb * db + fg * dg + fr * dr
        share = min(max(along / (apart + float32(COLOUR_NOISE)), float32(0)), one)
        sure = apart / (apart + float32(COLOUR_CLEAR))
        a = float32(alpha[x]) * float32(1 / 255)
        s = a * a * (float32(3) - float32(2) * a)
        keep = min(one, float32(PERSON_GAIN) * share / max(a, float32(1 / 255)))
        less = sure * (one - keep) * (one - s)
        seen = int32(float32(255) * a * (one - less) + float32(0.5))
        shown[x] = uint8(seen)
        w = int32(seen + (seen >> (WEIGHT_BITS - 1)))  # 255 counts WEIGHT_ONE
        w = int32(min(int32(WEIGHT_ONE), int32(w * WEIGHT_ONE))) if straight else w
        weights[b] = weights[g] = weights[r] = uint16(w)
        k = uint16(int32(float32(w) * max(s, share * sure) + float32(0.5)))
        own[b] = own[g] = own[r] = k


@kernel
def composite_rows(frame: Image, alpha: Image, rows: Image, out: Image) -> None:
    """Write the frame where alpha is 255, the background where it is 0, a linear blend between.

    frame and out are BGR uint8 (H, W, 3), alpha is uint8 (H, W). The background `rows` has full
    width and few rows (h, W, 3), which are interpolated linearly to the frame's height on the way,
    pixel centres aligned. It is the old background, blurred: the rim that the old one leaves at
    soft edges has its colours, and does not show.
    """
    height, width = alpha.shape
    few = rows.shape[0]
    f, r, o = (
        frame.reshape(height, width * 3),
        rows.reshape(few, width * 3),
        out.reshape(height, width * 3),
    )
    weights = np.empty(width * 3, np.uint16)
    for y in range(height):
        _row_weights(alpha[y], weights)
        at = min(max((y + 0.5) * few / height - 0.5, 0.0), few - 1.0)
        y0 = int(at)
        y1 = min(y0 + 1, few - 1)
        t = uint16((at - y0) * WEIGHT_ONE)
        rest = uint16(uint16(WEIGHT_ONE) - t)
        for i in range(width * 3):
            a = weights[i]
            above, below = uint16(uint16(r[y0, i]) * rest), uint16(uint16(r[y1, i]) * t)
            b = uint16(uint16(above + below) >> uint16(WEIGHT_BITS))
            mixed = uint16(f[y, i]) * a + b * (uint16(WEIGHT_ONE) - a)
            o[y, i] = uint8(mixed >> uint16(WEIGHT_BITS))


@kernel
def _row_weights(alpha: Any, weights: Any) -> None:
    """Write the weights (3 W,) of a row of alpha (W,): 255 counts WEIGHT_ONE."""
    for x in range(alpha.shape[0]):
        a = uint16(alpha[x])
        a = uint16(a + (a >> uint16(WEIGHT_BITS - 1)))
        weights[3 * x] = a
        weights[3 * x + 1] = a
        weights[3 * x + 2] = a


@kernel
def premultiply(image: Image, alpha: Image, out: Floats) -> None:
    """Write (B w, G w, R w, w) float32 (h, w, 4), where w = (1 - alpha)^2 + BACKGROUND_FLOOR.

    image is BGR uint8 (h, w, 3), alpha uint8 (h, w), 255 = person: what is left is the background.
    """
    height, width = alpha.shape
    for y in range(height):
        for x in range(width):
            w = np.float32(255 - alpha[y, x]) / np.float32(255)
            w = w * w + np.float32(BACKGROUND_FLOOR)
            for c in range(3):
                out[y, x, c] = np.float32(image[y, x, c]) * w
            out[y, x, 3] = w


@kernel
def unpremultiply(weighted: Floats, out: Image) -> None:
    """Divide what `premultiply` wrote, blurred since, by its weight: BGR uint8 (h, w, 3)."""
    height, width, _ = weighted.shape
    for y in range(height):
        for x in range(width):
            share = np.float32(1) / weighted[y, x, 3]
            for c in range(3):
                v = weighted[y, x, c] * share + np.float32(0.5)
                out[y, x, c] = uint8(min(max(v, np.float32(0)), np.float32(255)))
