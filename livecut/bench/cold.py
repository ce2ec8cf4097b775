"""A cold start: from a new process to the first composited frame, and the memory that it takes.

    python -m livecut.bench.cold MODEL

is that process: the live threads on noise at 1280x720 and 30 frames per second, blurred, for two
seconds. It prints one JSON object.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np

from livecut.errors import EngineError


def measure(model: str, count: int) -> dict[str, list[float]]:
    """Start `count` processes, one after another.

    `first_s`: seconds to the first composited frame, the interpreter's start included; `rss_mb`:
    megabytes at the end. Raises EngineError.
    """
    found: dict[str, list[float]] = {"first_s": [], "rss_mb": []}
    for _ in range(count):
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "livecut.bench.cold", model], capture_output=True, text=True
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
            raise EngineError(f"livecut could not be started in a process of its own: {reason}")
        told = json.loads(done.stdout)
        found["first_s"].append(round(told["first"] - begun, 3))
        found["rss_mb"].append(round(told["rss"] / 1e6, 1))
    return found


def main(model: str) -> None:
    """Be the process that is measured."""
    from livecut.bench.cases import Memory
    from livecut.pipeline import Pipeline

    noise = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    pipeline = Pipeline(Memory([noise], live=True), model=model, max_frames=60)
    stats = pipeline.run()
    import psutil

    print(json.dumps({"first": stats.first, "rss": psutil.Process().memory_info().rss}))


if __name__ == "__main__":
    main(sys.argv[1])
