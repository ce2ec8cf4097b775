"""The kernel that leaves no alpha away from a person: hysteresis (Canny, 1986), with a limit of
distance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from livecut.frame import Floats, Image
from livecut.kernels import kernel
from livecut.kernels.constants import ALPHA_MARGIN, HYSTERESIS_DISTANCE, HYSTERESIS_HIGH


def reach(height: int, width: int) -> int:
    """How many pixels of an alpha (height, width) what is faint may lie from what is clearly a
    person.
    """
    return max(1, round(HYSTERESIS_DISTANCE * min(height, width)))


@kernel
def drop_ghosts(alpha: Floats, steps: int, marks: Image, queue: NDArray[np.int32]) -> None:
    """Set alpha (h, w) of 0..1 to 0, in place, where it belongs to no person.

    Alpha over `HYSTERESIS_HIGH` stays. What is `ALPHA_MARGIN` or more stays where such pixels lead
    to one of those in at most `steps` steps, each to one of the eight neighbours. `marks` uint8 (h
    + 2, w + 2) and `queue` int32 (h * w) are for working in. NaN becomes 0.
    """
    height, width = alpha.shape
    across = width + 2
    for x in range(across):
        marks[0, x] = marks[height + 1, x] = 1
    for y in range(height):
        marks[y + 1, 0] = marks[y + 1, width + 1] = 1
        for x in range(width):
            marks[y + 1, x + 1] = alpha[y, x] > HYSTERESIS_HIGH
    seen = marks.reshape((height + 2) * across)
    count = 0
    for y in range(1, height + 1):
        for x in range(1, width + 1):
            i = y * across + x
            if seen[i] and not (
                seen[i - 1] & seen[i + 1] & seen[i - across] & seen[i + across]
                & seen[i - across - 1] & seen[i - across + 1]
                & seen[i + across - 1] & seen[i + across + 1]
            ):  # fmt: skip
                queue[count] = i
                count += 1
    first = 0
    for _ in range(steps):
        last = count
        for n in range(first, last):
            i = queue[n]
            for row in range(-1, 2):
                for j in range(i + row * across - 1, i + row * across + 2):
                    if not seen[j] and alpha[j // across - 1, j % across - 1] >= ALPHA_MARGIN:
                        seen[j] = 1
                        queue[count] = j
                        count += 1
        first = last
    for y in range(height):
        for x in range(width):
            if not marks[y + 1, x + 1]:
                alpha[y, x] = 0
