"""A record for people: a table, a Markdown report, plots (PNG), and one HTML page that holds it all."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from livecut.bench.cases import PATHS
from livecut.bench.record import Record, write
from livecut.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEAD = (
    "case",
    "fps",
    "spread",
    "age p50",
    "p95",
    "p99",
    "network",
    "picture / floor",
    "CPU %",
    "MB",
)
FLOW = ("read", "preprocess", "network", "refine", "composite", "sink")
PICTURE = ("preprocess", "refine", "composite")
MISSING = "plots need matplotlib; install it with: pip install 'livecut[bench]'"


def rows(record: Record) -> list[tuple[str, ...]]:
    """A line of `HEAD` for each case."""
    found = list[tuple[str, ...]]()
    for row in record["results"]:
        stages, fps = row["stages"], row["fps"]
        age = stages["age"]
        picture = sum(stages[s]["p50"] for s in PICTURE if s in stages)
        found.append(
            (
                row["name"],
                f"{median(fps):.1f}",
                f"{min(fps):.0f}-{max(fps):.0f}",
                f"{age['p50']:.2f}",
                f"{age['p95']:.2f}",
                f"{age['p99']:.2f}",
                f"{stages['network']['p50']:.2f}",
                f"{picture:.2f} / {row['floor_ms']:.2f}",
                f"{median(row['cpu_percent']):.0f}",
                f"{row['rss_mb']:.0f}",
            )
        )
    return found


def facts(record: Record) -> list[tuple[str, str]]:
    """What was measured on, as (name, value)."""
    m = record["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in m["versions"].items())
    return [
        ("when", record["when"]),
        ("processor", f"{m['processor']}, {m['cores']} cores"),
        ("memory", f"{m['memory_gb']} GB, copies {m['copy_gb_per_s']} GB/s"),
        ("system", f"{m['system']}, Python {m['python']}"),
        ("versions", versions + (f", commit {m['commit']}" if "commit" in m else "")),
        ("network", ", ".join(sorted({row["network"] for row in record["results"]}))),
        ("rounds", f"{record['rounds']} of {record['seconds']:g} s by turns, after warm-up"),
    ]


def warnings(record: Record) -> list[str]:
    """What the record says against itself, a line each."""
    return [f"{row['name']}: {text}" for row in record["results"] for text in row["warnings"]]


def notes() -> list[str]:
    """What the columns mean."""
    return [
        "fps: composited frames per second, the median of the rounds; spread: the slowest and the "
        "fastest round. Times in milliseconds.",
        "age: end to end, from the frame in memory to the sink; network: its p50; picture / floor: "
        "p50 of all that is done to the picture around the network, and the time in which its bytes "
        "can cross memory at the copy bandwidth.",
        "CPU: percent of one core; MB: memory of the process, without the frames held for it.",
        *(f"{name}: {text}." for name, text in PATHS.items()),
    ]


def markdown(record: Record, plots: Sequence[str] = ()) -> str:
    """The report as Markdown."""
    lines = ["# livecut bench", ""]
    lines += [f"- {name}: {value}" for name, value in facts(record)]
    lines += ["", f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows(record)]
    lines += ["", *(f"- {note}" for note in notes())]
    if warnings(record):
        lines += ["", "Warnings:", "", *(f"- {text}" for text in warnings(record))]
    lines += [text for name in plots for text in ("", f"![{Path(name).stem}]({name})")]
    return "\n".join(lines) + "\n"


def page(record: Record, plots: Sequence[Path] = ()) -> str:
    """The report as an HTML page that needs no other file."""
    e = html.escape
    head = "".join(f"<th>{e(h)}</th>" for h in HEAD)
    body = "".join(
        "<tr>" + "".join(f"<td>{e(cell)}</td>" for cell in row) + "</tr>" for row in rows(record)
    )
    what = "".join(f"<dt>{e(k)}</dt><dd>{e(v)}</dd>" for k, v in facts(record))
    said = "".join(f"<li>{e(text)}</li>" for text in [*notes(), *warnings(record)])
    shown = "".join(
        f'<img alt="{e(p.stem)}" src="data:image/png;base64,{base64.b64encode(p.read_bytes()).decode()}">'
        for p in plots
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>livecut bench</title>'
        "<style>body{font:15px sans-serif;max-width:70em;margin:2em auto;padding:0 1em}"
        "table{border-collapse:collapse}td,th{padding:.25em .6em;border-bottom:1px solid #ccc;"
        "text-align:right}td:first-child,th:first-child{text-align:left}dt{float:left;width:7em;"
        "color:#666}dd{margin:0 0 .3em 7em}img{max-width:100%;margin-top:1.5em}</style>"
        f"<h1>livecut bench</h1><dl>{what}</dl><table><tr>{head}</tr>{body}</table><ul>{said}</ul>"
        f"{shown}</html>\n"
    )


def plot(record: Record, folder: Path) -> list[Path]:
    """Draw latency.png, stages.png and sizes.png. Raises ConfigError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(MISSING) from error
    found = []
    for name, draw in (("latency", _latency), ("stages", _stages), ("sizes", _sizes)):
        figure: Figure = Figure(figsize=(9, 5), layout="constrained")
        draw(record["results"], figure.add_subplot())
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=110)
        found.append(path)
    return found


def _latency(results: list[dict[str, Any]], axes: Axes) -> None:
    for row in results:
        axes.plot(row["ages_ms"][:100], range(100), label=row["name"])
    axes.set(xlabel="age of a frame at the sink, ms", ylabel="percent of the frames", xscale="log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.tick_params(axis="x", which="minor", labelsize=7)
    axes.set_title("End-to-end latency")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=7)


def _stages(results: list[dict[str, Any]], axes: Axes) -> None:
    names = [row["name"] for row in results]
    left = [0.0] * len(results)
    for stage in FLOW:
        widths = [row["stages"].get(stage, {"p50": 0.0})["p50"] for row in results]
        axes.barh(names, widths, left=left, label=stage)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.set(xlabel="p50 of each stage, ms")
    axes.set_title("Where the time goes")
    axes.invert_yaxis()
    axes.tick_params(axis="y", labelsize=7)
    axes.legend(fontsize=8)


def _sizes(results: list[dict[str, Any]], axes: Axes) -> None:
    lines: dict[str, list[tuple[float, float, str]]] = {}
    for row in results:
        width, height = row["case"]["size"]
        key = row["name"].partition(" ")[2]
        lines.setdefault(key, []).append((width * height / 1e6, median(row["fps"]), f"{height}p"))
    for key, points in lines.items():
        points.sort()
        axes.plot([p[0] for p in points], [p[1] for p in points], "o-", label=key)
    axes.set(xlabel="megapixels in a frame", ylabel="frames per second", ylim=(0, None))
    axes.set_title("Frame rate by size")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)


def save(record: Record, folder: Path, *, plots: bool) -> list[Path]:
    """Write bench.json, report.md, report.html and, where wanted, the plots into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = plot(record, folder) if plots else []
    texts = {
        "bench.json": json.dumps(record, indent=1) + "\n",
        "report.md": markdown(record, [p.name for p in drawn]),
        "report.html": page(record, drawn),
    }
    for name, text in texts.items():
        write(text, folder / name)
    return [folder / name for name in texts] + drawn
