"""Options: the facts of one, and those that several commands and the Python API share.

The options of a command are a frozen keyword-only dataclass in the command's own room. A field's
annotation is `Annotated[type, Option(...)]`, its value is the default, and both are stated there
alone: the command line, a `--config` file and Python fill the same dataclass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, get_type_hints

from livecut.models import AUTO, DEFAULT_MODEL, DEVICES, PRECISIONS

TITLE = "livecut"
"""Title of a window to which no other was given."""


@dataclass(frozen=True)
class Option:
    """Facts of one option besides its name, type and default."""

    help: str
    short: str = ""
    """One letter with its dash, as in "-b"."""
    name: str = ""
    """Name on the command line, where it is not the field's."""
    choices: tuple[str, ...] = ()
    """The values that are allowed; empty: all of the type."""
    at_least: float | None = None
    at_most: float | None = None
    more_than: float | None = None
    less_than: float | None = None
    metavar: str | None = None
    """Placeholder of the value in the help; None: as the type has it."""
    flags: Mapping[str, str] = field(default_factory=dict)
    """Help by value: each value is a flag of its own, --VALUE, and the option has no other form."""
    positional: bool = False
    """Whether the values stand on the command line without a name."""


def option_hints(kind: type[Any]) -> dict[str, tuple[Any, Option]]:
    """Type and facts of each field of a dataclass of options, by name, in order."""
    hints = get_type_hints(kind, include_extras=True)
    annotated = {f.name: hints[f.name] for f in fields(kind)}
    return {name: (hint.__origin__, hint.__metadata__[0]) for name, hint in annotated.items()}


def values_of(options: Any, kind: type[Any]) -> dict[str, Any]:
    """The values by name of the fields of `kind`, a class that the options' own derives from."""
    return {f.name: getattr(options, f.name) for f in fields(kind)}


@dataclass(frozen=True, kw_only=True)
class TargetOptions:
    """The network, and what it runs on."""

    model: Annotated[
        str, Option("A shipped model's name, or the path of an .onnx or .safetensors file.")
    ] = DEFAULT_MODEL
    device: Annotated[
        str,
        Option(
            f"{', '.join(DEVICES)}, or with a number as in cuda:1; "
            "a device that is named is available or an error."
        ),
    ] = AUTO
    engine: Annotated[
        str,
        Option(
            "auto (on a CPU the fastest that was measured), or an engine as livecut run --help "
            "lists them; openvino and onnx also with a precision, as in onnx:int8."
        ),
    ] = AUTO


@dataclass(frozen=True, kw_only=True)
class NetworkOptions(TargetOptions):
    """The network, what it runs on, and how on a CPU."""

    threads: Annotated[
        int,
        Option(
            "Threads of the network on a CPU; 0: half of the cores, at most 4.",
            at_least=0,
            at_most=256,
        ),
    ] = 0


@dataclass(frozen=True, kw_only=True)
class ProcessorOptions(NetworkOptions):
    """The network, what it runs on, and how where a GPU does all of a frame."""

    precision: Annotated[
        str,
        Option(
            "Numbers of the network where PyTorch does all of a frame on a GPU.",
            choices=("auto", *PRECISIONS),
        ),
    ] = "auto"
