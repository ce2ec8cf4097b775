"""The interface of a background."""

from __future__ import annotations

from typing import Protocol

from livecut.frame import Cutout, Image


class Background(Protocol):
    """A kind of background, made for frames of one size."""

    name: str
    """As a person would write it: "blur:0.5", "#00b140", "beach.jpg"."""
    seconds: float
    """What the last `compose` spent on making what stands behind the person; 0 where that was there."""

    def compose(self, cutout: Cutout, out: Image) -> None:
        """Write the cutout over this background into `out`. Raises LivecutError."""
