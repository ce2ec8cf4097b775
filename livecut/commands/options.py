"""click's options, made from a dataclass of options; and the TOML files that stand in for them."""

from __future__ import annotations

import difflib
import functools
import logging
import math
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

import click

from livecut.commands import terminal
from livecut.errors import ConfigError
from livecut.options import Option, option_hints

Command = Callable[..., Any]


class Size(click.ParamType[tuple[int, int]]):
    """WIDTHxHEIGHT, as in 1280x720."""

    name = "WxH"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d+)x(\d+)", str(value))
        if not found or not all(16 <= int(n) <= 16384 for n in found.groups()):
            self.fail(
                f"'{value}' is no size; expected WIDTHxHEIGHT in pixels, as in 1280x720", param, ctx
            )
        return int(found[1]), int(found[2])


class Share(click.ParamType[tuple[str, float]]):
    """NAME=NUMBER, the number not negative."""

    name = "NAME=NUMBER"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        if isinstance(value, tuple):
            return value
        source, _, number = str(value).rpartition("=")
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        if not source or not 0 <= weight < math.inf:
            self.fail(f"'{value}' is not NAME=NUMBER, as in selfies=0.5", param, ctx)
        return source, weight


def takes(kind: type[Any]) -> Callable[[Command], Command]:
    """Give a command the options of a dataclass, and the dataclass filled as its first argument."""
    hints = option_hints(kind)

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def filled(*first: Any, **values: Any) -> Any:
            own = {name: values.pop(name) for name in hints}
            return command(*first, kind(**own), **values)

        return _with_options(filled, kind, repeatable=False)

    return decorate


def takes_several(kind: type[Any]) -> Callable[[Command], Command]:
    """Give a command the options of a dataclass, each repeatable, and the values of those given.

    They come as the command's keyword argument `chosen`, lists by the names of the fields.
    """
    names = list(option_hints(kind))

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def filled(*first: Any, **values: Any) -> Any:
            given = {name: values.pop(name) for name in names}
            chosen = {name: list(dict.fromkeys(each)) for name, each in given.items() if each}
            return command(*first, chosen=chosen, **values)

        return _with_options(filled, kind, repeatable=True)

    return decorate


def common(command: Command) -> Command:
    """Give a command --config, -q and -v."""
    for option in (
        click.option(
            "-v",
            "--verbose",
            is_flag=True,
            expose_value=False,
            callback=_verbose,
            help="Tell of the library's own steps too.",
        ),
        click.option(
            "-q",
            "--quiet",
            is_flag=True,
            expose_value=False,
            callback=_quiet,
            help="Tell of errors alone.",
        ),
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            callback=_read_config,
            is_eager=True,
            expose_value=False,
            help="A TOML file of these options by name; the command line wins.",
        ),
    ):
        command = option(command)
    return command


def _quiet(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if wanted:
        terminal.listen(logging.ERROR)


def _verbose(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if wanted:
        terminal.listen(logging.DEBUG)


# from a field to a parameter of click's


def _with_options(command: Command, kind: type[Any], *, repeatable: bool) -> Command:
    for decorator in reversed([*_parameters(kind, repeatable)]):
        command = decorator(command)
    return command


def _parameters(kind: type[Any], repeatable: bool) -> Iterator[Callable[[Command], Command]]:
    """A decorator for each field; the class's own come before those of its bases."""
    hints = option_hints(kind)
    owners = {
        name: i for i, c in enumerate(kind.__mro__) for name in vars(c).get("__annotations__", {})
    }
    for name in sorted(hints, key=lambda name: owners[name]):
        hint, facts = hints[name]
        default = getattr(kind, name, None)
        if facts.flags:
            for value, text in facts.flags.items():
                yield click.option(f"--{value}", name, flag_value=value, default=default, help=text)
        elif facts.positional:
            yield click.argument(
                name,
                nargs=-1,
                required=True,
                metavar=f"{facts.metavar}...",
                type=_type(hint, facts)[0],
            )
        else:
            yield _option(name, hint, facts, default, hasattr(kind, name), repeatable)


def _option(
    name: str, hint: Any, facts: Option, default: Any, optional: bool, repeatable: bool
) -> Callable[[Command], Command]:
    names = [facts.name or f"--{name.replace('_', '-')}", name]
    if facts.short:
        names.insert(0, facts.short)
    if hint is bool:
        return click.option(*names, is_flag=True, help=facts.help)
    kind, count = _type(hint, facts)
    if repeatable:
        return click.option(
            *names, type=kind, multiple=True, help=f"{facts.help[:-1]}; repeatable."
        )
    given: dict[str, Any] = {}
    if count == -1:
        given["multiple"] = True
    elif count > 1:
        given["nargs"] = count
    if default is not None:
        given |= {"default": _plain(default), "show_default": default not in ("", ())}
    return click.option(
        *names, type=kind, required=not optional, metavar=facts.metavar, help=facts.help, **given
    )


def _plain(value: Any) -> Any:
    """A default as a person would write it."""
    if isinstance(value, tuple) and value and all(isinstance(side, int) for side in value):
        return "x".join(map(str, value))
    return str(value) if isinstance(value, Path) else value


def _type(hint: Any, facts: Option) -> tuple[click.ParamType[Any], int]:
    """Click's type of one value, and how many there are: -1 for any number of them."""
    if isinstance(hint, UnionType):
        [hint] = (each for each in get_args(hint) if each is not NoneType)
    if get_origin(hint) is tuple:
        first, second = get_args(hint)
        if second is Ellipsis:
            return _type(first, facts)[0], -1
        if (first, second) == (int, int):
            return Size(), 1
        if (first, second) == (str, float):
            return Share(), 1
        return _type(first, facts)[0], 2
    if facts.choices:
        return click.Choice(facts.choices), 1
    if hint is Path:
        return click.Path(path_type=Path), 1
    if hint in (int, float):
        low = facts.at_least if facts.more_than is None else facts.more_than
        high = facts.at_most if facts.less_than is None else facts.less_than
        if low is None and high is None:
            return (click.INT if hint is int else click.FLOAT), 1
        kind: Any = click.IntRange if hint is int else click.FloatRange
        return kind(low, high, facts.more_than is not None, facts.less_than is not None), 1
    return click.STRING, 1


# from a TOML file


def _read_config(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    """Let a TOML file stand in for options that the command line leaves out."""
    if path is None:
        return
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"configuration {path} cannot be read: {error}") from error
    others = ("config", "help", "quiet", "verbose", "first")
    params = {p.name: p for p in ctx.command.params if p.name not in others}
    ctx.default_map = by_option(values, params, f"configuration {path}")


def by_option(
    table: Mapping[str, Any], params: Mapping[str, click.Parameter], where: str
) -> dict[str, Any]:
    """A TOML table's values by option; one text for a repeatable option is a list of one.

    Raises ConfigError, which names `where`, for a key that none of `params` has.
    """
    given = {key.replace("-", "_"): value for key, value in table.items()}
    unknown = sorted(given.keys() - params.keys())
    if unknown:
        near = difflib.get_close_matches(unknown[0], params, n=1)
        hint = f"did you mean '{near[0]}'? It takes" if near else "expected some of"
        raise ConfigError(
            f"{where}: unknown key '{unknown[0]}'; {hint}: {', '.join(sorted(params))}"
        )
    for key, value in given.items():
        if isinstance(value, str) and getattr(params[key], "multiple", False):
            given[key] = [value]
    return given
