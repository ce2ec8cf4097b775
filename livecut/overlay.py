"""Text on pictures."""

from __future__ import annotations

import textwrap

import cv2
import numpy as np

from livecut.frame import Image, Size


def draw_notice(text: str, size: Size, channels: int = 3) -> Image:
    """Draw `text` in white, wrapped and centred on dark grey: uint8 (H, W, channels).

    `size` is (width, height); of 4 channels the last is alpha, 255. Other letters than ASCII become
    "?".
    """
    width, height = size
    image = np.full((height, width, channels), 40, np.uint8)
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, max(0.3, min(width / 1100, height / 500))
    per_line = max(8, int(width * 0.9 / (19 * scale)))
    plain = text.encode("ascii", "replace").decode()
    lines = [("livecut: no picture", 1.2)] + [
        (line, 1.0) for line in textwrap.wrap(plain, per_line)
    ]
    step = int(38 * scale)
    y = (height - step * (len(lines) - 1)) // 2
    for line, factor in lines:
        thickness = max(1, round(2 * scale * factor))
        (w, h), _ = cv2.getTextSize(line, font, scale * factor, thickness)
        at = ((width - w) // 2, y + h // 2)
        cv2.putText(
            image, line, at, font, scale * factor, (235, 235, 235, 255), thickness, cv2.LINE_AA
        )
        y += step
    if channels == 4:
        image[..., 3] = 255
    return image
