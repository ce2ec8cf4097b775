"""Choice of what runs a network: engines and precisions are timed once, and the fastest is kept.

The answer is kept in the user's cache folder for this processor, these versions, this network and
this number of threads.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from livecut.engines.base import Engine
from livecut.engines.metadata import read_metadata
from livecut.errors import ConfigError, EngineError, LivecutError
from livecut.files import atomic_write, cache_folder
from livecut.hardware import cpu, nvidia
from livecut.models import Target, in_bytes, input_size
from livecut.registry import Registry

ENGINES = Registry[type[Engine]](
    Engine,
    {
        "openvino": "livecut.engines.openvino:OpenVinoEngine",
        "onnx": "livecut.engines.onnx:OnnxEngine",
        "torch": "livecut.engines.torch:TorchEngine",
    },
    kind="engine",
    group="livecut.engines",
)
EXPORTED = {"openvino": "OpenVINO", "onnx": "ONNX Runtime"}
"""Engines that run exported networks, by their makers' names."""
MODULES = {"openvino": "openvino", "onnx": "onnxruntime"}
PACKAGES = ("openvino", "onnxruntime", "onnxruntime-gpu", "onnxruntime-directml")
"""Packages whose versions the speed depends on."""
OWNERS = {
    "cuda": "onnx",
    "tensorrt": "onnx",
    "directml": "onnx",
    "coreml": "onnx",
    "gpu": "openvino",
    "npu": "openvino",
}
"""The engine that has a kind of device."""
PRECISIONS = ("int8", "bfloat16", "float16", "float32")
VARIABLE = "LIVECUT_ENGINE"
"""Environment variable that says what auto is: ENGINE or ENGINE:PRECISION."""
BUDGET = 0.4
"""Seconds in which all candidates are timed, by turns."""
ROUNDS = 30
"""Turns after which they are timed well enough."""


@dataclass(frozen=True)
class Candidate:
    """An engine, a precision, and the file that it is made from."""

    engine: str
    precision: str
    path: Path

    @property
    def name(self) -> str:
        """As in "openvino:int8", which `--engine` takes."""
        return f"{self.engine}:{self.precision}"

    def open(self, device: str, threads: int) -> Engine:
        """Load the network. Raises ModelError and EngineError."""
        if self.engine == "openvino":
            from livecut.engines.openvino import OpenVinoEngine

            rest = "auto" if self.precision == "int8" else self.precision
            return OpenVinoEngine(self.path, device=device, precision=rest, threads=threads)
        from livecut.engines.onnx import OnnxEngine

        return OnnxEngine(self.path, threads=threads)


@dataclass(frozen=True)
class Timing:
    """How long a candidate takes for one picture."""

    name: str
    ms: float | None
    """Milliseconds at best; None where it cannot run."""
    fault: str = ""
    """Why it cannot run."""


def check_words(target: Target, given_by: str = "") -> None:
    """Raise ConfigError, which names `given_by`, for an engine or a precision that is unknown."""
    engine, precision = target.engine, target.precision
    known = engine == "auto" or engine in ENGINES.own or ENGINES.named(engine) is not None
    if not known or (precision and (engine not in EXPORTED or precision not in PRECISIONS)):
        given = f"{engine}:{precision}" if precision else engine
        faults = "".join(f"; {fault}" for fault in ENGINES.faults)
        raise ConfigError(
            f"unknown engine '{given}'{given_by}; expected one of: "
            f"{', '.join(('auto', *ENGINES.names()))}; {' and '.join(EXPORTED)} also with a "
            f"precision ({', '.join(PRECISIONS)}), as in onnx:int8{faults}"
        )


def open_exported(target: Target, *, threads: int) -> Engine:
    """The engine for a network in an .onnx file.

    A network that is given by its shipped name may run in its int8 form or in bfloat16; one that is
    given by its path runs as it is in the file. Raises ModelError, EngineError and ConfigError.
    """
    if target.engine == "auto" and (wish := os.environ.get(VARIABLE)):
        target = Target.parse(target.model, target.device, wish)
        check_words(target, f" in {VARIABLE}")
    owner = OWNERS.get(target.kind, "")
    if owner and target.engine not in ("auto", owner):
        raise ConfigError(
            f"device {target.device} is {EXPORTED[owner]}'s alone; take --engine auto or {owner}"
        )
    path = target.file()
    fault = ""
    gpu = target.kind == "auto" and target.engine != "openvino" and nvidia.driver_loads()
    if owner == "onnx" or gpu:
        try:
            return open_provider(path, target.default_to("cuda"))
        except EngineError as error:
            if not gpu:
                raise
            fault = str(error)
    candidates = list_candidates(
        path,
        named=target.shipped,
        engine=target.engine,
        precision=target.precision,
        kind=target.kind,
    )
    opened = open_fastest(candidates, target.device if owner else "cpu", threads)
    opened.description += f" (no CUDA: {fault})" if fault else ""
    return opened


def open_provider(path: Path, target: Target) -> Engine:
    """The network under another of ONNX Runtime's providers than the CPU's. Raises EngineError."""
    if not installed("onnx"):
        raise EngineError(
            f"device {target.device} needs ONNX Runtime, which is not installed; install a build "
            'of it that has the device (cuda: pip install "livecut[cuda]"), or take --device cpu'
        )
    from livecut.engines.onnx import FixedEngine

    return FixedEngine(path, target)


def installed(engine: str) -> bool:
    """Whether an engine of `EXPORTED` is installed."""
    return find_spec(MODULES[engine]) is not None


def list_candidates(
    path: Path,
    *,
    named: bool = True,
    engine: str = "auto",
    precision: str = "",
    kind: str = "cpu",
    every: bool = False,
) -> list[Candidate]:
    """What can run a network: those of an engine and a precision, where these are given.

    Without a `precision`, and unless `every` one is asked for, int8 is left out where the CPU's
    sums of bytes overflow, and float32 where the same engine has bfloat16. Raises ModelError,
    EngineError and ConfigError where there are none.
    """
    engines = [e for e in EXPORTED if engine in ("auto", e) and OWNERS.get(kind, e) == e]
    there = [e for e in engines if installed(e)]
    if not there:
        names = " or ".join(EXPORTED[e] for e in engines)
        raise EngineError(
            f"{names} is not installed; install it with: pip install "
            f"{MODULES[engines[0]]}{' (or onnxruntime)' if len(engines) > 1 else ''}"
        )
    choosy = not (precision or every)
    own = kind in ("gpu", "npu")
    whole_numbers = read_metadata(path).int8
    found = []
    for name in there:
        if whole_numbers:
            found.append(Candidate(name, "int8", path))
            continue
        small = in_bytes(path)
        if named and small.exists() and (own or cpu.multiplies_bytes() or not choosy):
            found.append(Candidate(name, "int8", small))
        brief = named and name == "openvino" and cpu.multiplies_bfloat16()
        if own:
            found.append(Candidate(name, "float16", path))
        elif brief or (precision == "bfloat16" and name == "openvino"):
            found.append(Candidate(name, "bfloat16", path))
        if not own and not (brief and choosy):
            found.append(Candidate(name, "float32", path))
    wanted = [c for c in found if precision in ("", c.precision)]
    if not wanted:
        raise ConfigError(
            f"{path.name} does not run as {engine}:{precision} here; it runs as: "
            f"{', '.join(c.name for c in found)}"
        )
    return wanted


def open_fastest(candidates: Sequence[Candidate], device: str, threads: int) -> Engine:
    """The fastest of the candidates: the one kept from before, or else they are timed now.

    Raises ModelError and EngineError where none can run.
    """
    if len(candidates) == 1:
        return candidates[0].open(device, threads)
    file = kept_in(candidates, device, threads)
    if (best := fastest(candidates, read_timings(file))) is not None:
        with suppress(LivecutError):
            return best.open(device, threads)
    timings, engines = measure(candidates, device, threads)
    write_timings(file, timings, device, threads)
    best = fastest(candidates, timings)
    if best is None:
        raise EngineError(timings[0].fault)
    return engines[best.name]


def survey(path: Path, threads: int = 0) -> list[Timing]:
    """Time what can run a network on the CPU, anew, and keep that for the next time.

    Raises ModelError and EngineError.
    """
    candidates = list_candidates(path)
    timings, _ = measure(candidates, "cpu", threads)
    write_timings(kept_in(candidates, "cpu", threads), timings, "cpu", threads)
    return timings


def measure(
    candidates: Sequence[Candidate], device: str, threads: int, *, budget: float = BUDGET
) -> tuple[list[Timing], dict[str, Engine]]:
    """Time candidates by turns on a wide picture; gives the engines that opened, by name, as well.

    A candidate's time is the least of its runs: what other programs do meanwhile only adds to it.
    """
    engines, faults = dict[str, Engine](), dict[str, str]()
    for candidate in candidates:
        try:
            engine = candidate.open(device, threads)
            engine.resize(*input_size(16, 9, engine.area, engine.stride))
            engine.input[...] = np.random.default_rng(0).integers(0, 256, engine.input.shape)
            engine.run()
            engines[candidate.name] = engine
        except LivecutError as error:
            faults[candidate.name] = str(error)
    taken = {name: list[float]() for name in engines}
    end = time.perf_counter() + budget
    for _ in range(ROUNDS):
        for name, engine in engines.items():
            start = time.perf_counter()
            engine.run()
            taken[name].append(1e3 * (time.perf_counter() - start))
        if time.perf_counter() > end:
            break
    timings = [
        Timing(
            c.name,
            round(min(taken[c.name]), 3) if c.name in taken else None,
            faults.get(c.name, ""),
        )
        for c in candidates
    ]
    return timings, engines


def fastest(candidates: Sequence[Candidate], timings: Sequence[Timing]) -> Candidate | None:
    """The candidate of the least time; None where none has one."""
    times = {t.name: t.ms for t in timings if t.ms is not None}
    timed = [c for c in candidates if c.name in times]
    return min(timed, key=lambda c: times[c.name]) if timed else None


def versions() -> dict[str, str]:
    """The versions of the engines that are installed, by package."""
    found = {}
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def kept_in(candidates: Sequence[Candidate], device: str, threads: int) -> Path:
    """The file with the timings of these candidates in these circumstances."""
    parts = [cpu.fingerprint(), device, str(threads or cpu.default_threads()), repr(versions())]
    for candidate in candidates:
        parts += [candidate.name, hashlib.sha256(candidate.path.read_bytes()).hexdigest()]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]
    return cache_folder() / "engines" / f"{key}.json"


def read_timings(file: Path) -> list[Timing]:
    """The timings in a file; none where there is no such file or it is damaged."""
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))["timings"]
        return [Timing(str(r["name"]), None if r["ms"] is None else float(r["ms"])) for r in rows]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def write_timings(file: Path, timings: Sequence[Timing], device: str, threads: int) -> None:
    """Keep timings for the next time; a folder that cannot be written is no fault."""
    record = {
        "processor": cpu.name(),
        "device": device,
        "threads": threads or cpu.default_threads(),
        "versions": versions(),
        "timings": [{"name": t.name, "ms": t.ms, "fault": t.fault} for t in timings],
    }
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as part:
            part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
