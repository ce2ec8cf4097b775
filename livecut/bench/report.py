"""A record for people: tables, a Markdown report, and one HTML page that holds all of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from livecut.bench.cases import KEPT, PACE
from livecut.bench.options import PATHS
from livecut.bench.plots import plot
from livecut.bench.record import PICTURE, Record, write

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
STAGE_HEAD = (
    "case",
    "stage",
    "samples",
    "min",
    "p50",
    "95 % sure",
    "p90",
    "p95",
    "p99",
    "max",
    "jitter",
)


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
                f"{median(row['alone']['rss_mb']) if row.get('alone') else row['rss_mb']:.0f}",
            )
        )
    return found


def stage_rows(record: Record) -> list[tuple[str, ...]]:
    """A line of `STAGE_HEAD` for each stage of each case, the case's name at its first."""
    return [
        (
            "" if number else row["name"],
            name,
            str(stage["count"]),
            f"{stage['min']:.2f}",
            f"{stage['p50']:.2f}",
            f"{stage['p50_low']:.2f}-{stage['p50_high']:.2f}",
            *(f"{stage[key]:.2f}" for key in ("p90", "p95", "p99", "max", "jitter")),
        )
        for row in record["results"]
        for number, (name, stage) in enumerate(row["stages"].items())
    ]


def losses(record: Record) -> list[str]:
    """A line for each case whose frames did not all arrive in time: how many, and by what cause."""
    found = []
    for row in record["results"]:
        causes = {"dropped": row["drops"], "late": row["late"]}
        said = [
            f"{sum(counts.values())} {what} ({', '.join(f'{c} {n}' for c, n in counts.items())})"
            for what, counts in causes.items()
            if isinstance(counts, dict) and counts  # a number of old, without its causes
        ]
        said += [f"{row[key]} {key}" for key in ("duplicated", "unreadable") if row[key]]
        if said:
            found.append(f"{row['name']}: of {row['captured']} frames {'; '.join(said)}")
    return found


FLOORS = ("on the GPU", "up MB", "down MB", "device MB", "steps", "floor ms", "frame ms", "ratio")
DEVICE = ("on the GPU, ms", "upload", "network", "background", "rest", "download", "enqueue")
Table = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""A head and its lines."""


def tables(record: Record) -> list[Table]:
    """The table of all cases; where a GPU did all, also one of the floor and the stages."""
    on_gpu = [(row["name"], r) for row in record["results"] if (r := row.get("roofline"))]
    found: list[Table] = [(HEAD, rows(record))]
    if on_gpu:
        found.append((FLOORS, [(name, *_floor(r)) for name, r in on_gpu]))
        found.append((DEVICE, [(name, *_device(r)) for name, r in on_gpu]))
    return found


def _floor(r: dict[str, Any]) -> tuple[str, ...]:
    """A line of `FLOORS`, its name left out."""
    moved = (f"{r[f'bytes_{bus}'] / 1e6:.1f}" for bus in ("up", "down", "device"))
    floor, frame = r["floor_ms"], r["per_frame_ms"]
    return *moved, str(r["launches"]), f"{floor:.3f}", f"{frame:.3f}", f"{r['ratio']:.1f}"


def _device(r: dict[str, Any]) -> tuple[str, ...]:
    """A line of `DEVICE`, its name left out."""
    p50 = {name: stage["p50"] for name, stage in r["stages"].items()}
    rest = sum(p50.get(stage, 0.0) for stage in ("preprocess", "refine", "composite"))
    times = (p50["upload"], p50["network"], p50.get("background", 0.0), rest, p50["download"])
    return tuple(f"{ms:.3f}" for ms in (*times, r["enqueue"]["p50"]))


def facts(record: Record) -> list[tuple[str, str]]:
    """Facts of the machine, as (name, value)."""
    m = record["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in m["versions"].items())
    return [
        ("when", record["when"]),
        ("processor", f"{m['processor']}, {m['cores']} cores"),
        ("memory", f"{m['memory_gb']} GB, copies {m['copy_gb_per_s']} GB/s"),
        *([("GPU", f"{m['gpu']}, driver {m['driver']}")] if "gpu" in m else []),
        *_card(m),
        ("system", f"{m['system']}, Python {m['python']}"),
        ("versions", versions + (f", commit {m['commit']}" if "commit" in m else "")),
        ("network", "; ".join(sorted({row["network"] for row in record["results"]}))),
        ("rounds", f"{record['rounds']} of {record['seconds']:g} s by turns, after warm-up"),
        *_cold(record["cold"]),
        *_carried(record["results"]),
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


def _card(machine: dict[str, Any]) -> list[tuple[str, str]]:
    if "card" not in machine:
        return []
    up, down, device = (machine["card"][f"{bus}_gb_per_s"] for bus in ("up", "down", "device"))
    told = f"copies {up} GB/s up, {down} down, {device} in its memory (read and written)"
    return [("card", f"{machine['card']['name']}, {told}")]


def _carried(results: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """How many streams the machine carries in time, where several numbers were measured."""
    paced = [row for row in results if row["case"]["path"] == "paced"]
    counts = {row["case"]["streams"] for row in paced}
    if len(counts) < 2:
        return []
    held = [
        (row["case"]["streams"], row["name"])
        for row in paced
        if median(row["fps"]) > KEPT * PACE * row["case"]["streams"]
        and row["stages"]["age"]["p99"] < 1e3 / PACE
    ]
    count, name = max(held, default=(0, f"none of {min(counts)} to {max(counts)}"))
    goal = f"at {PACE:g} frames per second each with a p99 of age under {1e3 / PACE:.0f} ms"
    return [("streams", f"{count} {goal} ({name})")]


def warnings(record: Record) -> list[str]:
    """The record's own warnings, a line for each case that has any."""
    rows = record["results"]
    return [f"{row['name']}: {'; '.join(row['warnings'])}" for row in rows if row["warnings"]]


def notes() -> list[str]:
    """The meaning of the columns."""
    return [
        "fps: composited frames per second, the median of the rounds; spread: the slowest and the "
        "fastest round. Times in milliseconds.",
        "age: end to end, from the frame in memory to the sink; glass: p50 from there to where "
        "the sink's picture is read, a camera's and a display's own delay apart; network: its p50; "
        "rest / floor: p50 of all that is done to the picture around the network, and the time in "
        "which its bytes can cross memory at the copy bandwidth.",
        "CPU: percent of one core; MB: memory of a process that does this alone, else (--quick) of "
        "the measuring one without the frames held for it.",
        "on the GPU: bytes of a frame over the bus and those that its steps read and write; floor: "
        "the time of these at the rates of large copies, one after the other, or the busiest where "
        "frames overlap; ratio: of a frame to it. The stages are p50 by the device's clock, in a "
        "round apart; rest: before the network, edges and composite; enqueue: what the processor "
        "needs to queue a frame.",
        "95 % sure: between these lies the true median, were the samples independent; jitter: mean "
        "difference of one frame from the one before it; late: older at the sink than the time "
        "from one frame to the next, by the stage that took longest.",
        *(f"{name}: {text}." for name, text in PATHS.items()),
    ]


def markdown(record: Record, plots: Sequence[str] = ()) -> str:
    """The report as Markdown."""

    def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
        return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]

    lines = ["# livecut bench", ""]
    lines += [f"- {name}: {value}" for name, value in facts(record)]
    for head, body in tables(record):
        lines += ["", *table(head, body)]
    lines += ["", *(f"- {note}" for note in notes())]
    for title, said in (("Warnings", warnings(record)), ("Losses", losses(record))):
        if said:
            lines += ["", f"{title}:", "", *(f"- {text}" for text in said)]
    lines += [text for name in plots for text in ("", f"![{Path(name).stem}]({name})")]
    lines += ["", "## Stages", "", "In milliseconds.", ""]
    return "\n".join([*lines, *table(STAGE_HEAD, stage_rows(record))]) + "\n"


def page(record: Record, plots: Sequence[Path] = ()) -> str:
    """The report as an HTML page that needs no other file."""
    import jinja2  # of the extra `bench`, which the other forms of a report do without

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html.jinja").render(
        facts=facts(record),
        tables=tables(record),
        warnings=warnings(record),
        losses=losses(record),
        plots=[(path.stem, base64.b64encode(path.read_bytes()).decode()) for path in plots],
        stage_head=STAGE_HEAD,
        stages=stage_rows(record),
        notes=notes(),
    )


def save(record: Record, folder: Path, *, plots: bool) -> list[Path]:
    """Write bench.json and report.md into `folder`, and with `plots` these and report.html, which
    holds them and needs the extra `bench`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = plot(record, folder) if plots else []
    texts = {
        "bench.json": json.dumps(record, indent=1) + "\n",
        "report.md": markdown(record, [p.name for p in drawn]),
    }
    if plots:
        texts["report.html"] = page(record, drawn)
    for name, text in texts.items():
        write(text, folder / name)
    return [folder / name for name in texts] + drawn
