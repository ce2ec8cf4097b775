"""Plain colours."""

from __future__ import annotations

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
