"""Plain colours."""

from __future__ import annotations

import numpy as np

from livecut.backgrounds.picture import PictureBackground
from livecut.errors import ConfigError
from livecut.frame import Image, Size

COLOURS = {
    "black": "#000000",
    "blue": "#0000ff",
    "gray": "#808080",
    "green": "#00b140",
    "grey": "#808080",
    "navy": "#000080",
    "purple": "#800080",
    "red": "#ff0000",
    "silver": "#c0c0c0",
    "teal": "#008080",
    "white": "#ffffff",
    "yellow": "#ffff00",
}
"""The colours that can be named, as #rrggbb; green is the one of chroma-key screens."""


class Colour(PictureBackground):
    """One colour behind the person."""

    forms = (*COLOURS, "#00b140")
    help = "a plain colour"

    def __init__(self, spec: str, size: Size) -> None:
        """`spec` is a name in `COLOURS` or #rrggbb. Raises ConfigError."""
        super().__init__(spec, size)
        colour = COLOURS.get(spec.lower(), spec)
        try:
            red, green, blue = bytes.fromhex(colour.removeprefix("#"))
        except ValueError:
            raise ConfigError(
                f"background '{spec}' is no colour; expected #rrggbb, as in #00b140"
            ) from None
        self._image = np.full((size[1], size[0], 3), (blue, green, red), np.uint8)

    @classmethod
    def accepts(cls, spec: str) -> bool:
        return spec.startswith("#") or spec.lower() in COLOURS

    @classmethod
    def open(cls, spec: str, size: Size) -> Colour:
        return cls(spec, size)

    def picture(self, position: float) -> Image:
        return self._image
