"""The constants of the picture mathematics, with their units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    pass

EPSILON = 1e-3
"""The guided filter's regularisation, for grey in 0..1: edges of less contrast are smoothed over."""
MARGIN = 0.08
"""Alpha below this becomes 0, above 1 - this becomes 255: a wash of background is no person."""
KEEP, LIMITS, MOVES = 0.95, (0.4, 0.8), (4.0, 12.0)
"""Of `smooth`: the share of the last alpha kept where nothing moves; the changes of alpha that are
followed at once, where the picture moves and where it is still; and the levels that part the two."""
LIFT = 0.99 * MARGIN
"""What the last alpha adds at most to 0: less than MARGIN, so alone it never makes a pixel seen."""
REACH = np.ones((7, 7), np.uint8)
"""How near to a motion, in pixels of alpha, the picture counts as moving."""
ROUNDED = 1 + 1e-6
"""The most that is taken for an alpha of 1: ONNX Runtime's sigmoid is at times 1.0000001."""
CUT = 40.0
"""Mean change of the picture, in levels, from which on it is another scene."""
