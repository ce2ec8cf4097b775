"""Nothing behind the person."""

from __future__ import annotations

from livecut.backgrounds.base import Background
from livecut.frame import Cutout, Image, Size
from livecut.kernels.composite import cutout as write_cutout
from livecut.kernels.edges import EdgeColourEstimator


class Transparent(Background):
    """Nothing: the person alone, BGRA with straight alpha."""

    forms = ("transparent",)
    help = "nothing, for outputs that can hold transparency"
    scene, transparent = "transparent", True
    name = "transparent"

    def __init__(self, size: Size) -> None:
        self._edges = EdgeColourEstimator(size)

    @classmethod
    def open(cls, spec: str, size: Size) -> Transparent:
        return cls(size)

    def compose(self, cutout: Cutout, out: Image) -> None:
        """Write the cutout itself."""
        write_cutout(cutout.frame.image, cutout.alpha, self._edges(cutout), out)
