"""Nothing behind the person."""

from __future__ import annotations

from livecut.backgrounds.base import Background
from livecut.backgrounds.edge_colours import EdgeColours
from livecut.frame import Cutout, Image, Size
from livecut.kernels import edges


class Transparent(Background):
    """Nothing: the person alone, BGRA with straight alpha."""

    forms = ("transparent",)
    help = "nothing, for outputs that can hold transparency"
    scene, transparent = "transparent", True
    name = "transparent"

    def __init__(self, size: Size) -> None:
        self._edges = EdgeColours(size)

    @classmethod
    def open(cls, spec: str, size: Size) -> Transparent:
        return cls(size)

    def compose(self, cutout: Cutout, out: Image) -> None:
        """Write the cutout itself."""
        edges.cutout(cutout.frame.image, cutout.alpha, self._edges(cutout), out)
