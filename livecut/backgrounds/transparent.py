"""Nothing behind the person."""

from __future__ import annotations

from livecut.frame import Cutout, Image
from livecut.kernels.composite import cutout as write_cutout
from livecut.kernels.edges import EdgeColourEstimator


class Transparent:
    """Nothing: the person alone, BGRA with straight alpha."""

    name, seconds = "transparent", 0.0

    def __init__(self, size: tuple[int, int]) -> None:
        self._edges = EdgeColourEstimator(size)

    def compose(self, cutout: Cutout, out: Image) -> None:
        """Write the cutout itself."""
        write_cutout(cutout.frame.image, cutout.alpha, self._edges(cutout), out)
