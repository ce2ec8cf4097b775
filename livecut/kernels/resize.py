"""Smaller pictures."""

from __future__ import annotations

import cv2
import numpy as np

from livecut.frame import Image, Size


def reduce(image: Image, min_size: Size, levels: list[Image]) -> Image:
    """Halve `image` by averaging while it is at least twice `min_size` = (width, height).

    uint8 (H, W) or (H, W, C); gives the last half, or `image` itself. `levels` holds the buffers,
    made anew when the image's size changes, and afterwards the halves, each half of the one before.
    OpenCV averages 2x2 blocks with SIMD; where a side is odd, it takes points between the pixels,
    which is nearly the same and four times as fast as exact areas.
    """
    level = 0
    while image.shape[1] >= 2 * min_size[0] and image.shape[0] >= 2 * min_size[1]:
        shape = (image.shape[0] // 2, image.shape[1] // 2, *image.shape[2:])
        if level == len(levels) or levels[level].shape != shape:
            levels[level:] = [np.empty(shape, np.uint8)]
        half = levels[level]
        odd = image.shape[0] % 2 or image.shape[1] % 2
        how = cv2.INTER_LINEAR if odd else cv2.INTER_AREA
        cv2.resize(image, half.shape[1::-1], dst=half, interpolation=how)
        image, level = half, level + 1
    del levels[level:]
    return image
