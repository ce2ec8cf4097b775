"""Backgrounds, and `open_background`, which makes one from a word of the command line."""

from __future__ import annotations

from livecut.backgrounds.base import Background
from livecut.errors import ConfigError, LivecutError
from livecut.frame import Size
from livecut.registry import WordRegistry, one_line_errors
from livecut.urls import public_url

BACKGROUNDS = WordRegistry[type[Background]](
    Background,
    {
        "blur": "livecut.backgrounds.blur:Blur",
        "colour": "livecut.backgrounds.colour:Colour",
        "transparent": "livecut.backgrounds.transparent:Transparent",
        "raw": "livecut.backgrounds.raw:Raw",
        "picture": "livecut.backgrounds.picture:Still",
        "video": "livecut.backgrounds.video:Video",
    },
    kind="background",
    group="livecut.backgrounds",
)


def find_background(spec: str) -> type[Background]:
    """The class of the background that `spec` names; nothing is opened. Raises ConfigError."""
    kind = BACKGROUNDS.find(spec)
    if kind is None:
        raise ConfigError(
            f"unknown background '{public_url(spec)}': no such file; expected {BACKGROUNDS.known()}"
        )
    return kind


def open_background(spec: str, size: Size) -> Background:
    """The background that `spec` names, for frames of `size` = (width, height).

    `spec` is one of the forms of the classes in `BACKGROUNDS`. Raises ConfigError.
    """
    kind = find_background(spec)
    try:
        with one_line_errors(kind, f"background '{spec}'", ConfigError):
            return kind.open(spec, size)
    except ConfigError:
        raise
    except LivecutError as error:
        raise ConfigError(f"background '{spec}' cannot be used: {error}") from error
