"""The camera's picture as it is."""

from __future__ import annotations

import cv2
import numpy as np

from livecut.backgrounds.base import Background
from livecut.frame import Cutout, Image, Size

LABEL, LABEL_AT = "RAW: room visible", (12, 32)
"""Text on the picture, and the (x, y) of its lower left corner, in pixels at LABEL_HEIGHT."""
LABEL_HEIGHT, LEAST_SCALE = 600, 0.4
"""Height in pixels of a picture whose label has OpenCV's own size, and the least factor of it."""
STROKES = (((0, 0, 0), 5), ((0, 0, 255), 2))
"""Colours, BGR, and widths in pixels at LABEL_HEIGHT: red letters with a black rim."""


class Raw(Background):
    """The camera as it is: the only way to show the room, and it says so on the picture."""

    forms = ("raw",)
    help = "the room as it is, which the picture then says"
    name = "raw"

    @classmethod
    def open(cls, spec: str, size: Size) -> Raw:
        return cls()

    def compose(self, cutout: Cutout, out: Image) -> None:
        """Write the frame itself, labelled."""
        np.copyto(out, cutout.frame.image)
        font, scale = cv2.FONT_HERSHEY_SIMPLEX, max(LEAST_SCALE, out.shape[0] / LABEL_HEIGHT)
        at = int(LABEL_AT[0] * scale), int(LABEL_AT[1] * scale)
        for colour, width in STROKES:
            thickness = max(1, round(width * scale))
            cv2.putText(out, LABEL, at, font, scale, colour, thickness, cv2.LINE_AA)
