"""A network of others, described by a few lines of TOML.

    input = "src"                        # name or number; so too output
    range = [0, 1]                       # what the levels 0 and 255 become
    states = [["r1i", "r1o"]]            # inputs that are an output of the frame before
    extra = {downsample_ratio = 0.25}    # inputs that stay

`Adapter` has all keys; none must be there.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from livecut.errors import ConfigError


def is_count(value: object, least: int = 0) -> bool:
    """Whether a value is a whole number from `least` on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def are_numbers(value: object, count: int | None = None) -> bool:
    """Whether a value is a list of finite numbers, `count` of them where that is given."""
    return (
        isinstance(value, list)
        and (count is None or len(value) == count)
        and all(type(v) in (int, float) and math.isfinite(v) for v in value)
    )


def is_range(value: Any) -> bool:
    """Whether a value is a list of two different numbers."""
    return are_numbers(value, 2) and value[0] != value[1]


def is_port(value: object) -> bool:
    """Whether a value is the name or the number of an input or output."""
    return isinstance(value, str) or is_count(value)


def are_states(value: object) -> bool:
    """Whether a value is a list of pairs of names."""
    return isinstance(value, list) and all(
        isinstance(pair, list) and [type(name) for name in pair] == [str, str] for pair in value
    )


def are_extra(value: object) -> bool:
    """Whether a value is a table of numbers, lists of them, or {long_side = N}."""
    return isinstance(value, dict) and all(
        (list(v) == ["long_side"] and is_count(v["long_side"], 1))
        if isinstance(v, dict)
        else are_numbers(v if isinstance(v, list) else [v])
        for v in value.values()
    )


Form = tuple[str, Callable[[Any], bool]]


def one_of(*words: str) -> Form:
    """The form of a value that is one of some words."""
    return " or ".join(words), lambda value: value in words


PORT: Form = "a name or a number from 0", is_port
RANGE: Form = "two different numbers", is_range
FORMS: dict[str, Form] = {
    "input": PORT,
    "layout": one_of("NCHW", "NHWC"),
    "colour": one_of("RGB", "BGR"),
    "range": RANGE,
    "mean": ("three numbers", lambda v: are_numbers(v, 3)),
    "std": ("three numbers, none of them 0", lambda v: are_numbers(v, 3) and all(v)),
    "size": ("[width, height]", lambda v: are_numbers(v, 2) and all(is_count(n, 1) for n in v)),
    "short_side": ("a number of pixels", lambda v: is_count(v, 1)),
    "multiple": ("a number from 1", lambda v: is_count(v, 1)),
    "states": ("[[input, output], ...] by name", are_states),
    "extra": ("a table of numbers, lists or {long_side = N}", are_extra),
    "output": PORT,
    "channel": ("a number from 0", is_count),
    "activation": one_of("none", "sigmoid", "softmax"),
    "output_range": RANGE,
}
"""What each key of the TOML may be."""


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """How a network takes its picture, and what it gives."""

    input: str | int = 0
    """The picture's input, by name or number."""
    layout: str = "NCHW"
    """Of input and output."""
    colour: str = "RGB"
    range: Sequence[float] = (0, 1)
    """What the levels 0 and 255 become."""
    mean: Sequence[float] = (0, 0, 0)
    """By channel, subtracted after that."""
    std: Sequence[float] = (1, 1, 1)
    """By channel, divided by at last."""
    size: Sequence[int] = ()
    """Width and height of the input; empty: those of the picture, changed by the two below."""
    short_side: int = 0
    """To which the picture's shorter side is scaled; 0: as it is."""
    multiple: int = 1
    """Of which both sides become multiples."""
    states: Sequence[Sequence[str]] = ()
    """Inputs that take an output of the frame before; zeros at first."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Further inputs. {long_side = N} is N over the picture's longer side, 1 at most."""
    output: str | int = 0
    """The output that holds alpha: (1, C, h, w), (1, h, w, C) or (1, h, w)."""
    channel: int = 0
    """The person's."""
    activation: str = "none"
    """What the network leaves to be done; softmax is over the channels."""
    output_range: Sequence[float] = (0, 1)
    """What then stands for background and for person."""


def read_adapter(path: Path) -> Adapter:
    """The adapter in a TOML file. Raises ConfigError."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"adapter {path} cannot be read: {error}") from error
    for name, value in values.items():
        if name not in FORMS:
            raise ConfigError(
                f"adapter {path}: unknown key '{name}'; expected some of: {', '.join(FORMS)}"
            )
        expected, valid = FORMS[name]
        if not valid(value):
            raise ConfigError(f"adapter {path}: {name} is {value!r}; expected {expected}")
    return Adapter(**values)
