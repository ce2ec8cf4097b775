"""A cold start: from a new process to the first composited frame, and the memory that it takes.

    python -m livecut.bench.cold_start CASE

is that process, CASE being one as a JSON object: the live threads on noise at 30 frames per second,
in as many pipelines as the case has streams. It prints one JSON object.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import numpy as np

from livecut.bench.options import Case
from livecut.errors import EngineError

SETTLED = 1.0
"""Seconds after the first frame at which memory is measured."""


def measure(case: Case, count: int) -> dict[str, list[float]]:
    """Start `count` processes in turn; the case's path and frames in flight are left out.

    `first_s`: seconds to the first composited frame of the last stream, the interpreter's start
    included; `rss_mb`: megabytes while it runs. Raises EngineError.
    """
    found: dict[str, list[float]] = {"first_s": [], "rss_mb": []}
    for _ in range(count):
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "livecut.bench.cold_start", json.dumps(asdict(case))],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
            own, _, said = reason.partition(": ")
            if own.startswith("livecut.errors."):
                raise EngineError(said)
            raise EngineError(f"livecut could not be started in a process of its own: {reason}")
        told = json.loads(done.stdout)
        found["first_s"].append(round(told["first"] - begun, 3))
        found["rss_mb"].append(round(told["rss"] / 1e6, 1))
    return found


def main(case: Case) -> None:
    """Be the process that is measured."""
    from livecut.bench.cases import Memory, network_of
    from livecut.pipeline.pipeline import Pipeline

    width, height = case.size
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    network = network_of(case)
    pipelines = [
        Pipeline(Memory([noise], realtime=True), case.background, **network)
        for _ in range(case.streams)
    ]
    with ThreadPoolExecutor(case.streams) as pool:
        runs = [pool.submit(pipeline.run) for pipeline in pipelines]
        while not all(p.stats.first for p in pipelines) and not any(r.done() for r in runs):
            time.sleep(0.001)
        time.sleep(SETTLED)
        import psutil

        rss = psutil.Process().memory_info().rss
        for pipeline in pipelines:
            pipeline.stop()
        first = max(run.result().first for run in runs)
    sys.stdout.write(json.dumps({"first": first, "rss": rss}) + "\n")


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    main(Case(**(given | {"size": tuple(given["size"])})))
