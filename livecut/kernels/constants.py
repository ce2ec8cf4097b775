"""The constants of the picture mathematics: value, unit and origin.

Levels are steps of a picture of bytes, 0..255; alpha is 0..1, 1 = person. A value without another
origin is livecut's own choice. The formulas are in `livecut.kernels.reference`. The weights of
luma, BT.601 and BT.709, belong to the pixel formats, see `livecut.frame`.
"""

from __future__ import annotations

# Fixed-point arithmetic

WEIGHT_BITS = 8
"""Bits of a fixed-point weight."""
WEIGHT_ONE = 1 << WEIGHT_BITS
"""The fixed-point weight that counts as 1: 256, so that a product of it and a byte fits 16 bits."""
GREY_WEIGHTS = (29, 150, 77)
"""Weights of B, G and R in grey, in 1 / WEIGHT_ONE: those of ITU-R BT.601, rounded."""

# Alpha from the network

MAX_ALPHA = 1 + 1e-6
"""The most that counts as an alpha of 1: ONNX Runtime's sigmoid gives 1.0000001 at times."""
ALPHA_MARGIN = 0.08
"""Alpha below this becomes 0, above 1 - this 1: a faint wash over the background is no person."""

# Guided filter: names r and eps of He, Sun and Tang, "Guided Image Filtering", 2013

GUIDED_RADIUS = 2
"""r in pixels of the network's input; the kernels' sums are unrolled for it."""
GUIDED_WINDOW = 2 * GUIDED_RADIUS + 1
"""Width of the window in pixels of the network's input."""
GUIDED_EPSILON = 1e-3
"""eps: regularisation in squared grey of 0..1; edges of less contrast are smoothed over."""
EVEN_LEVELS = 2
"""Levels up to which alpha is taken for 0 where all around is no more, and likewise below 255: by
the inequality of Cauchy and Schwarz a line's slope is less than EVEN_LEVELS / (4 sqrt(eps)) over
all of grey, 16 levels, which with these 2 are below ALPHA_MARGIN."""
SURE_ZERO, SURE_FULL = 0.99, 255.01
"""Levels. A block whose lines stay below the first for every grey is alpha 0 without being
computed, one whose lines stay above the second is 255: a hundredth inside what truncation to bytes
gives."""
SURE_BLOCK = 8
"""Width of such a block, in pixels of the network's input."""
SURE_BORDER = 2
"""Pixels of the network's input beside a block that must agree: interpolation reads them."""

# Temporal smoothing: chosen on image sequences made of training pictures, see models/live.md

SMOOTH_SHARE = 0.95
"""Share of the last alpha that is kept where alpha has not changed."""
SMOOTH_LIMIT_MOVING, SMOOTH_LIMIT_STILL = 0.4, 0.8
"""Changes of alpha that are followed at once: where the picture moves and where it is still."""
STILL_CHANGE, MOVING_CHANGE = 4.0, 12.0
"""Changes of the picture, in levels of grey, up to which it is still and from which on it moves."""
SMOOTH_LIFT = 0.99 * ALPHA_MARGIN
"""The most that the last alpha adds to 0: less than ALPHA_MARGIN, so it alone shows nothing."""
MOTION_WINDOW = 7
"""Width of the square, in pixels of the network's output, in which the largest change counts."""
SCENE_CUT = 40.0
"""Mean change of the picture, in levels of grey, from which on it is another scene."""

# Blur of the background

BLUR_WEAKEST, BLUR_STRONGEST = 1 / 60, 1 / 12
"""Standard deviation at strength 0 and 1, as a share of the picture's height. The weakest is 12
pixels at 720p, in which print cannot be read."""
DEFAULT_STRENGTH = 0.5
"""Strength of the blur, 0..1, where none is given."""
BLUR_BOXES = 3
"""Box blurs in a row that stand for a Gaussian: Wells, "Efficient Synthesis of Gaussian Filters by
Cascaded Uniform Filters", 1986."""
BLUR_MIN_BOX = 3
"""Least width of a box in pixels; widths are odd."""
BLUR_REDUCTION, WIDE_BLUR_REDUCTION = 8, 16
"""Factors by which a frame is reduced before it is blurred: usually, and for a wide blur."""
WIDE_BLUR = 2 * WIDE_BLUR_REDUCTION
"""Standard deviation, in pixels of the frame, from which on a blur is wide: no eye sees a
difference."""
BACKGROUND_FLOOR = 1e-4
"""Weight of a pixel that is all person: a background that cannot be seen has a colour too."""

# Colours at soft edges

SMALL_CELL, LARGE_CELL = 8, 16
"""Widths of a cell in pixels of the frame; powers of two, for the fixed-point interpolation."""
LARGE_FRAME = 1440
"""Shorter side of a frame, in pixels, from which on its cells are large."""
CELL_SQUARINGS = 3
"""How often a cell's mean alpha is squared to give its weight: mixed cells hardly count."""
CELL_POWER = 2**CELL_SQUARINGS
"""The exponent of that weight."""
CELL_REACH = 3
"""Cells on each side of a corner that count for the colour there."""
CELL_FALL = 0.1
"""What a cell counts, as a share of what the next nearer one counts."""
CELL_FLOOR = 1e-4
"""Weight of the mean colour of the whole picture, beside the 1 of a near cell."""
TINY = 1e-30
"""Least sum of weights that is divided by: 0 / TINY is 0, where nothing counts."""
COLOUR_NOISE, COLOUR_CLEAR = 300.0, 2700.0
"""Squared distances of the person's colour from the background's, in squared levels: what a
camera's noise makes, and where the colour of a pixel counts half in telling whose it is."""
PERSON_GAIN = 1.3
"""How much more than its colour says a pixel counts as the person's, lest the person is thinned."""

# Luma and chroma in the limited range of ITU-R BT.601

LUMA_BLACK, LUMA_WHITE = 16, 235
"""Levels of luma."""
CHROMA_ZERO, CHROMA_RANGE = 128, 224
"""Level of chroma without colour, and the levels from the least chroma to the most."""
MATRIX_BITS = 15
"""Fraction bits of a fixed-point matrix: with a sum of four bytes it fits 32 bits."""
