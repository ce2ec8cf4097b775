"""Rounds of each case by turns; each runs whole pipelines, warmed up until they are steady."""

from __future__ import annotations

import gc
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from livecut.bench.cases import KEPT, LIVE, PACE, Looped, Memory, held_frames, network_of
from livecut.bench.machine import gpu, speed
from livecut.bench.options import Case
from livecut.bench.sink_readers import READERS, Delays
from livecut.frame import BGR, Image, Output, PixelFormat
from livecut.pipeline.pipeline import Pipeline
from livecut.pipeline.together import run_all
from livecut.sinks import open_sink
from livecut.sinks.base import Sink

if TYPE_CHECKING:
    from livecut.bench.gpu import Roofline

STEADY = 0.05
"""Warm-up ends when the median age of 15 frames is within this share of that of the 15 before."""
WARM_FRAMES, WARM_SECONDS = 15, 4.0
BUSY = 15.0
"""Percent of the processor that others may use before the machine is called busy."""
FEW = 200
SPREAD = 0.15
SLOWED = 0.1
"""How much the processor's own speed may differ between rounds."""
MINUTE = 60.0
"""Seconds between two entries of `Round.minutes`."""


@dataclass
class Round:
    """One run of one case; with several streams, of all of them together."""

    fps: float
    """Composited frames per second that reached the sinks."""
    start: float
    """Seconds from opening everything to the first composited frame in the sink."""
    samples: dict[str, NDArray[np.float64]]
    """Milliseconds by stage; `age` is end to end, from the frame in memory to the sink, `glass` to
    where the sink's picture is read."""
    cpu: float
    """Percent of one core that this process used."""
    rss: float
    """Megabytes of memory of this process, the held frames apart."""
    frames: int
    captured: int
    """Frames that the source gave meanwhile."""
    drops: dict[str, int]
    """Frames that did not reach the sink, by cause."""
    late: dict[str, int]
    """Frames of a live path that reached the sink late, by the stage that took longest."""
    duplicated: int
    """Pictures that a sink repeated to keep its rate."""
    steady: bool
    """Whether the warm-up ended because the times were steady."""
    others: float
    """Percent of all cores that other programs used just before."""
    speed: float
    """The processor's speed just before: passes per second of a fixed piece of work."""
    network: str
    """Engine and device of the network."""
    pixel_format: PixelFormat = BGR
    """Format of the composites."""
    unreadable: int = 0
    """Pictures at the far end whose time code could not be read."""
    gpu: dict[str, float] = field(default_factory=dict)
    """Memory, clocks and power of the GPU at the end, where the network ran on one."""
    minutes: list[dict[str, float]] = field(default_factory=list)
    """Each whole minute: its p50 and p99 of age, its frames, and the memory at its end."""


@dataclass
class Result:
    """The rounds of one case."""

    case: Case
    rounds: list[Round] = field(default_factory=list)
    roofline: Roofline | None = None
    """The roofline, where a GPU did all of a frame."""

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
    def per_frame(self) -> float:
        """Milliseconds of a frame: end to end where one is worked on at once, else between two."""
        overlapped = self.case.in_flight > 1 or self.case.streams > 1
        return 1e3 / self.fps if overlapped else statistics.median(self.p50s)

    @property
    def p50s(self) -> list[float]:
        """The median end-to-end milliseconds of each round."""
        return [float(np.median(r.samples["age"])) for r in self.rounds]

    def warnings(self) -> list[str]:
        """Reasons to trust these figures less than they seem."""
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
        speeds = [r.speed for r in self.rounds]
        if max(speeds) > (1 + SLOWED) * min(speeds):
            falls = all(a > b for a, b in pairwise(speeds))
            said.append(
                f"unstable clock: the processor's own speed differed by "
                f"{100 * (max(speeds) / min(speeds) - 1):.0f} % between the rounds"
                + (", always falling: it may be too hot" if falls and len(speeds) > 2 else "")
            )
        fallen = {r.network for r in self.rounds if "(no CUDA" in r.network}
        said += [f"fallback: a GPU is there and was not used: {network}" for network in fallen]
        if self.case.path in LIVE and self.fps < KEPT * PACE * self.case.streams:
            said.append(f"too slow for {PACE:g} frames per second")
        return said + (self.roofline.warnings() if self.roofline else [])


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
    others, pace = _others(), speed()
    clip = _clip(frames, folder) if case.path == "decode" else None
    (folder / "pictures").mkdir(exist_ok=True)
    group = _Group(seconds, sum(frame.nbytes for frame in frames))
    network = network_of(case)
    for number in range(case.streams):
        group.streams.append(_Stream(group, case, network, frames, clip, folder, number))
    group.run()
    ends = [stream.stats.last for stream in group.streams]
    span = max(ends) - group.begun
    count = sum(stream.count for stream in group.streams)
    return Round(
        fps=count / span,
        start=max(stream.first - stream.opened for stream in group.streams),
        samples=group.samples(),
        cpu=100 * group.cpu / span,
        rss=group.rss(),
        frames=count,
        captured=sum(stream.source.count - stream.given for stream in group.streams),
        drops=added(stream.stats.drops for stream in group.streams),
        late=added(stream.stats.late for stream in group.streams),
        duplicated=sum(stream.sink.duplicated for stream in group.streams),
        steady=all(stream.steady for stream in group.streams),
        others=others,
        speed=pace,
        network=group.streams[0].pipeline.description,
        pixel_format=group.streams[0].pipeline.pixel_format,
        unreadable=sum(s.delays.unreadable for s in group.streams if s.delays),
        gpu={} if " on the CPU" in group.streams[0].pipeline.description else gpu(),
        minutes=group.minutes,
    )


def added(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    """Counts by cause, all together."""
    return dict(sum(map(Counter, counts), Counter[str]()))


def _others() -> float:
    """Percent of all cores that are used while this process waits a fifth of a second."""
    import psutil

    psutil.cpu_percent()
    time.sleep(0.2)
    return float(psutil.cpu_percent())


class _Group:
    """The streams of a round: what counts begins when all are warm, and ends for all at once."""

    def __init__(self, seconds: float, held: int) -> None:
        import psutil

        self.seconds, self._held = seconds, held
        self.streams: list[_Stream] = []
        self.begun = self.cpu = 0.0
        self.minutes: list[dict[str, float]] = []
        self._process = psutil.Process()
        self._lock = threading.Lock()

    def run(self) -> None:
        """Run the streams until their time is over. Raises LivecutError."""
        with ExitStack() as opened:
            for stream in self.streams:
                opened.enter_context(stream.ends)
            if len(self.streams) == 1:
                self.streams[0].pipeline.run()
            else:
                run_all([stream.pipeline for stream in self.streams])

    def warm(self, now: float) -> None:
        """A stream has become warm; the last of them begins what counts."""
        with self._lock:
            if not self.begun and all(stream.warm for stream in self.streams):
                self._used = sum(self._process.cpu_times()[:2])
                self.begun = now

    def over(self, now: float) -> bool:
        """Whether the time is over; notes what a minute was like."""
        if now - self.begun > (len(self.minutes) + 1) * MINUTE:
            self._note()
        if now - self.begun <= self.seconds:
            return False
        self.cpu = self.cpu or sum(self._process.cpu_times()[:2]) - self._used
        return True

    def _note(self) -> None:
        last = int(MINUTE * PACE)
        ages = [stream.stats.stages["age"].samples()[-last:] for stream in self.streams]
        p50, p99 = np.percentile(np.concatenate(ages) * 1e3, (50, 99))
        count = sum(stream.count for stream in self.streams)
        self.minutes.append(
            {
                "p50_ms": round(float(p50), 3),
                "p99_ms": round(float(p99), 3),
                "frames": count - sum(int(m["frames"]) for m in self.minutes),
                "rss_mb": round(self.rss(), 1),
            }
        )

    def rss(self) -> float:
        """Megabytes of memory of this process, the held frames apart."""
        return float(self._process.memory_info().rss - self._held) / 1e6

    def samples(self) -> dict[str, NDArray[np.float64]]:
        """Milliseconds by stage, of all streams."""
        found = dict[str, NDArray[np.float64]]()
        for name in self.streams[0].stats.stages:
            parts = [stream.stats.stages[name].samples() for stream in self.streams]
            if sum(map(len, parts)):
                found[name] = np.concatenate(parts) * 1e3
        glass = [d for s in self.streams if s.delays for at, d in s.delays.seen if at > self.begun]
        return found | ({"glass": np.array(glass) * 1e3} if glass else {})


class _Stream:
    """One pipeline, followed frame by frame: warm-up first, then what counts, then the stop."""

    def __init__(
        self,
        group: _Group,
        case: Case,
        network: dict[str, Any],
        frames: Sequence[Image],
        clip: Path | None,
        folder: Path,
        number: int,
    ) -> None:
        self._group = group
        self.ends = ExitStack()
        """Closes the source and the sink."""
        self.delays: Delays | None = None
        self.first = self._measured_from = 0.0
        self.count = self.given = 0
        self.steady = self.warm = False
        self.opened = time.perf_counter()
        with self.ends as opened:
            self.source = (
                Looped(clip)
                if clip
                else Memory(frames, realtime=case.path in LIVE, coded=case.path in READERS)
            )
            opened.enter_context(self.source)
            self.sink = self._sink(case, folder, number)
            self.pipeline = Pipeline(
                self.source,
                case.background,
                [self.sink],
                in_flight=case.in_flight,
                progress=self._frame,
                **network,
            )
            self.ends = opened.pop_all()
        self.stats = self.pipeline.stats

    def _sink(self, case: Case, folder: Path, number: int) -> Sink:
        if case.path in READERS:
            assert isinstance(self.source, Memory)
            self.delays = Delays(self.source.sent)
            return self.ends.enter_context(READERS[case.path](case.size, self.delays)).sink
        transparent = case.background == "transparent"
        file = f"out{number}{'.webm' if transparent else '.mp4'}"
        uri = {"encode": str(folder / file), "folder": str(folder / "pictures")}
        sink = open_sink(
            uri.get(case.path, "null"),
            size=case.size,
            fps=PACE,
            transparent=transparent,
            overwrite=True,
        )
        return self.ends.enter_context(sink)

    def _frame(self) -> None:
        group, now = self._group, time.perf_counter()
        self.first = self.first or now
        if not self.warm:
            ages = self.stats.stages["age"].samples()
            last, before = ages[-WARM_FRAMES:], ages[-2 * WARM_FRAMES : -WARM_FRAMES]
            if len(before) == WARM_FRAMES:
                ratio = float(np.median(last) / np.median(before))
                self.steady = abs(ratio - 1) < STEADY
            self.warm = self.steady or now - self.first > WARM_SECONDS
        elif not group.begun:
            group.warm(now)
        elif not self._measured_from:
            self.stats.restart()
            self.stats.drops.clear()
            self.stats.late.clear()
            self.given, self._measured_from = self.source.count, now
        else:
            self.count += 1
            if group.over(now):
                self.pipeline.stop()
