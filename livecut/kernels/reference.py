"""The picture mathematics as plain formulas in NumPy: what the kernels and the device must compute.

Slow, in float64, without rounding on the way; only tests call it. Pictures are BGR (H, W, 3) of
0..255, alpha and grey are (H, W) of 0..1 unless said otherwise. The constants:
`livecut.kernels.constants`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from livecut.frame import BT601, PixelFormat, Size
from livecut.kernels import constants as c

Array = NDArray[np.float64]


# Sizes


def resize(image: NDArray[Any], size: Size) -> Array:
    """Bilinear interpolation of (H, W) or (H, W, C) at (width, height), pixel centres aligned.

    Beyond its edges the picture repeats its outermost pixels.
    """
    height, width = image.shape[:2]
    rows = _interpolation((np.arange(size[1]) + 0.5) * height / size[1] - 0.5, height)
    columns = _interpolation((np.arange(size[0]) + 0.5) * width / size[0] - 0.5, width)
    return _separable(rows, image, columns)


def reduce(image: NDArray[Any], min_size: Size) -> Array:
    """Half the size, rounded down, as often as the picture is at least twice `min_size`.

    Of an even size, `resize` to half is the mean of 2x2 pixels.
    """
    while image.shape[1] >= 2 * min_size[0] and image.shape[0] >= 2 * min_size[1]:
        image = resize(image, (image.shape[1] // 2, image.shape[0] // 2))
    return np.asarray(image, np.float64)


def _interpolation(at: Array, count: int) -> Array:
    """Matrix (m, count) that interpolates linearly between `count` values at the m places `at`."""
    at = at.clip(0, count - 1)
    return np.asarray(np.maximum(0, 1 - np.abs(at[:, None] - np.arange(count))))


def _separable(rows: Array, image: NDArray[Any], columns: Array) -> Array:
    """Apply a matrix (H, h) along the rows' axis and one (W, w) along the columns'."""
    return np.asarray(np.einsum("yh,hw...,xw->yx...", rows, image, columns, optimize=True))


# Guided filter: He, Sun and Tang, "Guided Image Filtering", 2013, with a grey guide; fitted on a
# small picture as in He and Sun, "Fast Guided Filter", 2015


def grey(image: NDArray[Any]) -> Array:
    """Grey of ITU-R BT.601, of the picture's own range."""
    red, blue = BT601
    return np.asarray(image @ np.array([blue, 1 - red - blue, red]))


def window_mean(plane: NDArray[Any]) -> Array:
    """Means over the window around each pixel; beyond its edges the picture is mirrored."""
    wide = np.pad(plane, c.GUIDED_RADIUS, mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(wide, (c.GUIDED_WINDOW, c.GUIDED_WINDOW))
    return np.asarray(windows.mean((2, 3), dtype=np.float64))


def fit_lines(guide: Array, alpha: NDArray[Any]) -> tuple[Array, Array]:
    """Slope a and offset b of alpha = a * guide + b in each window, by regularised least squares.

    They are stretched: ALPHA_MARGIN becomes 0 and 1 - ALPHA_MARGIN becomes 1.
    """
    i, p = window_mean(guide), window_mean(alpha)
    a = (window_mean(guide * alpha) - i * p) / (window_mean(guide**2) - i**2 + c.GUIDED_EPSILON)
    b = p - a * i
    gain = 1 / (1 - 2 * c.ALPHA_MARGIN)
    return a * gain, (b - c.ALPHA_MARGIN) * gain


def guided_filter(image: NDArray[Any], small_image: NDArray[Any], alpha: NDArray[Any]) -> Array:
    """Alpha at the size of `image`, fitted on `small_image`: the lines' means, applied to grey."""
    small, full = small_image.shape[1::-1], image.shape[1::-1]
    lines = fit_lines(grey(small_image) / 255, resize(alpha, small))
    slope, offset = (resize(window_mean(line), full) for line in lines)
    return np.asarray((slope * grey(image) / 255 + offset).clip(0, 1))


# Temporal smoothing: livecut's own, an exponential mean whose share falls with the change


def smooth(alpha: NDArray[Any], state: NDArray[Any], change: NDArray[Any]) -> Array:
    """Alpha drawn to the last one, `state`; `change` is that of the picture, in levels of grey."""
    still = ((c.MOVING_CHANGE - change) / (c.MOVING_CHANGE - c.STILL_CHANGE)).clip(0, 1)
    limit = c.SMOOTH_LIMIT_MOVING + still * (c.SMOOTH_LIMIT_STILL - c.SMOOTH_LIMIT_MOVING)
    apart = state.astype(np.float64) - alpha
    share = c.SMOOTH_SHARE * (1 - np.abs(apart) / limit).clip(0)
    return np.asarray(alpha + np.minimum(apart * share, c.SMOOTH_LIFT + alpha))


# Hysteresis: Canny, "A Computational Approach to Edge Detection", 1986, with a limit of distance


def drop_ghosts(alpha: NDArray[Any], steps: int) -> Array:
    """Alpha, 0 where it is faint and no way over pixels that are not leads to clear ones in
    `steps`.
    """
    kept = alpha > c.HYSTERESIS_HIGH
    for _ in range(steps):
        wide = np.pad(kept, 1)
        near = np.lib.stride_tricks.sliding_window_view(wide, (3, 3)).any((2, 3))
        kept = kept | (near & (alpha >= c.ALPHA_MARGIN))
    return np.asarray(alpha * kept)


# Backgrounds and edges


def smooth_step(alpha: NDArray[Any]) -> Array:
    """What the frame counts over its own blur: a^2 (3 - 2 a), so that faint alpha shows no
    detail.
    """
    a = alpha.astype(np.float64)
    return np.asarray(a * a * (3 - 2 * a))


def blur_background(image: NDArray[Any], alpha: NDArray[Any], box: int) -> Array:
    """Blurred picture without the person: premultiplied by (1 - alpha)^2, blurred, divided again.

    The blur is BLUR_BOXES means over `box` (odd) pixels squared, the edge repeated.
    """
    weight = (1 - alpha[..., None]) ** 2 + c.BACKGROUND_FLOOR
    weighted = np.concatenate([image * weight, weight], axis=2)
    half = box // 2
    for _ in range(c.BLUR_BOXES):
        wide = np.pad(weighted, ((half, half), (half, half), (0, 0)), mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(wide, (box, box), axis=(0, 1))
        weighted = windows.mean((3, 4))
    return np.asarray(weighted[..., :3] / weighted[..., 3:])


def composite(image: NDArray[Any], alpha: NDArray[Any], background: NDArray[Any]) -> Array:
    """The compositing equation, a * F + (1 - a) * B: Porter and Duff, 1984, "over"."""
    a = alpha[..., None]
    return np.asarray(a * image + (1 - a) * background)


def cell_means(alpha: NDArray[Any], cell: int) -> Array:
    """Means (h, w) over cells of `cell` pixels squared; the last row and column may be narrower."""
    rows, columns = (_cell_shares(side, cell) for side in alpha.shape)
    return _separable(rows, alpha, columns)


def corner_colours(cells: NDArray[Any], mean: Array) -> Array:
    """Colours (h + 1, w + 1, 3) at the corners of cells (h, w, 3), weighted by powers of `mean`."""
    height, width = mean.shape
    weight = (mean**c.CELL_POWER)[..., None]
    weighted = np.concatenate([cells * weight, weight], axis=2)
    near = _separable(_corner_weights(height), weighted, _corner_weights(width))
    whole = weighted.sum((0, 1))
    everywhere = whole[:3] / max(whole[3], c.TINY) * c.CELL_FLOOR
    return np.asarray((near[..., :3] + everywhere) / (near[..., 3:] + c.CELL_FLOOR))


def at_pixels(corners: NDArray[Any], cell: int, size: Size) -> Array:
    """Colours (H, W, 3) of a picture of `size`, interpolated from those at its cells' corners."""
    columns, rows = (
        _interpolation((np.arange(side) + 0.5) / cell, count)
        for side, count in zip(size, corners.shape[1::-1], strict=True)
    )
    return _separable(rows, corners, columns)


def edge_colours(image: NDArray[Any], alpha: NDArray[Any], cell: int) -> tuple[Array, Array]:
    """Colours (H, W, 3) of the person and of the old background at each pixel.

    They are means over cells weighted by alpha and by 1 - alpha, as in blur fusion: Forte,
    "Approximate Fast Foreground Colour Estimation", 2021. `image` may be reduced already.
    """
    mean, size = cell_means(alpha, cell), (alpha.shape[1], alpha.shape[0])
    cells = resize(image, (mean.shape[1], mean.shape[0]))
    person, old = corner_colours(cells, mean), corner_colours(cells, 1 - mean)
    return at_pixels(person, cell, size), at_pixels(old, cell, size)


def _cell_shares(side: int, cell: int) -> Array:
    """Matrix (h, side) of what each pixel counts in the mean of each cell, in one direction."""
    inside = np.arange(side) // cell == np.arange(-(-side // cell))[:, None]
    return np.asarray(inside / inside.sum(1, keepdims=True))


def _corner_weights(count: int) -> Array:
    """Matrix (count + 1, count) of what each cell counts at each corner, in one direction."""
    steps = np.arange(count) - np.arange(count + 1)[:, None]
    steps = np.where(steps < 0, -1 - steps, steps)
    return np.where(steps < c.CELL_REACH, c.CELL_FALL ** steps.astype(float), 0.0)


def soft_edges(
    image: NDArray[Any], alpha: NDArray[Any], person: Array, old: Array
) -> tuple[Array, Array]:
    """Colour of the person, without the old background's, and the alpha to show it with.

    livecut's own: the pixel's place on the line from `old` to `person`, the colours of
    `edge_colours`, says how much of the person it is. A pixel of the old background gets less
    alpha, one of the person keeps its colour, and the others are drawn to `person`, the more the
    lower alpha is. Where the two colours are alike, alpha alone decides.
    """
    apart = ((person - old) ** 2).sum(2)
    share = (((image - old) * (person - old)).sum(2) / (apart + c.COLOUR_NOISE)).clip(0, 1)
    sure = apart / (apart + c.COLOUR_CLEAR)
    step = alpha**2 * (3 - 2 * alpha)
    keep = np.minimum(1, c.PERSON_GAIN * share / np.maximum(alpha, 1 / 255))
    shown = alpha * (1 - sure * (1 - keep) * (1 - step))
    own = np.maximum(step, share * sure)
    return composite(image, own, person), shown


def cutout(colour: Array, shown: Array) -> Array:
    """Straight BGRA (H, W, 4) of bytes: the colour and alpha of `soft_edges`, black at alpha 0."""
    alpha = to_bytes(shown * 255)[..., None]
    return np.concatenate([to_bytes(colour) * (alpha > 0), alpha], axis=2)


# Luma and chroma: ITU-R BT.601-7 and BT.709-6, in limited range; 4:2:0 with the chroma in the
# centre of its four pixels, as in JPEG


def to_bytes(values: Array) -> Array:
    """The nearest of 0, 1, ... 255."""
    return np.asarray(np.floor(values + 0.5).clip(0, 255))


def luma_chroma(image: NDArray[Any], weights: tuple[float, float]) -> Array:
    """Luma, U and V (H, W, 3) in levels, for a luma with these weights of red and blue."""
    (red, blue), (b, g, r) = weights, np.moveaxis(image / 255, 2, 0)
    y = red * r + (1 - red - blue) * g + blue * b
    u, v = (b - y) / (2 * (1 - blue)), (r - y) / (2 * (1 - red))
    luma = c.LUMA_BLACK + (c.LUMA_WHITE - c.LUMA_BLACK) * y
    return np.stack([luma, *(c.CHROMA_ZERO + c.CHROMA_RANGE * x for x in (u, v))], axis=2)


def from_bgr(image: NDArray[Any], pixel_format: PixelFormat) -> Array:
    """Bytes of a picture in YUYV, NV12 or I420; chroma is the mean of its two or four pixels."""
    w, h = pixel_format.size((image.shape[1], image.shape[0]))
    yuv = luma_chroma(image[:h, :w], pixel_format.weights)
    luma, name = yuv[..., 0], pixel_format.name
    high = 1 if name == "YUYV" else 2
    u, v = np.moveaxis(yuv[..., 1:].reshape(h // high, high, w // 2, 2, 2).mean((1, 3)), 2, 0)
    if name == "YUYV":
        parts = np.stack([luma[:, 0::2], u, luma[:, 1::2], v], axis=2)
    else:
        chroma = np.stack([u, v], axis=2 if name == "NV12" else 0)
        parts = np.concatenate([luma.ravel(), chroma.ravel()])
    return to_bytes(parts).reshape(pixel_format.shape((w, h)))


def to_bgr(picture: NDArray[Any], pixel_format: PixelFormat) -> Array:
    """BGR (H, W, 3) of bytes in YUYV, NV12 or I420; each pixel has the chroma nearest to it."""
    width, name = picture.shape[1], pixel_format.name
    if name == "YUYV":
        luma, chroma = picture[..., 0], picture[..., 1].reshape(-1, width // 2, 2)
    else:
        height = picture.shape[0] * 2 // 3
        luma, chroma = picture[:height], picture[height:]
        shape = (height // 2, width // 2)
        if name == "NV12":
            chroma = chroma.reshape(*shape, 2)
        else:
            chroma = np.moveaxis(chroma.reshape(2, *shape), 0, 2)
        chroma = chroma.repeat(2, axis=0)
    u, v = np.moveaxis((chroma.repeat(2, axis=1) - float(c.CHROMA_ZERO)) / c.CHROMA_RANGE, 2, 0)
    y = (luma - float(c.LUMA_BLACK)).clip(0) / (c.LUMA_WHITE - c.LUMA_BLACK)
    red, blue = pixel_format.weights
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    g = (y - red * r - blue * b) / (1 - red - blue)
    return to_bytes(np.stack([b, g, r], axis=2) * 255)
