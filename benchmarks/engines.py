"""Times of each engine and precision on this CPU, and whether `auto` takes the best.

    python benchmarks/engines.py [-o FILE.json] [--threads 1 --threads 2]
    python benchmarks/engines.py --quick    # live alone; exits with 1 for a bad choice

All are timed by turns, in rounds. A round's figure is the least of its runs, and the table has the
median of the rounds. `difference` is the mean difference of alpha (0 to 1) from that in float32,
on a picture of a person. The choice is bad where, in the median round, it takes more than `LIMIT`
times as long as the best of that round, three times in a row.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from livecut.bench.machine import machine
from livecut.engines.choice import (
    VARIABLE,
    Candidate,
    fastest,
    kept_in,
    list_candidates,
    measure,
    open_fastest,
    read_timings,
)
from livecut.files import atomic_write
from livecut.models import find_model, input_size, model_names

LIMIT = 1.15
"""How many times as long as the best the choice may take."""
PORTRAIT = Path(__file__).parent.parent / "tests" / "golden" / "portrait.jpg"


@contextmanager
def fresh_cache() -> Iterator[None]:
    """A cache folder of our own, so that `auto` chooses anew."""
    names = ("XDG_CACHE_HOME", "LOCALAPPDATA", VARIABLE)
    before = {name: os.environ.pop(name, None) for name in names}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = os.environ["LOCALAPPDATA"] = folder
        yield
    for name in names:
        os.environ.pop(name, None)
        if (value := before[name]) is not None:
            os.environ[name] = value


def chosen(path: Path, threads: int) -> str:
    """The candidate that `auto` takes, by name."""
    usual = list_candidates(path)
    open_fastest(usual, "cpu", threads)
    best = fastest(usual, read_timings(kept_in(usual, "cpu", threads)))
    return best.name if best else usual[0].name


def alpha_of(candidate: Candidate, threads: int) -> NDArray[np.float32]:
    """A candidate's alpha of the portrait."""
    engine = candidate.open("cpu", threads)
    size = input_size(16, 9, engine.area, engine.stride)
    engine.resize(*size)
    picture = cv2.imread(str(PORTRAIT))
    assert picture is not None
    high = picture.shape[1] * size[1] // size[0]
    cv2.resize(picture[:high], size, dst=engine.input, interpolation=cv2.INTER_AREA)
    engine.run()
    return engine.output.copy()


def compare(model: str, threads: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Times of all candidates for a model, and which of them `auto` takes."""
    path = find_model(model)
    candidates = list_candidates(path, every=True)
    choice = chosen(path, threads)
    times: dict[str, list[float]] = {c.name: [] for c in candidates}
    faults = {}
    for _ in range(rounds):
        for timing in measure(candidates, "cpu", threads, budget=seconds)[0]:
            if timing.ms is None:
                faults[timing.name] = timing.fault
            else:
                times[timing.name].append(timing.ms)
    timed = {name: found for name, found in times.items() if found}
    best = [min(each) for each in zip(*timed.values(), strict=True)]
    exact = next(alpha_of(c, threads) for c in candidates if c.precision == "float32")
    rows = []
    for candidate in candidates:
        row: dict[str, Any] = {"name": candidate.name, "auto": candidate.name == choice}
        if candidate.name in faults:
            row["fault"] = faults[candidate.name]
        else:
            difference = np.abs(alpha_of(candidate, threads) - exact).mean()
            row |= {"ms": times[candidate.name], "difference": round(float(difference), 5)}
        rows.append(row)
    behind = median(t / b for t, b in zip(times[choice], best, strict=True))
    return {"model": model, "threads": threads, "choice_by_best": round(behind, 3), "rows": rows}


def show(result: dict[str, Any]) -> None:
    """Print a result's table."""
    print(f"{result['model']}, {result['threads']} thread{'s' * (result['threads'] > 1)}")
    for row in result["rows"]:
        if "fault" in row:
            print(f"  {row['name']:<20} {row['fault']}")
        else:
            mark = "  <- auto" if row["auto"] else ""
            print(f"  {row['name']:<20} {median(row['ms']):7.2f} ms  {row['difference']:.4f}{mark}")
    print(f"  auto's takes {result['choice_by_best']:.2f} times as long as the best")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="live alone, and judge the choice")
    parser.add_argument("--threads", type=int, action="append", help="repeatable; default: 1")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a round")
    parser.add_argument("-o", "--output", type=Path, help="a .json file for the record")
    given = parser.parse_args(arguments)
    with fresh_cache():
        if given.quick:
            for _ in range(3):
                result = compare("live", 1, given.rounds, given.seconds)
                show(result)
                if result["choice_by_best"] <= LIMIT:
                    return 0
            print(f"auto's choice takes more than {LIMIT:g} times as long as the best")
            return 1
        results = [
            compare(model, threads, given.rounds, given.seconds)
            for threads in given.threads or [1]
            for model in model_names()
        ]
    for result in results:
        show(result)
    if given.output:
        record = {"machine": machine(), "results": results}
        given.output.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(given.output) as part:
            part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
