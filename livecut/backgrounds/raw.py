"""The camera's picture as it is."""

from __future__ import annotations

import cv2
import numpy as np

from livecut.backgrounds.base import Background
from livecut.frame import Cutout, Image, Size


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
        scale = max(0.4, out.shape[0] / 600)
        for colour, thickness in (((0, 0, 0), 5), ((0, 0, 255), 2)):
            at, thick = (int(12 * scale), int(32 * scale)), max(1, round(thickness * scale))
            cv2.putText(
                out,
                "RAW: room visible",
                at,
                cv2.FONT_HERSHEY_SIMPLEX,
                scale,
                colour,
                thick,
                cv2.LINE_AA,
            )
