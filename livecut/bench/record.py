"""One run of `livecut bench` as a JSON file, and the comparison of two.

    {"schema": 3, "when": ISO 8601, "machine": {...}, "rounds": n, "seconds": s, "results": [
       {"case": {...}, "name": str, "network": str, "fps": [one a round], "start_s": [...],
        "stages": {stage: {count, min, p50, p50_low, p50_high, p90, p95, p99, max, jitter}},    ms
        "age_p50_ms": [...], "ages_ms": [at 0, 1, ... 100 percent], "cpu_percent": [...],
        "rss_mb": float, "frames": int, "captured": int, "drops": {cause: int},
        "late": {stage: int}, "duplicated": int, "unreadable": int, "gpu": {...},
        "minutes": [...], "speed": [...],
        "floor_ms": float, "floor_ratio": float, "bytes_per_frame": int, "roofline": {...},
        "warnings": [str],
        "alone": {"first_s": [one a start], "rss_mb": [...]}}],
     "cold": {"first_s": [one a start], "rss_mb": [...]}}

`machine` has the processor, cores, memory, system, versions, commit, and the GPU and its driver
where there is one. `age` is end to end, `glass` from there to where the sink's picture is read;
`late` counts the frames of a live path that were older than one frame's time at the sink, by the
stage that took longest. `p50_low` and `p50_high` hold the true median with 95 % confidence, as if
the samples were independent. `jitter` is the mean difference of one sample from the one before it.
`floor_ms` is the time in which the bytes that must cross memory can do so at the copy bandwidth
measured, `floor_ratio` the p50 of the stages around the network in multiples of it. `minutes` is
there for rounds that last so long. `cold` is the usual case in a fresh process, `alone` each case,
where that was measured: see `livecut.bench.cold_start`. Schema 2 is read too; it has neither
`floor_ratio` nor `alone`, and its `late` is a number.

`roofline` is there where a GPU did all of a frame, and then `machine` has "card": {"name",
"up_gb_per_s", "down_gb_per_s", "device_gb_per_s"}, the rates of large copies to and from pinned
memory and within the device's (read and written, each counted), by CUDA events. `roofline` holds
"bytes_up" and "bytes_down" over the bus; "bytes_device", read and written by the steps; "launches",
the number of steps; "floors_ms", the time of each of the three at these rates, as {"up", "device",
"down"}; "floor_ms", their sum, or the largest where frames overlap; "per_frame_ms", the case's p50,
or the time between two frames where they overlap; "ratio", of the latter two. A round apart with
one frame in flight gives, by the device's clock, "stages" as above (upload, preprocess, network,
refine, background, composite, download) and, described alike, "compute", all between upload and
download; by the processor's clock "enqueue" and "wall". Both fields are absent, as is the case's
"precision", in records from before them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livecut.bench.measure import Result, added
from livecut.bench.options import Case
from livecut.errors import ConfigError
from livecut.files import atomic_write

SCHEMA, READ = 3, (2, 3)
PICTURE = ("preprocess", "refine", "background", "composite")
"""The stages that pass over the picture, around the network."""
Record = dict[str, Any]


def describe(samples: NDArray[np.float64]) -> dict[str, float]:
    """Count, percentiles and jitter of a stage's milliseconds."""
    marks = np.percentile(samples, (0, 50, 90, 95, 99, 100))
    names = ("min", "p50", "p90", "p95", "p99", "max")
    jitter = float(np.abs(np.diff(samples)).mean()) if len(samples) > 1 else 0.0
    found = dict(zip(names, (round(float(m), 4) for m in marks), strict=True))
    # The ranks n/2 -+ 1.96 sqrt(n)/2: a median's interval without a distribution (Thompson, 1936).
    reach = 98 / np.sqrt(len(samples))
    low, high = np.percentile(samples, (max(0, 50 - reach), min(100, 50 + reach)))
    found |= {"p50_low": round(float(low), 4), "p50_high": round(float(high), 4)}
    return {"count": len(samples), **found, "jitter": round(jitter, 4)}


def record(
    results: Sequence[Result],
    machine: dict[str, Any],
    *,
    seconds: float,
    cold: dict[Case, dict[str, list[float]]] | None = None,
) -> Record:
    """Everything that was measured, as plain values; `cold` by what is `alone` of a case."""
    cold = cold or {}
    rows = []
    for result in results:
        case, rounds = result.case, result.rounds
        stages = {stage: describe(result.pooled(stage)) for stage in result.stages}
        floor = case.bytes_per_frame / machine["copy_gb_per_s"] / 1e6
        picture = sum(stages[stage]["p50"] for stage in PICTURE if stage in stages)
        rows.append(
            {
                "case": asdict(case) | {"size": list(case.size)},
                "name": case.name,
                "network": rounds[0].network,
                "fps": [round(r.fps, 2) for r in rounds],
                "start_s": [round(r.start, 3) for r in rounds],
                "stages": stages,
                "age_p50_ms": [round(p, 4) for p in result.p50s],
                "ages_ms": np.percentile(result.pooled("age"), range(101)).round(4).tolist(),
                "cpu_percent": [round(r.cpu, 1) for r in rounds],
                "rss_mb": round(max(r.rss for r in rounds), 1),
                "frames": sum(r.frames for r in rounds),
                "captured": sum(r.captured for r in rounds),
                "drops": added(r.drops for r in rounds),
                "late": added(r.late for r in rounds),
                "duplicated": sum(r.duplicated for r in rounds),
                "unreadable": sum(r.unreadable for r in rounds),
                "gpu": rounds[-1].gpu,
                "minutes": rounds[-1].minutes,
                "speed": [round(r.speed, 1) for r in rounds],
                "floor_ms": round(floor, 4),
                "floor_ratio": round(picture / floor, 2),
                "bytes_per_frame": case.bytes_per_frame,
                "roofline": _roofline(result),
                "warnings": result.warnings(),
                "alone": cold.get(case.alone, {}),
            }
        )
    cards = [result.roofline.card for result in results if result.roofline]
    if cards:
        card = cards[0]
        rates = {"up": card.up, "device": card.device, "down": card.down}
        told = {f"{bus}_gb_per_s": round(rate / 1e9, 2) for bus, rate in rates.items()}
        machine = machine | {"card": {"name": card.name} | told}
    return {
        "schema": SCHEMA,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "rounds": len(results[0].rounds),
        "seconds": seconds,
        "results": rows,
        "cold": cold.get(Case().alone, {}),
    }


def _roofline(result: Result) -> dict[str, Any]:
    """The field `roofline`, as described above; empty without a GPU."""
    found = result.roofline
    if found is None:
        return {}
    traffic, profile = found.traffic, found.profile
    stages = {name: describe(times) for name, times in profile.stages.items()}
    return {
        "bytes_up": traffic.up,
        "bytes_down": traffic.down,
        "bytes_device": traffic.device,
        "launches": traffic.launches,
        "floors_ms": {bus: round(ms, 4) for bus, ms in found.floors.items()},
        "floor_ms": round(found.floor, 4),
        "per_frame_ms": round(result.per_frame, 4),
        "ratio": round(result.per_frame / found.floor, 2),
        "stages": stages,
        "compute": describe(profile.compute),
        "enqueue": describe(profile.enqueue),
        "wall": describe(profile.wall),
    }


def write(text: str, path: Path) -> None:
    """Write a file so that it is there whole or not at all."""
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")


def read(path: Path) -> Record:
    """A record written before. Raises ConfigError."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as a record of livecut bench: {error}") from error
    if not isinstance(found, dict) or found.get("schema") not in READ:
        raise ConfigError(f"{path} is no record of livecut bench of schema {SCHEMA}; measure anew")
    return found


def compare(before: Record, after: Record, limit: float) -> list[dict[str, Any]]:
    """The cases that both records have, and how their end-to-end p50 changed.

    `ratio` is after / before of the median round, `low` and `high` the 10th and 90th percentile of
    that ratio over all pairs of rounds. `slower`: the ratio is above 1 + limit / 100 (percent), and
    so are nine pairs in ten above 1. Raises ConfigError where no case is in both.
    """
    old = {row["name"]: row for row in before["results"]}
    rows = []
    for row in after["results"]:
        if row["name"] not in old:
            continue
        was = old[row["name"]]
        pairs = np.divide.outer(row["age_p50_ms"], was["age_p50_ms"])
        low, high = (float(v) for v in np.percentile(pairs, (10, 90)))
        ratio = median(row["age_p50_ms"]) / median(was["age_p50_ms"])
        rows.append(
            {
                "name": row["name"],
                "before_ms": median(was["age_p50_ms"]),
                "after_ms": median(row["age_p50_ms"]),
                "ratio": ratio,
                "low": low,
                "high": high,
                "fps_ratio": median(row["fps"]) / median(was["fps"]),
                "slower": ratio > 1 + limit / 100 and low > 1,
            }
        )
    if not rows:
        raise ConfigError("the two records have no case in common; measure the same cases")
    return rows
