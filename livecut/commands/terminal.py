"""Lines, bars and tables on standard error: standard output may carry video."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from livecut.urls import redact

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.table import Table

    from livecut.pipeline.pipeline import Pipeline
    from livecut.stats import Stats

INTERRUPTED = 130
"""Exit status of a file job that Ctrl-C ended, as shells have it."""
LOG = logging.getLogger("livecut")
"""All that is said goes through it, the library's own words too."""
PREFIXES = {logging.WARNING: "warning: ", logging.ERROR: "error: "}


class Lines(logging.Handler):
    """Writes each record as one line, above a bar that goes on."""

    bar: Progress | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        text = f"livecut: {PREFIXES.get(record.levelno, '')}{record.getMessage()}"
        text = redact(text.replace("\n", " "))
        if self.bar is None:
            click.echo(text, err=True)
        else:
            self.bar.console.print(text, markup=False, highlight=False, soft_wrap=True)


LINES = Lines()


def listen(level: int = logging.INFO) -> None:
    """Show what is said from this level on."""
    LOG.addHandler(LINES)
    LOG.setLevel(level)


def say(text: str) -> None:
    """One line for the person, unless there shall be errors alone."""
    LOG.info("%s", text)


def say_error(text: str) -> None:
    """One line on what went wrong."""
    LOG.error("%s", text)


def show_table(table: Table) -> None:
    """A table for the person, unless there shall be errors alone."""
    from rich.console import Console

    if LOG.isEnabledFor(logging.INFO):
        Console(stderr=True).print(table)


def min_known(*numbers: int | None) -> int | None:
    """The smallest of the numbers that are known; None where none is."""
    return min((n for n in numbers if n is not None), default=None)


def progress_bar(*, shown: bool = True) -> Progress:
    """A bar with count, rate and time left, for `showing`; it draws on a terminal alone."""
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
        disable=not (shown and sys.stderr.isatty() and LOG.isEnabledFor(logging.INFO)),
    )


@contextmanager
def showing(bar: Progress) -> Iterator[Progress]:
    """Draw a bar meanwhile, lines above it; an error wipes it away."""
    with bar:
        LINES.bar = bar
        try:
            yield bar
        except BaseException:
            bar.live.transient = True
            raise
        finally:
            LINES.bar = None


def summarise(pipeline: Pipeline) -> None:
    """Say what a run did."""
    from livecut.stats import SHOWN, number_table

    stats = pipeline.stats
    table = number_table("stage", *SHOWN)
    for row in stats.rows():
        table.add_row(*row)
    say(
        f"network: {pipeline.description}" if pipeline.description else "the network was not loaded"
    )
    say(stats.counts)
    if stats.late:
        say(_late(stats))
    if stats.source_fps:
        say(f"{pipeline.source.name} gave {stats.source_fps:.1f} fps")
    if stats.frames:
        say(f"without reading and writing: {stats.pipeline_fps:.1f} fps")
        show_table(table)


def summarise_streams(streams: Mapping[Pipeline, str]) -> None:
    """Say what each of several runs with these names did."""
    from livecut.stats import number_table

    table = number_table("stream", "network p50 ms", "age p50 ms", "p95 ms", "p99 ms")
    for number, (pipeline, name) in enumerate(streams.items(), 1):
        stats = pipeline.stats
        say(f"{name}: {stats.counts}")
        if stats.late:
            say(f"{name}: {_late(stats)}")
        if stats.frames:
            values = stats.stages["network"].percentiles(50)
            values += stats.stages["age"].percentiles(50, 95, 99)
            table.add_row(f"source {number}", *(f"{v:.2f}" for v in values))
    descriptions = {pipeline.description for pipeline in streams if pipeline.description}
    say(f"network: {', '.join(descriptions)}" if descriptions else "the network was not loaded")
    if table.rows:
        show_table(table)


def _late(stats: Stats) -> str:
    late = ", ".join(f"{count} ({stage})" for stage, count in stats.late.items())
    return f"late, by what took longest: {late}"
