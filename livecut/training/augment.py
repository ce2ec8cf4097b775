"""Augmentation: one labelled picture in, one training pair at the network's size out.

Images are uint8 BGR (H, W, 3), masks uint8 (H, W) with 255 = person. All randomness comes from the
`numpy.random.Generator` given, so a seed fixes the result.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from livecut.evaluation.dataset import beside, foreground, match_light
from livecut.frame import Image, as_image

COMPOSITE = 0.25
"""Where nothing else is asked, the share of the samples whose background is replaced by another
picture."""
EMPTY = 0.08
"""Share of the samples with no person at all: what is beside the person of a picture, or a room."""
SECOND = 0.04
"""Share of the samples with a second person, out of another picture."""
CUT_OFF = 0.04
"""The share of the picture's upper edge from which on the figure there is one that it cuts off."""
PERSPECTIVE, TILT = 0.1, 0.1
"""Share of samples in perspective; how far a corner moves at most, in widths and heights."""
BYSTANDER = 0.06
"""Share of the samples with somebody far behind, out of focus: bystanders are room."""
POSTER = 0.15
"""Share of the samples with a picture, a card or a plain board behind the person."""
POSTER_OF_PERSON = 0.3
"""Share of the posters that show a person: pictures of people are room."""
OBJECT = 0.05
"""Share of the samples with a thing before the person, out of a room."""
MOTION = 0.04
"""Share of the samples that a moving camera blurred."""
LOW_LIGHT = 0.04
"""Share of the samples in the dark."""
Map = NDArray[np.float64]
"""Map from a picture's pixels to the output's: affine (2, 3), or in perspective (3, 3)."""


def cover(image: Image, size: tuple[int, int], rng: Generator) -> Image:
    """A random crop of `image` that fills `size` = (width, height), mirrored half of the time."""
    w, h = size
    scale = max(w / image.shape[1], h / image.shape[0]) * rng.uniform(1.0, 1.6)
    x = rng.uniform(0, image.shape[1] * scale - w)
    y = rng.uniform(0, image.shape[0] * scale - h)
    m = np.array([[scale, 0, -x], [0, scale, -y]])
    out = cv2.warpAffine(image, m, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return as_image(cv2.flip(out, 1) if rng.random() < 0.5 else out)


def placement(mask: Image, size: tuple[int, int], rng: Generator) -> Map:
    """A random affine map (2, 3) from the picture to `size`: mirror, rotation, scale, translation.

    The figure stays mostly inside, and one cut off by the picture's bottom or upper edge stays cut
    off by the output's, as with a webcam.
    """
    (h, w), (out_w, out_h) = mask.shape, size
    fit, fill = sorted((out_w / w, out_h / h))
    scale = float(np.exp(rng.uniform(np.log(0.9 * fit), np.log(1.15 * fill))))
    above = bool((mask[0] > 127).mean() > CUT_OFF)
    if above and mask[-1].max() > 127:
        scale = max(scale, 1.02 * out_h / h)
    angle = np.deg2rad(np.clip(rng.normal(0, 7), -25, 25))
    flip = -1.0 if rng.random() < 0.5 else 1.0
    a = scale * np.array(
        [[flip * np.cos(angle), -np.sin(angle)], [flip * np.sin(angle), np.cos(angle)]]
    )
    ys, xs = np.nonzero(mask[::4, ::4])
    centre = np.array([xs.mean(), ys.mean()]) * 4 if len(xs) else np.array([w / 2, h / 2])
    target = np.array([out_w, out_h]) * (0.5 + rng.uniform(-0.2, 0.2, 2))
    t = target - a @ centre
    if len(ys) and rng.random() < 0.7:
        top = (a @ np.array([xs[ys.argmin()], ys.min()]) * 4 + t)[1]
        t[1] += max(0.0, rng.uniform(0, 0.1) * out_h - top)
    if mask[-1].max() > 127:
        bottom = min((a @ np.array([x, h - 1.0]) + t)[1] for x in (0.0, w - 1.0))
        t[1] += max(0.0, out_h - bottom)
    if above:
        t[1] -= max(0.0, max((a @ np.array([x, 0.0]) + t)[1] for x in (0.0, w - 1.0)))
    return np.column_stack([a, t])


def perspective(m: Map, size: tuple[int, int], rng: Generator) -> Map:
    """An affine map (2, 3), seen from aslant (3, 3).

    The output's corners move outwards alone, so that what the picture covered stays covered.
    """
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * np.array(size)
    outwards = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * np.array(size)
    moved = corners + outwards * rng.uniform(0, TILT, (4, 2))
    aslant = cv2.getPerspectiveTransform(corners.astype(np.float32), moved.astype(np.float32))
    return np.asarray(aslant @ np.vstack([m, [0, 0, 1]]))


def covered(mask: Image, m: Map, size: tuple[int, int]) -> float:
    """The share of the output, `size` = (width, height), that a picture fills through a map."""
    corners = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]])
    there = corners * [*mask.shape[::-1], 1] @ m.T
    outline = there[:, :2] / there[:, 2:] if len(m) == 3 else there
    whole = corners[:, :2] * np.array(size)
    area, _ = cv2.intersectConvexConvex(outline.astype(np.float32), whole.astype(np.float32))
    return float(area) / (size[0] * size[1])


def warp(image: Image, m: Map, size: tuple[int, int], border: int) -> Image:
    """A picture or mask brought to `size` = (width, height) by a map."""
    function = cv2.warpAffine if len(m) == 2 else cv2.warpPerspective
    return as_image(function(image, m, size, flags=cv2.INTER_LINEAR, borderMode=border))


def photometry(image: Image, rng: Generator) -> Image:
    """Exposure, contrast, gamma, white balance, saturation, blur, noise, JPEG, each by chance."""
    gain = rng.uniform(0.75, 1.2) * rng.uniform(0.9, 1.1, 3)
    levels = (np.arange(256.0)[:, None] - 127) * rng.uniform(0.8, 1.2) + 127 + rng.uniform(-15, 15)
    levels = np.clip(levels * gain, 0, 255)
    if rng.random() < 0.2:
        levels = 255 * (levels / 255) ** rng.uniform(0.6, 1.7)
    x = as_image(cv2.LUT(image, levels[:, None].astype(np.uint8)))
    if rng.random() < LOW_LIGHT:
        x = low_light(x, rng)
    if rng.random() < 0.2:
        grey = cv2.cvtColor(cv2.cvtColor(x, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        saturation = rng.uniform(0.0, 1.5)
        x = as_image(cv2.addWeighted(x, saturation, grey, 1 - saturation, 0))
    if rng.random() < 0.1:
        x = as_image(cv2.GaussianBlur(x, (0, 0), rng.uniform(0.4, 1.5)))
    if rng.random() < 0.2:
        x = noisy(x, rng.uniform(2, 14), rng)
    if rng.random() < 0.2:
        _, code = cv2.imencode(".jpg", x, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))])
        return as_image(cv2.imdecode(code, cv2.IMREAD_COLOR))
    return x


def noisy(image: Image, sigma: float, rng: Generator) -> Image:
    """With Gaussian noise of `sigma` grey levels."""
    noise = np.empty(image.shape, np.int16)
    cv2.setRNGSeed(int(rng.integers(2**31)))
    cv2.randn(noise.reshape(len(noise), -1), np.zeros(1), np.full(1, sigma))
    return as_image(cv2.add(image, noise, dtype=cv2.CV_8U))


def low_light(image: Image, rng: Generator) -> Image:
    """A picture of a dark room: a fraction of the light, and the noise of a sensor turned up."""
    dark = cv2.convertScaleAbs(image, alpha=rng.uniform(0.3, 0.65))
    return noisy(as_image(dark), rng.uniform(4, 12), rng)


def motion_blur(image: Image, alpha: Image, rng: Generator) -> tuple[Image, Image]:
    """Picture and alpha, both averaged along a line of 3 to 11 pixels in any direction."""
    length = int(rng.integers(3, 12))
    kernel = np.zeros((length, length), np.float32)
    reach = np.array([np.cos(a := rng.uniform(0, np.pi)), np.sin(a)]) * (length - 1) / 2
    ends = [np.rint((length - 1) / 2 + s * reach).astype(int).tolist() for s in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    kernel /= kernel.sum()
    return as_image(cv2.filter2D(image, -1, kernel)), as_image(cv2.filter2D(alpha, -1, kernel))


def occlude(image: Image, alpha: Image, thing: Image, rng: Generator) -> tuple[Image, Image]:
    """A piece of `thing`, of the picture's size, before the person, and out of the alpha.

    It is a turned rectangle or a blob, 8 to 20 % of the shorter side in radius, somewhere on the
    person.
    """
    ys, xs = np.nonzero(alpha[::4, ::4] > 127)
    if not len(ys):
        return image, alpha
    i = rng.integers(len(ys))
    radius = rng.uniform(0.08, 0.2) * min(alpha.shape)
    start = rng.uniform(0, 2 * np.pi)
    if rng.random() < 0.5:
        slant = rng.uniform(0.3, 1.2)
        angles, radii = start + np.array([0, slant, np.pi, np.pi + slant]), np.full(4, radius * 1.4)
    else:
        angles = start + np.linspace(0, 2 * np.pi, 24, endpoint=False)
        waves = np.sin(np.outer(angles, [2, 3]) + rng.uniform(0, 2 * np.pi, 2))
        radii = radius * (1 + waves @ rng.uniform(0, 0.3, 2))
    outline = np.array([4 * xs[i], 4 * ys[i]]) + radii[:, None] * np.column_stack(
        [np.cos(angles), np.sin(angles)]
    )
    shape = np.zeros_like(alpha)
    cv2.fillPoly(shape, [np.rint(outline).astype(np.int32)], 255.0, cv2.LINE_AA)
    return over(image, thing, shape), as_image(cv2.min(alpha, 255 - shape))


def behind(
    image: Image, alpha: Image, other: Image, mask: Image, rng: Generator
) -> tuple[Image, Image]:
    """The person of a second picture behind and beside the first; both are in the alpha.

    `image` and `alpha` are at the output's size, `other` and its `mask` as they were read.
    """
    size = alpha.shape[1], alpha.shape[0]
    m = placement(mask, size, rng)
    m[0, 2] += size[0] * rng.choice([-1, 1]) * rng.uniform(0.2, 0.4)
    person = match_light(warp(other, m, size, cv2.BORDER_REPLICATE), image, rng)
    shown = as_image(cv2.min(warp(mask, m, size, cv2.BORDER_CONSTANT), 255 - alpha))
    return over(image, person, shown), as_image(cv2.add(alpha, shown))


def bystander(image: Image, alpha: Image, other: Image, mask: Image, rng: Generator) -> Image:
    """`image` with the person of a second picture far behind the first: small, blurred, in no
    alpha.

    `image` and `alpha` are at the output's size, `other` and its `mask` as they were read. The
    figure is at most a third as high as the first one.
    """
    x, y, w, h = cv2.boundingRect((mask > 127).astype(np.uint8))
    tall = cv2.boundingRect((alpha > 127).astype(np.uint8))[3]
    if min(w, h, tall) < 8:
        return image
    size = alpha.shape[1], alpha.shape[0]
    scale = rng.uniform(0.12, 0.33) * tall / h
    left = rng.uniform(-0.5 * w * scale, size[0] - 0.5 * w * scale)
    top = rng.uniform(0.1, 0.6) * size[1]
    m = np.array([[scale, 0, left - scale * x], [0, scale, top - scale * y]])
    shrunk = as_image(cv2.GaussianBlur(other, (0, 0), 0.35 / min(scale, 0.9)))
    person = match_light(warp(shrunk, m, size, cv2.BORDER_REPLICATE), image, rng)
    figure = warp(mask, m, size, cv2.BORDER_CONSTANT)
    sigma = rng.uniform(0.3, 2.0)
    person, figure = (as_image(cv2.GaussianBlur(v, (0, 0), sigma)) for v in (person, figure))
    return over(image, person, as_image(cv2.multiply(figure, 255 - alpha, scale=1 / 255)))


def over(back: Image, front: Image, alpha: Image) -> Image:
    """`front` over `back`, both (H, W, 3), by alpha (H, W)."""
    a = alpha * np.float32(1 / 255)
    return as_image(cv2.blendLinear(front, back, a, 1 - a))


def cut_out(image: Image, mask: Image, room: Image, m: Map, rng: Generator) -> tuple[Image, Image]:
    """The person of `image` before `room`, which is of the output's size; image and alpha.

    The mask is alpha as it is: what is shown is exactly what is asked for.
    """
    size = room.shape[1], room.shape[0]
    alpha = warp(mask, m, size, cv2.BORDER_CONSTANT)
    there = warp(image, m, size, cv2.BORDER_REPLICATE)
    person = match_light(foreground(there, alpha), room, rng)
    return over(room, person, alpha), alpha


def hang(image: Image, alpha: Image, poster: Image, rng: Generator) -> Image:
    """`image` with `poster`, or a board of one colour, as a slanted rectangle behind the person.

    Its sides are 8 to 33 % of the picture's.
    """
    height, width = alpha.shape
    w, h = (max(4, int(rng.uniform(0.08, 0.33) * side)) for side in (width, height))
    if rng.random() < 0.4:
        board = np.full((h, w, 3), rng.integers(0, 256, 3), np.uint8)
    else:
        board = as_image(cv2.resize(poster, (w, h), interpolation=cv2.INTER_AREA))
    if rng.random() < 0.5:
        cv2.rectangle(board, (0, 0), (w - 1, h - 1), rng.integers(0, 256, 3).tolist(), 2)
    angle = np.deg2rad(rng.normal(0, 6))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    at = np.array([rng.uniform(0, width), rng.uniform(0, height)])
    m = np.column_stack([turn, at - turn @ np.array([w / 2, h / 2])])
    shape = warp(np.full((h, w), 255, np.uint8), m, (width, height), cv2.BORDER_CONSTANT)
    shown = as_image(cv2.multiply(shape, 255 - alpha, scale=1 / 255))
    return over(image, warp(board, m, (width, height), cv2.BORDER_REPLICATE), shown)


def pair(
    image: Image,
    mask: Image,
    room: Image | None,
    size: tuple[int, int],
    rng: Generator,
    second: tuple[Image, Image] | None = None,
    *,
    composites: float = COMPOSITE,
) -> tuple[Image, Image]:
    """One augmented (image, mask) of `size` = (width, height).

    `room` is a picture without people, `second` an image and mask of another person to be added;
    `composites` is the share whose person is put before the room, besides those that leave more
    than 40 % of the output uncovered.
    """
    if rng.random() < EMPTY:
        part = None if room is not None and rng.random() < 0.5 else beside(image, mask)
        nobody = room if part is None else part
        if nobody is not None:
            return photometry(cover(nobody, size, rng), rng), np.zeros(size[::-1], np.uint8)
    m = placement(mask, size, rng)
    shrink = float(np.hypot(m[0, 0], m[1, 0]))
    if shrink < 0.6:
        sigma = 0.35 / shrink
        image = as_image(cv2.GaussianBlur(image, (0, 0), sigma))
    if rng.random() < PERSPECTIVE:
        m = perspective(m, size, rng)
    inside = covered(mask, m, size)
    if room is None or (inside > 0.6 and rng.random() >= composites):
        out, alpha = (warp(x, m, size, cv2.BORDER_REFLECT_101) for x in (image, mask))
    else:
        out, alpha = cut_out(image, mask, cover(room, size, rng), m, rng)
    if second is not None:
        if rng.random() < BYSTANDER / (BYSTANDER + SECOND):
            out = bystander(out, alpha, *second, rng)
        else:
            out, alpha = behind(out, alpha, *second, rng)
    if rng.random() < POSTER:
        shows = image if room is None or rng.random() < POSTER_OF_PERSON else room
        out = hang(out, alpha, shows, rng)
    if room is not None and rng.random() < OBJECT:
        out, alpha = occlude(out, alpha, cover(room, size, rng), rng)
    if rng.random() < MOTION:
        out, alpha = motion_blur(out, alpha, rng)
    return photometry(out, rng), alpha
