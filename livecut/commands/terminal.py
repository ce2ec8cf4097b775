"""What commands share: lines, bars and tables on standard error, and options."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from livecut.errors import ConfigError
from livecut.models import DEFAULT_MODEL
from livecut.stats import number_table

if TYPE_CHECKING:
    from rich.progress import Progress

    from livecut.pipeline.pipeline import Pipeline
    from livecut.stats import Stats

INTERRUPTED = 130
"""Exit status of a file job that Ctrl-C ended, as shells have it."""


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


def model_options(command: Any) -> Any:
    """The options that choose what the network runs on."""
    for option in (
        click.option(
            "--engine",
            default="auto",
            show_default=True,
            help="auto (on the CPU the fastest that was measured), openvino, onnx or torch; openvino and "
            "onnx also with a precision, as in onnx:int8.",
        ),
        click.option(
            "--device",
            default="auto",
            show_default=True,
            help="auto, cpu, gpu (Intel's), npu, cuda, tensorrt, coreml or directml, or with a number as in "
            "cuda:1; one that is named is available or an error.",
        ),
        click.option(
            "--model",
            default=DEFAULT_MODEL,
            show_default=True,
            help="A shipped model's name, or the path of an .onnx or .safetensors file.",
        ),
    ):
        command = option(command)
    return command


def read_config(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    """Let a TOML file stand in for options that the command line leaves out."""
    if path is None:
        return
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"configuration {path} cannot be read: {error}") from error
    params = {p.name: p for p in ctx.command.params if p.name not in ("config", "help", "first")}
    ctx.default_map = by_option(values, params, f"configuration {path}")


def by_option(
    table: Mapping[str, Any], params: Mapping[str, click.Parameter], where: str
) -> dict[str, Any]:
    """A TOML table's values by the names of options; one text for a repeatable option is a list of it.

    Raises ConfigError, which names `where`, for a key that none of `params` has.
    """
    given = {key.replace("-", "_"): value for key, value in table.items()}
    unknown = sorted(given.keys() - params.keys())
    if unknown:
        raise ConfigError(
            f"{where}: unknown key '{unknown[0]}'; expected some of: {', '.join(sorted(params))}"
        )
    for key, value in given.items():
        if isinstance(value, str) and getattr(params[key], "multiple", False):
            given[key] = [value]
    return given


def config_option(command: Any) -> Any:
    """The option of a file that stands in for the others."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        callback=read_config,
        is_eager=True,
        expose_value=False,
        help="A TOML file of these options by name; the command line wins.",
    )(command)


def say(text: str) -> None:
    """One line for the person, on standard error: standard output may carry video."""
    click.echo(f"livecut: {text}", err=True)


def say_over(bar: Progress, text: str) -> None:
    """One line for the person, above a bar that goes on."""
    bar.console.print(f"livecut: {text}", markup=False, highlight=False, soft_wrap=True)


def min_known(*numbers: int | None) -> int | None:
    """The smallest of those that are known."""
    return min((n for n in numbers if n is not None), default=None)


def progress_bar(*, shown: bool = True) -> Progress:
    """A bar with count, rate and time left, on standard error."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not shown,
    )


def summarise(pipeline: Pipeline) -> None:
    """What the run did, on standard error."""
    from rich.console import Console

    stats = pipeline.stats
    table = number_table("stage", "p50 ms", "p95 ms", "p99 ms")
    for name, ring in stats.stages.items():
        if ring.count:
            table.add_row(name, *(f"{v:.2f}" for v in ring.percentiles(50, 95, 99)))
    say(
        f"network: {pipeline.description}" if pipeline.description else "the network was not loaded"
    )
    say(_counts(stats))
    if stats.late:
        say(_late(stats))
    if stats.source_fps:
        say(f"{pipeline.source.name} gave {stats.source_fps:.1f} fps")
    if stats.frames:
        say(f"without reading and writing: {stats.pipeline_fps:.1f} fps")
        Console(stderr=True).print(table)


def summarise_streams(streams: Mapping[Pipeline, str]) -> None:
    """What each of several runs with these names did, on standard error."""
    from rich.console import Console

    table = number_table("stream", "network p50 ms", "age p50 ms", "p95 ms", "p99 ms")
    for number, (pipeline, name) in enumerate(streams.items(), 1):
        stats = pipeline.stats
        say(f"{name}: {_counts(stats)}")
        if stats.late:
            say(f"{name}: {_late(stats)}")
        if stats.frames:
            values = stats.stages["network"].percentiles(50)
            values += stats.stages["age"].percentiles(50, 95, 99)
            table.add_row(f"source {number}", *(f"{v:.2f}" for v in values))
    descriptions = {pipeline.description for pipeline in streams if pipeline.description}
    say(f"network: {', '.join(descriptions)}" if descriptions else "the network was not loaded")
    if table.rows:
        Console(stderr=True).print(table)


def _counts(stats: Stats) -> str:
    drops = ", ".join(f"{count} ({cause})" for cause, count in stats.drops.items()) or "none"
    placeholders = f", placeholders: {stats.placeholders}" if stats.placeholders else ""
    return f"{stats.frames} frames, {stats.fps:.1f} fps, drops: {drops}{placeholders}"


def _late(stats: Stats) -> str:
    late = ", ".join(f"{count} ({stage})" for stage, count in stats.late.items())
    return f"late, by what took longest: {late}"
