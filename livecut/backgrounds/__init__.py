"""Backgrounds, and `open_background`, which makes one from a word of the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from livecut.backgrounds.base import Background
from livecut.backgrounds.blur import Blur
from livecut.backgrounds.colour import COLOURS
from livecut.backgrounds.picture import Still, fit
from livecut.backgrounds.raw import Raw
from livecut.backgrounds.transparent import Transparent
from livecut.backgrounds.video import Video
from livecut.errors import ConfigError, LivecutError
from livecut.kernels.constants import DEFAULT_STRENGTH
from livecut.pictures import READABLE, read_picture


def open_background(spec: str, size: tuple[int, int]) -> Background:
    """A background for frames of `size` = (width, height), by what a person writes.

    `blur`, `blur:0.0` to `blur:1.0`, `#rrggbb`, a name of `COLOURS`, a picture, a video,
    `transparent`, `raw`. Raises ConfigError.
    """
    kind, _, strength = spec.partition(":")
    if kind == "blur":
        try:
            value = float(strength) if strength else DEFAULT_STRENGTH
        except ValueError:
            value = float("nan")
        if not 0.0 <= value <= 1.0:
            raise ConfigError(
                f"background '{spec}': the blur's strength must be 0.0 to 1.0, as in blur:0.5"
            )
        return Blur(size, value)
    if spec in ("transparent", "raw"):
        return Transparent(size) if spec == "transparent" else Raw()
    colour = COLOURS.get(spec.lower(), spec)
    if colour.startswith("#"):
        try:
            red, green, blue = bytes.fromhex(colour[1:])
        except ValueError:
            raise ConfigError(
                f"background '{spec}' is no colour; expected #rrggbb, as in #00b140"
            ) from None
        return Still(spec, np.full((size[1], size[0], 3), (blue, green, red), np.uint8))
    path = Path(spec)
    if not path.is_file():
        raise ConfigError(
            f"unknown background '{spec}': no such file; expected blur, blur:0.5, #rrggbb, "
            f"{', '.join(COLOURS)}, a picture, a video, transparent or raw"
        )
    try:
        if path.suffix.lower() not in READABLE:
            return Video(path, size)
        image = read_picture(path)
    except LivecutError as error:
        raise ConfigError(f"background '{spec}' cannot be used: {error}") from error
    fitted = np.empty((size[1], size[0], 3), np.uint8)
    fit(image, fitted)
    return Still(path.name, fitted)
