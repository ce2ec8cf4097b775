"""Augmentation: one labelled picture in, one training pair at the network's size out.

Images are uint8 BGR (H, W, 3), masks uint8 (H, W) with 255 = person. All randomness comes from the
`numpy.random.Generator` given, so a seed fixes the result.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from livecut.frame import Image, as_image

COMPOSITE = 0.15
"""Share of the samples whose background is replaced by another picture, besides those that leave
more than 40 % of the output uncovered."""
EMPTY = 0.02
"""Share of the samples with no person at all."""


def cover(image: Image, size: tuple[int, int], rng: Generator) -> Image:
    """A random crop of `image` that fills `size` = (width, height), mirrored half of the time."""
    w, h = size
    scale = max(w / image.shape[1], h / image.shape[0]) * rng.uniform(1.0, 1.6)
    x = rng.uniform(0, image.shape[1] * scale - w)
    y = rng.uniform(0, image.shape[0] * scale - h)
    m = np.array([[scale, 0, -x], [0, scale, -y]])
    out = cv2.warpAffine(image, m, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return as_image(cv2.flip(out, 1) if rng.random() < 0.5 else out)


def placement(mask: Image, size: tuple[int, int], rng: Generator) -> NDArray[np.float64]:
    """A random affine map (2, 3) from the picture to `size`: mirror, rotation, scale, translation.

    The figure stays mostly inside, and one cut off by the picture's bottom edge stays cut off by the
    output's, as with a webcam.
    """
    (h, w), (out_w, out_h) = mask.shape, size
    fit, fill = sorted((out_w / w, out_h / h))
    scale = float(np.exp(rng.uniform(np.log(0.9 * fit), np.log(1.15 * fill))))
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
    return np.column_stack([a, t])


def photometry(image: Image, rng: Generator) -> Image:
    """Exposure, contrast, gamma, white balance, saturation, blur, noise and JPEG, each by chance."""
    gain = rng.uniform(0.75, 1.2) * rng.uniform(0.9, 1.1, 3)
    levels = (np.arange(256.0)[:, None] - 127) * rng.uniform(0.8, 1.2) + 127 + rng.uniform(-15, 15)
    levels = np.clip(levels * gain, 0, 255)
    if rng.random() < 0.2:
        levels = 255 * (levels / 255) ** rng.uniform(0.6, 1.7)
    x = cv2.LUT(image, levels[:, None].astype(np.uint8))
    if rng.random() < 0.2:
        grey = cv2.cvtColor(cv2.cvtColor(x, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        saturation = rng.uniform(0.0, 1.5)
        x = cv2.addWeighted(x, saturation, grey, 1 - saturation, 0)
    if rng.random() < 0.1:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.4, 1.5))
    if rng.random() < 0.2:
        noise = rng.standard_normal(x.shape, np.float32) * rng.uniform(2, 14)
        x = np.clip(x + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        _, code = cv2.imencode(".jpg", x, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))])
        return as_image(cv2.imdecode(code, cv2.IMREAD_COLOR))
    return as_image(x)


def match_light(person: Image, room: Image, rng: Generator) -> Image:
    """`person` with its mean colour moved part of the way to the room's."""
    shift = (room.mean((0, 1)) - person.mean((0, 1))) * rng.uniform(0.0, 0.5)
    return as_image(cv2.add(person, np.append(shift, 0.0)))


def pair(
    image: Image, mask: Image, room: Image | None, size: tuple[int, int], rng: Generator
) -> tuple[Image, Image]:
    """One augmented (image, mask) of `size` = (width, height); `room` is a picture without people."""
    if room is not None and rng.random() < EMPTY:
        return photometry(cover(room, size, rng), rng), np.zeros(size[::-1], np.uint8)
    m = placement(mask, size, rng)
    shrink = float(np.hypot(m[0, 0], m[1, 0]))
    if shrink < 0.6:
        sigma = 0.35 / shrink
        image = as_image(cv2.GaussianBlur(image, (0, 0), sigma))
    inside = cv2.warpAffine(np.ones_like(mask), m, size, flags=cv2.INTER_NEAREST)
    if room is None or (inside.mean() > 0.6 and rng.random() >= COMPOSITE):
        border = cv2.BORDER_REFLECT_101
        out = as_image(cv2.warpAffine(image, m, size, flags=cv2.INTER_LINEAR, borderMode=border))
        alpha = as_image(cv2.warpAffine(mask, m, size, flags=cv2.INTER_LINEAR, borderMode=border))
        return photometry(out, rng), alpha
    soft = cv2.GaussianBlur(
        cv2.erode(mask, np.ones((3, 3), np.uint8)), (0, 0), rng.uniform(0.5, 1.2)
    )
    alpha = as_image(cv2.warpAffine(soft, m, size, flags=cv2.INTER_LINEAR))
    border = cv2.BORDER_REPLICATE
    person = as_image(cv2.warpAffine(image, m, size, flags=cv2.INTER_LINEAR, borderMode=border))
    back = cover(room, size, rng)
    person = match_light(person, back, rng)
    a = alpha[..., None].astype(np.float32) / 255
    blend = person * a + back * (1 - a)
    return photometry(blend.astype(np.uint8), rng), alpha
