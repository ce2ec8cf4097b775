"""A record as plots: latency, where the time goes, and how both and memory grow."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from livecut.bench.record import Record
from livecut.errors import ConfigError, missing
from livecut.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FLOW = ("read", "capture", "preprocess", "network", "refine", "background", "composite", "sink")
Rows = list[dict[str, Any]]
Series = dict[str, list[tuple[float, dict[str, Any]]]]
"""Rows at the place where they are drawn, by the name of their line."""


def plot(record: Record, folder: Path) -> list[Path]:
    """Draw latency.png and stages.png, and sizes.png, streams.png, threads.png and soak.png where
    there is what they show. Raises ConfigError without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(missing("matplotlib")) from error
    rows, found = record["results"], []
    sizes, streams, threads = _by_size(rows), _by(rows, "streams"), _by(rows, "threads")
    for name, draw, wanted in (
        ("latency", _latency, True),
        ("stages", _stages, True),
        ("sizes", lambda figure, _: _growth(figure, sizes, "megapixels"), bool(sizes)),
        ("streams", lambda figure, _: _growth(figure, streams, "streams"), bool(streams)),
        ("threads", lambda figure, _: _growth(figure, threads, "threads"), bool(threads)),
        ("soak", _soak, any(row["minutes"] for row in rows)),
    ):
        if not wanted:
            continue
        height = max(5.0, 1.5 + 0.3 * len(rows)) if name in ("latency", "stages") else 5.0
        figure: Figure = Figure(figsize=(10, height), layout="constrained")
        draw(figure, rows)
        path = folder / f"{name}.png"
        with atomic_write(path) as part:
            figure.savefig(part, dpi=110, format="png")
        found.append(path)
    return found


def _latency(figure: Figure, rows: Rows) -> None:
    from matplotlib.ticker import LogLocator

    axes = figure.add_subplot()
    for number, row in enumerate(rows):
        style = ("-", "--", ":", "-.")[number // 10 % 4]  # matplotlib has ten colours
        axes.plot(row["ages_ms"][:100], range(100), style, label=row["name"])
    axes.set(xlabel="age of a frame at the sink, ms", ylabel="percent of the frames", xscale="log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.set_title("End-to-end latency")
    axes.grid(alpha=0.3, which="both")
    figure.legend(fontsize=8, loc="outside right upper")


def _stages(figure: Figure, rows: Rows) -> None:
    axes = figure.add_subplot()
    names = [row["name"] for row in rows]
    left = [0.0] * len(rows)
    for stage in FLOW:
        widths = [row["stages"].get(stage, {"p50": 0.0})["p50"] for row in rows]
        if any(widths):
            axes.barh(names, widths, left=left, label=stage)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    ages = [row["stages"]["age"]["p50"] for row in rows]
    axes.plot(ages, names, "k|", markersize=11, label="age, end to end")
    axes.set(
        xlabel="p50 of each stage, ms; stages that run beside others add up to more than the age"
    )
    axes.set_title("Where the time goes")
    axes.invert_yaxis()
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(alpha=0.3, axis="x")
    axes.legend(fontsize=8)


def _by_size(rows: Rows) -> Series:
    """The rows that differ in the frame's size alone."""
    found: Series = {}
    for row in rows:
        width, height = row["case"]["size"]
        found.setdefault(row["name"].partition(" ")[2], []).append((width * height / 1e6, row))
    return _lines(found)


def _by(rows: Rows, field: str) -> Series:
    """The rows that differ in that field alone, which is `streams` or `threads`."""
    found: Series = {}
    for row in rows:
        if count := row["case"][field]:
            found.setdefault(row["name"].replace(f" {count} {field}", ""), []).append((count, row))
    return _lines(found)


def _lines(found: Series) -> Series:
    """The lines of more than one point, from left to right."""
    return {name: sorted(line, key=itemgetter(0)) for name, line in found.items() if len(line) > 1}


def _growth(figure: Figure, series: Series, by: str) -> None:
    """Frame rate, latency and memory, side by side."""
    measures: tuple[tuple[str, str, Callable[[dict[str, Any]], float | None]], ...] = (
        ("frames per second", "o-", lambda row: median(row["fps"])),
        ("age, ms: p50, and p99 dashed", "o-", lambda row: row["stages"]["age"]["p50"]),
        ("MB, in a process of its own", "o-", _memory),
    )
    panels: list[Axes] = list(figure.subplots(1, len(measures)))
    for axes, (label, style, value) in zip(panels, measures, strict=True):
        for number, (name, line) in enumerate(series.items()):
            colour = f"C{number}"
            points = [(x, y) for x, row in line if (y := value(row)) is not None]
            own = name if axes is panels[0] else None
            axes.plot(
                *zip(*points, strict=True), style, color=colour, label=own
            ) if points else None
            if label.startswith("age"):
                p99 = [row["stages"]["age"]["p99"] for _, row in line]
                axes.plot([x for x, _ in line], p99, "x--", color=colour)
        axes.set(xlabel=by, title=label, ylim=(0, None))
        axes.title.set_fontsize(10)
        axes.grid(alpha=0.3)
        if by != "megapixels":
            axes.locator_params(axis="x", integer=True)
    figure.suptitle(f"By {by}")
    figure.legend(fontsize=8, loc="outside lower center", ncols=2)


def _memory(row: dict[str, Any]) -> float | None:
    alone = row.get("alone")
    return median(alone["rss_mb"]) if alone else None


def _soak(figure: Figure, rows: Rows) -> None:
    axes = figure.add_subplot()
    memory = axes.twinx()
    for row in rows:
        if row["minutes"]:
            minutes = range(1, len(row["minutes"]) + 1)
            for key in ("p50_ms", "p99_ms"):
                label = f"{row['name']}: {key[:3]} of age"
                axes.plot(minutes, [m[key] for m in row["minutes"]], label=label)
            rss = [m["rss_mb"] for m in row["minutes"]]
            memory.plot(minutes, rss, "k:", label=f"{row['name']}: memory")
    axes.set(xlabel="minute", ylabel="ms", ylim=(0, None))
    memory.set(ylabel="MB", ylim=(0, None))
    axes.set_title("Soak")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="upper left")
    memory.legend(fontsize=7, loc="lower right")
