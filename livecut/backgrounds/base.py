"""The interface of a background."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from livecut.errors import ConfigError
from livecut.frame import Cutout, Image, Size


class Background(ABC):
    """A kind of background, made for frames of one size."""

    forms: ClassVar[Sequence[str]] = ()
    """Words that it takes, as examples: "blur", "blur:0.8"."""
    help: ClassVar[str] = ""
    """What the words name, for people, in lower case and without a full stop."""
    scene: ClassVar[str] = ""
    """How a GPU makes it: "blur", "picture", "transparent"; empty where the CPU has to."""
    transparent: ClassVar[bool] = False
    """Whether composites are BGRA, else BGR."""
    strength = 0.0
    """Strength of a blur, 0 to 1."""
    name: str
    """Name as a person would write it: "blur:0.5", "#00b140", "beach.jpg"."""
    seconds = 0.0
    """Seconds that the last `compose` spent on making what stands behind the person; 0 where that
    was there."""

    @classmethod
    def accepts(cls, spec: str) -> bool:
        """Whether `spec`, a word of the command line, names this kind of background."""
        return spec in cls.forms

    @classmethod
    def open(cls, spec: str, size: Size) -> Background:
        """Make what `spec` names for frames of `size` = (width, height). Raises LivecutError."""
        raise ConfigError(f"background '{spec}' cannot be made by its name")

    @abstractmethod
    def compose(self, cutout: Cutout, out: Image) -> None:
        """Write the cutout over this background into `out`. Raises LivecutError."""
