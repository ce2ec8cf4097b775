"""Nothing behind the person."""

from __future__ import annotations

from livecut.backgrounds.edge_colours import EdgeColours
from livecut.frame import Cutout, Image
from livecut.kernels import edges


class Transparent:
    """Nothing: the person alone, BGRA with straight alpha."""

    name, seconds = "transparent", 0.0

    def __init__(self, size: tuple[int, int]) -> None:
        self._edges = EdgeColours(size)

    def compose(self, cutout: Cutout, out: Image) -> None:
        """Write the cutout itself."""
        edges.cutout(cutout.frame.image, cutout.alpha, self._edges(cutout), out)
