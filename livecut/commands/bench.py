"""`livecut bench`: measures, reports, and compares two records."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from livecut.bench.options import (
    QUICK_ROUNDS,
    QUICK_SECONDS,
    ROUNDS,
    SECONDS,
    BenchOptions,
    Case,
)
from livecut.commands.options import common, takes, takes_several
from livecut.commands.terminal import progress_bar, say, showing
from livecut.errors import ConfigError

if TYPE_CHECKING:
    from livecut.bench.measure import Result
    from livecut.bench.record import Record

WIDTH = 118
"""Columns that the table needs; a narrower terminal breaks its lines, not its cells."""


@click.command()
@takes(BenchOptions)
@takes_several(Case)
@common
def bench(options: BenchOptions, chosen: dict[str, list[Any]]) -> None:
    """Measure frames per second and end-to-end latency on this machine.

    Each round of a case is a whole pipeline, warmed up until its times are steady; the rounds go
    over the cases by turns. Where no case is chosen: 480p to 4K with blur and a colour, and at 720p
    files and pictures in and out, the live threads, a pipe and the web preview read at their other
    ends, and two frames in flight. A soak is one long round: --path paced --rounds 1 --seconds
    3600.
    """
    if options.compare:
        _compare(*options.compare, options.limit)
        return
    import_module("psutil")  # each round needs it
    from livecut.bench import report
    from livecut.bench.cases import quick, standard, sweep
    from livecut.bench.cold_start import measure as measure_cold
    from livecut.bench.machine import machine
    from livecut.bench.measure import measure
    from livecut.bench.record import record

    output = options.output
    if output and not output.absolute().parent.is_dir():
        raise ConfigError(f"no folder {output.parent} to make {output.name} in; make it first")
    missing = [name for name in ("matplotlib", "jinja2") if find_spec(name) is None]
    if output and missing:
        say(
            f"no plots and no report.html without {' and '.join(missing)}; install with: "
            "pip install 'livecut[bench]'"
        )
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    cases = sweep(**chosen) if chosen else quick() if options.quick else standard()
    with showing(progress_bar()) as bar:
        task, done = bar.add_task("starting", total=len(cases) * rounds), count()

        def tell(case: Case, number: int) -> None:
            bar.update(task, completed=next(done), description=f"round {number + 1}: {case.name}")

        bar.update(task, description="cold start")
        alone = {case.alone: 1 for case in (() if options.quick else cases)}
        if not chosen:
            alone[Case().alone] = rounds
        cold = {case: measure_cold(case, starts) for case, starts in alone.items()}
        results = measure(cases, rounds=rounds, seconds=seconds, report=tell)
        bar.update(task, completed=len(cases) * rounds)
        bar.update(task, description="the GPU's own times")
        examine_gpus(results)
        bar.update(task, description="done")
    found = record(results, machine(), seconds=seconds, cold=cold)
    show(found)
    if output:
        for path in report.save(found, output, plots=not missing):
            say(f"wrote {path}")
    else:
        say("to keep these figures, add -o FOLDER")


def examine_gpus(results: Sequence[Result]) -> None:
    """Give those results of which a GPU did all their roofline; imports torch for them alone.

    Raises LivecutError.
    """
    from livecut.models import Target
    from livecut.processors import gpu_weights

    for result in results:
        case = result.case
        weights = gpu_weights(Target.parse(case.model, case.device, case.engine))
        if weights:
            from livecut.bench.gpu import examine

            result.roofline = examine(case, result.rounds[-1].pixel_format, weights)


def show(found: Record) -> None:
    """The table and what belongs to it, on standard output."""
    from rich.console import Console

    from livecut.bench import report
    from livecut.stats import number_table

    console = Console()
    console.width = max(console.width, WIDTH)
    for name, value in report.facts(found):
        console.print(f"{name}: {value}", markup=False, highlight=False)
    tables = report.tables(found)
    for head, rows in tables:
        table = number_table(*head)
        for row in rows:
            table.add_row(*row)
        console.print(table)
        console.print()
    for text in (
        *report.notes()[: 4 if len(tables) > 1 else 3],
        *report.losses(found),
        *(f"warning: {w}" for w in report.warnings(found)),
    ):
        console.print(text, markup=False, highlight=False)


def _compare(before: Path, after: Path, limit: float) -> None:
    from rich.console import Console

    from livecut.bench.record import compare, read
    from livecut.stats import number_table

    a, b = read(before), read(after)
    table = number_table("case", "p50 before", "after, ms", "ratio", "spread", "fps ratio")
    table.add_column("", no_wrap=True)
    found = compare(a, b, limit)
    for row in found:
        table.add_row(
            row["name"],
            f"{row['before_ms']:.2f}",
            f"{row['after_ms']:.2f}",
            f"{row['ratio']:.3f}",
            f"{row['low']:.2f}-{row['high']:.2f}",
            f"{row['fps_ratio']:.3f}",
            "SLOWER" if row["slower"] else "",
        )
    Console().print(table)
    if a["machine"]["processor"] != b["machine"]["processor"]:
        say("these were measured on two kinds of processor")
    slower = sum(row["slower"] for row in found)
    if slower:
        say(f"{slower} of {len(found)} cases are slower by more than {limit:g} %")
        raise SystemExit(1)
    say(f"none of {len(found)} cases is slower by more than {limit:g} %")
