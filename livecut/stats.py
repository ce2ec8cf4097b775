"""Measurements of a run by itself: time by stage in ring buffers, and drops by cause."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rich.table import Table


WINDOW = 8192
"""Samples kept for each stage; older ones are overwritten."""
STAGES = (
    "read",
    "capture",
    "preprocess",
    "network",
    "refine",
    "background",
    "composite",
    "sink",
    "age",
)
"""Stages in the order of the flow. `read`: decoding of a file; `capture`: from the grab of a live
frame until it is taken up; `background`: making the picture behind the person, where each frame has
its own; `age`: from the grab of a frame until every sink has it."""
PIPELINE = (("preprocess", "network"), ("refine", "background", "composite"))
"""Stages of livecut's own work, without reading and writing, in two halves that run beside each
other where several frames are in flight."""


SHOWN = {"p50 ms": 50, "p95 ms": 95, "p99 ms": 99}
"""Percentiles that tables of the stages have, by their heads."""


class Ring:
    """The last `WINDOW` durations of one stage, in seconds."""

    def __init__(self) -> None:
        self._values: NDArray[np.float64] = np.zeros(WINDOW)
        self.count = 0
        self.total = 0.0
        self.last = 0.0
        """The duration that was added last, in seconds; 0 once it was taken note of."""

    def add(self, seconds: float) -> None:
        self._values[self.count % WINDOW] = seconds
        self.count += 1
        self.total += seconds
        self.last = seconds

    def samples(self) -> NDArray[np.float64]:
        """The durations that are kept, in seconds, oldest first."""
        if self.count <= WINDOW:
            return self._values[: self.count].copy()
        return np.roll(self._values, -(self.count % WINDOW))

    def percentiles(self, *q: float) -> list[float]:
        """The percentiles `q` (0..100) in milliseconds; nan where nothing was measured."""
        if not self.count:
            return [float("nan")] * len(q)
        kept = self._values[: min(self.count, WINDOW)]
        return [float(v) * 1e3 for v in np.percentile(kept, q)]


@dataclass
class Stats:
    """The counters of one run. Each stage is written by one thread only."""

    stages: dict[str, Ring] = field(default_factory=lambda: {name: Ring() for name in STAGES})
    drops: dict[str, int] = field(default_factory=dict)
    """Frames that were not shown, by cause."""
    late: dict[str, int] = field(default_factory=dict)
    """Number of live frames that were handed over when the next was due already, by the stage that
    took longest."""
    frames: int = 0
    """Composited frames that were handed to the sinks."""
    placeholders: int = 0
    """Placeholders that were handed to the sinks."""
    source_fps: float = 0.0
    """Frames per second that a live source really gave, lately; 0 for files."""
    first: float = 0.0
    """Time, on the clock of the frames, when the first composited frame was handed over; 0
    before."""
    last: float = 0.0
    in_flight: int = 1
    """Number of frames that are worked on at once."""
    _made: dict[int, dict[str, float]] = field(default_factory=dict)

    def restart(self) -> None:
        """Forget the durations so far."""
        for name in STAGES:
            self.stages[name] = Ring()

    def add(self, stage: str, seconds: float) -> None:
        self.stages[stage].add(seconds)

    def made(self, index: int) -> None:
        """Take the durations added since the last call as those of a live frame's composite."""
        before = {n: r for n, r in self.stages.items() if n not in ("sink", "age")}
        self._made[index] = {name: ring.last for name, ring in before.items()}
        for ring in before.values():
            ring.last = 0.0

    def judge(self, index: int, timestamp: float, period: float) -> None:
        """Count a live frame that was handed over just now as late if older than `period`."""
        parts = self._made.pop(index, {})
        for dropped in [i for i in tuple(self._made) if i < index]:  # another thread adds
            del self._made[dropped]
        age = self.last - timestamp
        if age > period:
            parts["sink"] = self.stages["sink"].last
            parts["waiting for the output"] = age - sum(parts.values())
            cause = max(parts, key=parts.__getitem__)
            self.late[cause] = self.late.get(cause, 0) + 1

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Measure the body as one sample of `stage`."""
        t = time.perf_counter()
        yield
        self.stages[stage].add(time.perf_counter() - t)

    def composed(self, begun: float, behind: float) -> None:
        """Add the stages of a composite that was begun at `begun`, in `perf_counter` seconds.

        `behind` seconds of it went into the picture behind the person; 0 where that was there
        before.
        """
        if behind:
            self.add("background", behind)
        self.add("composite", time.perf_counter() - begun - behind)

    def drop(self, cause: str) -> None:
        self.drops[cause] = self.drops.get(cause, 0) + 1

    def handed_over(self, timestamp: float, now: float) -> None:
        """Count a composited frame, grabbed at `timestamp`, that has reached every sink `now`."""
        self.last = now
        self.first = self.first or self.last
        self.frames += 1
        self.stages["age"].add(self.last - timestamp)

    @property
    def fps(self) -> float:
        """Composited frames per second between the first and the last; 0 before the second."""
        span = self.last - self.first
        return (self.frames - 1) / span if self.frames > 1 and span > 0 else 0.0

    @property
    def pipeline_fps(self) -> float:
        """Frames per second that segmenting and compositing alone would allow."""
        halves = [sum(self.stages[s].total for s in half) for half in PIPELINE]
        seconds = max(halves) if self.in_flight > 1 else sum(halves)
        count = self.stages["composite"].count
        return count / seconds if seconds else 0.0

    def __str__(self) -> str:
        """The figures as text: the counts, and a table of the stages in milliseconds."""
        return f"{self.counts}\n{text_table([('stage', *SHOWN), *self.rows()])}"

    @property
    def counts(self) -> str:
        """Frames, rate, drops and placeholders in one line."""
        drops = ", ".join(f"{count} ({cause})" for cause, count in self.drops.items()) or "none"
        placeholders = f", placeholders: {self.placeholders}" if self.placeholders else ""
        return f"{self.frames} frames, {self.fps:.1f} fps, drops: {drops}{placeholders}"

    def rows(self) -> list[tuple[str, ...]]:
        """A row for each stage that was measured: its name, and the percentiles of `SHOWN`."""
        return [
            (name, *(f"{value:.2f}" for value in ring.percentiles(*SHOWN.values())))
            for name, ring in self.stages.items()
            if ring.count
        ]

    def status(self) -> list[str]:
        """Lines for the picture."""
        p50, p95 = self.stages["age"].percentiles(50, 95)
        dropped = ", ".join(f"{cause} {n}" for cause, n in self.drops.items()) or "none"
        return [
            f"{self.fps:.1f} fps",
            f"age p50 {p50:.1f} ms, p95 {p95:.1f} ms",
            f"drops: {dropped}",
        ]


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of words in columns, the first flush left, the others right; no last newline."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])],
        ).rstrip()
        for row in rows
    )


def number_table(*headers: str) -> Table:
    """A plain table, its first column for names and the others for numbers."""
    from rich.table import Table

    table = Table(*headers, box=None, header_style="")
    for column in table.columns[1:]:
        column.justify = "right"
    return table
