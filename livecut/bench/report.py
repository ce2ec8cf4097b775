"""A record for people: a table, a Markdown report, plots (PNG), and one HTML page that holds it all."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from livecut.bench.cases import PATHS
from livecut.bench.record import Record, write
from livecut.errors import ConfigError
from livecut.files import whole

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
    "glass",
    "network",
    "rest / floor",
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
                f"{stages['glass']['p50']:.1f}" if "glass" in stages else "",
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
        *_cold(record["cold"]),
    ]


def _cold(cold: dict[str, list[float]]) -> list[tuple[str, str]]:
    if not cold:
        return []
    first, rss = median(cold["first_s"]), median(cold["rss_mb"])
    return [
        (
            "cold start",
            f"{first:.2f} s to the first composited 720p frame, {rss:.0f} MB in all, "
            f"median of {len(cold['first_s'])}",
        )
    ]


def warnings(record: Record) -> list[str]:
    """What the record says against itself, a line each."""
    return [f"{row['name']}: {text}" for row in record["results"] for text in row["warnings"]]


def notes() -> list[str]:
    """What the columns mean."""
    return [
        "fps: composited frames per second, the median of the rounds; spread: the slowest and the "
        "fastest round. Times in milliseconds.",
        "age: end to end, from the frame in memory to the sink; glass: p50 from there to where the "
        "sink's picture is read, a camera's and a display's own delay apart; network: its p50; rest / "
        "floor: p50 of all that is done to the picture around the network, and the time in which its "
        "bytes can cross memory at the copy bandwidth.",
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
    """Draw latency.png, stages.png and sizes.png, and scaling.png and soak.png where there is what
    they show. Raises ConfigError without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(MISSING) from error
    found = []
    for name, draw, wanted in (
        ("latency", _latency, True),
        ("stages", _stages, True),
        ("sizes", _sizes, True),
        ("scaling", _scaling, bool(_series(record["results"]))),
        ("soak", _soak, any(row["minutes"] for row in record["results"])),
    ):
        if not wanted:
            continue
        figure: Figure = Figure(figsize=(9, 5), layout="constrained")
        draw(record["results"], figure.add_subplot())
        path = folder / f"{name}.png"
        with whole(path) as part:
            figure.savefig(part, dpi=110, format="png")
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


def _series(results: list[dict[str, Any]]) -> dict[str, list[tuple[int, dict[str, Any]]]]:
    """The rows that differ in the number of streams or threads alone, by what they have in common."""
    found: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for by in ("streams", "threads"):
        for row in results:
            rest = {k: v for k, v in row["case"].items() if k != by}
            if row["case"][by]:
                found.setdefault(f"{by}: {rest}", []).append((row["case"][by], row))
    return {key: sorted(rows, key=itemgetter(0)) for key, rows in found.items() if len(rows) > 1}


def _scaling(results: list[dict[str, Any]], axes: Axes) -> None:
    for key, rows in _series(results).items():
        name = f"{rows[0][1]['name']}, by {key.partition(':')[0]}"
        counts = [count for count, _ in rows]
        axes.plot(counts, [median(row["fps"]) for _, row in rows], "o-", label=f"{name}: fps")
        p99 = [row["stages"]["age"]["p99"] for _, row in rows]
        axes.plot(counts, p99, "x--", label=f"{name}: p99 of age, ms")
    axes.locator_params(axis="x", integer=True)
    axes.set(xlabel="streams or threads", ylim=(0, None))
    axes.set_title("Scaling: all frames per second together, and p99")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)


def _soak(results: list[dict[str, Any]], axes: Axes) -> None:
    memory = axes.twinx()
    for row in results:
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
