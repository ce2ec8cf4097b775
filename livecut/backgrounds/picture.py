"""A picture behind the person."""

from __future__ import annotations

import cv2

from livecut.frame import Cutout, Image
from livecut.kernels.composite import composite
from livecut.kernels.edges import EdgeColourEstimator


class Still:
    """One picture or colour, of the frame's size."""

    shown = 0
    seconds = 0.0

    def __init__(self, name: str, image: Image) -> None:
        self.name = name
        self._image = image
        self._edges = EdgeColourEstimator((image.shape[1], image.shape[0]))

    def picture(self, position: float) -> Image:
        """BGR, the same at any time."""
        return self._image

    def compose(self, cutout: Cutout, out: Image) -> None:
        """Write the cutout over the picture."""
        edges = self._edges(cutout)
        composite(cutout.frame.image, cutout.alpha, edges, self._image, out)


def fit(image: Image, out: Image) -> None:
    """Scale `image` to cover `out`, keep its proportions, cut what stands over at both sides."""
    height, width = out.shape[:2]
    h, w = image.shape[:2]
    scale = max(width / w, height / h)
    cut_w, cut_h = min(w, max(1, round(width / scale))), min(h, max(1, round(height / scale)))
    x, y = (w - cut_w) // 2, (h - cut_h) // 2
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    cv2.resize(image[y : y + cut_h, x : x + cut_w], (width, height), dst=out, interpolation=how)
