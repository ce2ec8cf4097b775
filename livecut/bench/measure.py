"""Measuring: rounds of each case by turns, each round a whole pipeline, warmed up until it is steady."""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from livecut.bench.cases import PACE, Case, Looped, Memory, held_frames
from livecut.frame import Image, Output
from livecut.pipeline import Pipeline
from livecut.sinks import open_sink

STEADY = 0.05
"""Warm-up ends when the median age of 15 frames is within this share of that of the 15 before."""
WARM_FRAMES, WARM_SECONDS = 15, 4.0
BUSY = 15.0
"""Percent of the processor that others may use before the machine is called busy."""
FEW = 200
SPREAD = 0.15


@dataclass
class Round:
    """One run of one case."""

    fps: float
    """Composited frames per second that reached the sink."""
    start: float
    """Seconds from opening everything to the first composited frame in the sink."""
    samples: dict[str, NDArray[np.float64]]
    """Milliseconds by stage; `age` is end to end, from the frame in memory to the sink."""
    cpu: float
    """Percent of one core that this process used."""
    rss: float
    """Megabytes of memory of this process, the held frames apart."""
    frames: int
    drops: dict[str, int]
    steady: bool
    """Whether the warm-up ended because the times were steady."""
    others: float
    """Percent of all cores that other programs used just before."""
    network: str
    """What the network ran on."""


@dataclass
class Result:
    """The rounds of one case."""

    case: Case
    rounds: list[Round] = field(default_factory=list)

    def pooled(self, stage: str) -> NDArray[np.float64]:
        """The milliseconds of a stage, of all rounds."""
        return np.concatenate([r.samples[stage] for r in self.rounds if stage in r.samples])

    @property
    def stages(self) -> list[str]:
        """The stages that were measured, in the order of the flow."""
        return list(self.rounds[0].samples)

    @property
    def fps(self) -> float:
        """The median of the rounds."""
        return statistics.median(r.fps for r in self.rounds)

    @property
    def p50s(self) -> list[float]:
        """The median end-to-end milliseconds of each round."""
        return [float(np.median(r.samples["age"])) for r in self.rounds]

    def warnings(self) -> list[str]:
        """What makes these figures less than they seem."""
        said = []
        count = len(self.pooled("age"))
        if count < FEW:
            said.append(f"only {count} samples: p99 means little")
        p50s = self.p50s
        if max(p50s) > (1 + SPREAD) * min(p50s):
            said.append(
                f"unsteady: the rounds' p50 lie between {min(p50s):.2f} and {max(p50s):.2f} ms"
            )
        if not all(r.steady for r in self.rounds):
            said.append(f"still unsteady after {WARM_SECONDS:g} s of warm-up")
        others = max(r.others for r in self.rounds)
        if others > BUSY:
            said.append(f"busy machine: other programs used {others:.0f} % of it")
        if self.case.path == "paced" and self.fps < 0.95 * PACE:
            said.append(f"too slow for {PACE:g} frames per second")
        return said


def measure(
    cases: Sequence[Case],
    *,
    rounds: int,
    seconds: float,
    report: Callable[[Case, int], None] = lambda *_: None,
) -> list[Result]:
    """Measure every case, `seconds` in each of `rounds` rounds, which go over the cases by turns.

    `report` gets the case and the round's number before each. Raises LivecutError.
    """
    results = [Result(case) for case in cases]
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for result in results if number % 2 == 0 else reversed(results):
                report(result.case, number)
                result.rounds.append(_round(result.case, seconds, Path(folder)))
    return results


def _clip(frames: Sequence[Image], folder: Path) -> Path:
    """The frames as an H.264 file, 300 of them, made once for each size."""
    height, width = frames[0].shape[:2]
    path = folder / f"{width}x{height}.mp4"
    if not path.exists():
        source = Memory(frames)
        image = np.empty_like(frames[0])
        with open_sink(str(path), size=(width, height), fps=PACE) as sink:
            for index in range(300):
                source.read(image)
                sink.write(Output(image, None, index, 0.0))
    return path


def _round(case: Case, seconds: float, folder: Path) -> Round:
    gc.collect()  # what the last round held is not this one's memory
    frames = held_frames(case.size)
    process = psutil.Process()
    others = _others()
    clip = _clip(frames, folder) if case.path == "decode" else None
    watch = _Watch(seconds)
    with Looped(clip) if clip else Memory(frames, live=case.path == "paced") as source:
        watch.pipeline = pipeline = Pipeline(
            source,
            case.background,
            [str(folder / "out.mp4") if case.path == "encode" else "null"],
            model=case.model,
            engine=case.engine,
            device=case.device,
            threads=case.threads,
            progress=watch.frame,
        )
        stats = pipeline.run()
    held = sum(frame.nbytes for frame in frames)
    return Round(
        fps=watch.count / (stats.last - watch.measured_from),
        start=watch.first - watch.opened,
        samples={name: ring.samples() * 1e3 for name, ring in stats.stages.items() if ring.count},
        cpu=100 * watch.cpu / (stats.last - watch.measured_from),
        rss=(process.memory_info().rss - held) / 1e6,
        frames=watch.count,
        drops=dict(stats.drops),
        steady=watch.steady,
        others=others,
        network=pipeline.description,
    )


def _others() -> float:
    """Percent of all cores that are used while this process waits a fifth of a second."""
    psutil.cpu_percent()
    time.sleep(0.2)
    return float(psutil.cpu_percent())


class _Watch:
    """Follows a pipeline frame by frame: warm-up first, then the time that counts, then the stop."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._process = psutil.Process()
        self.pipeline: Pipeline | None = None
        self.first = self.measured_from = self.cpu = 0.0
        self.count = 0
        self.steady = False
        self.opened = time.perf_counter()

    def frame(self) -> None:
        assert self.pipeline is not None
        stats, now = self.pipeline.stats, time.perf_counter()
        self.first = self.first or now
        if not self.measured_from:
            ages = stats.stages["age"].samples()
            last, before = ages[-WARM_FRAMES:], ages[-2 * WARM_FRAMES : -WARM_FRAMES]
            if len(before) == WARM_FRAMES:
                ratio = float(np.median(last) / np.median(before))
                self.steady = abs(ratio - 1) < STEADY
            if self.steady or now - self.first > WARM_SECONDS:
                stats.restart()
                self.measured_from = time.perf_counter()
                self._used = sum(self._process.cpu_times()[:2])
            return
        self.count += 1
        if now - self.measured_from > self._seconds:
            self.cpu = sum(self._process.cpu_times()[:2]) - self._used
            self.pipeline.stop()
