"""Which engine runs a network: the fastest that was measured, once, unless somebody says which."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livecut import ConfigError, EngineError, engines
from livecut.engines import choice
from livecut.engines.base import Engine
from livecut.engines.choice import Candidate, Timing, fastest, list_candidates, read_timings
from livecut.models import Target, find_model


@pytest.fixture(autouse=True)
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, and nobody's wish."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(choice.VARIABLE, raising=False)
    return tmp_path / "cache" / "livecut" / "engines"


def open_engine(
    model: str, *, device: str = "cpu", engine: str = "auto", threads: int = 0
) -> Engine:
    return engines.open_engine(Target.parse(model, device, engine), threads=threads)


class Fake:
    """An engine of which only the name is known."""

    area, stride, max_batch = 64 * 64, 16, 1

    def __init__(self, name: str) -> None:
        self.description = name

    def resize(self, width: int, height: int) -> None:
        self.input = np.zeros((height, width, 3), np.uint8)
        self.output = np.zeros((height // 2, width // 2), np.float32)

    def run(self) -> None:
        """Nothing."""

    def batch(self, count: int, width: int, height: int) -> Any:
        raise NotImplementedError


class Machine:
    """What the candidates take on an imagined machine, and how often it was measured."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **times: float | None) -> None:
        self.times = {name.replace("_", ":"): ms for name, ms in times.items()}
        self.measured = 0
        monkeypatch.setattr(choice, "installed", lambda engine: True)
        monkeypatch.setattr(choice, "measure", self.measure)
        monkeypatch.setattr(Candidate, "open", self.open)
        monkeypatch.setattr("livecut.hardware.cpu.multiplies_bytes", lambda: True)
        monkeypatch.setattr("livecut.hardware.cpu.multiplies_bfloat16", lambda: False)

    def measure(self, candidates: Sequence[Candidate], device: str, threads: int) -> Any:
        self.measured += 1
        timings = [
            Timing(c.name, self.times[c.name], "" if self.times[c.name] else "it is broken")
            for c in candidates
        ]
        return timings, {t.name: Fake(t.name) for t in timings if t.ms is not None}

    def open(self, device: str, threads: int) -> Fake:
        raise NotImplementedError


def opened(candidate: Candidate, device: str, threads: int) -> Fake:
    return Fake(candidate.name)


ALL = {"openvino_int8": 1.2, "openvino_float32": 2.0, "onnx_int8": 1.0, "onnx_float32": 2.5}


def test_the_fastest_is_taken_and_remembered(
    monkeypatch: pytest.MonkeyPatch, cache_home: Path
) -> None:
    machine = Machine(monkeypatch, **ALL)
    assert open_engine("live", device="cpu").description == "onnx:int8"
    monkeypatch.setattr(Candidate, "open", opened)
    assert open_engine("live", device="cpu").description == "onnx:int8"
    assert machine.measured == 1
    record = json.loads(next(cache_home.iterdir()).read_text())
    assert {row["name"] for row in record["timings"]} == {k.replace("_", ":") for k in ALL}
    machine.times["openvino:int8"] = 0.5
    assert open_engine("live", device="cpu", threads=2).description == "openvino:int8"
    assert machine.measured == 2, "another number of threads is another question"


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"timings": [1]}', b"\xff\xfe"])
def test_a_damaged_record_is_measured_anew(
    damage: bytes, monkeypatch: pytest.MonkeyPatch, cache_home: Path
) -> None:
    machine = Machine(monkeypatch, **ALL)
    open_engine("live", device="cpu")
    [file] = cache_home.iterdir()
    file.write_bytes(damage)
    assert open_engine("live", device="cpu").description == "onnx:int8"
    assert machine.measured == 2
    assert len(read_timings(file)) == len(ALL), "it is written anew"


def test_a_cache_that_cannot_be_written_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(monkeypatch, **ALL)
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/cache")
    assert open_engine("live", device="cpu").description == "onnx:int8"


def test_what_is_broken_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(monkeypatch, **ALL | {"onnx_int8": None})
    assert open_engine("live", device="cpu").description == "openvino:int8"
    Machine(monkeypatch, **dict.fromkeys(ALL, None))
    with pytest.raises(EngineError, match="it is broken"):
        open_engine("live", device="cpu", threads=3)


def test_what_no_longer_opens_is_measured_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, **ALL)
    open_engine("live", device="cpu")

    def fails(candidate: Candidate, device: str, threads: int) -> Fake:
        raise EngineError("gone")

    monkeypatch.setattr(Candidate, "open", fails)
    assert open_engine("live", device="cpu").description == "onnx:int8"
    assert machine.measured == 2


def names(**options: Any) -> list[str]:
    return [c.name for c in list_candidates(find_model("live"), **options)]


@pytest.mark.parametrize("sums_bytes", [True, False])
@pytest.mark.parametrize("brief", [True, False])
def test_candidates_by_what_the_cpu_has(
    sums_bytes: bool, brief: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "installed", lambda engine: True)
    monkeypatch.setattr("livecut.hardware.cpu.multiplies_bytes", lambda: sums_bytes)
    monkeypatch.setattr("livecut.hardware.cpu.multiplies_bfloat16", lambda: brief)
    floats = "openvino:bfloat16" if brief else "openvino:float32"
    ints = {"openvino:int8", "onnx:int8"} if sums_bytes else set()
    assert set(names()) == {floats, "onnx:float32"} | ints
    assert names(engine="onnx", precision="float32") == ["onnx:float32"]
    assert names(engine="onnx", precision="int8") == ["onnx:int8"], "one that is named is taken"
    assert "openvino:float32" in names(every=True)
    exact = {c.name for c in list_candidates(find_model("live"), named=False)}
    assert exact == {"openvino:float32", "onnx:float32"}, "a file is run as it is"
    assert names(kind="npu") == ["openvino:int8", "openvino:float16"]


def test_only_what_is_installed_is_a_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "installed", lambda engine: engine == "onnx")
    assert {name.split(":")[0] for name in names()} == {"onnx"}
    with pytest.raises(EngineError, match=r"OpenVINO is not installed; .* pip install openvino"):
        names(engine="openvino")
    monkeypatch.setattr(choice, "installed", lambda engine: False)
    with pytest.raises(EngineError, match="OpenVINO or ONNX Runtime is not installed"):
        names()


def test_the_variable_says_what_auto_is(monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(monkeypatch, **ALL)
    monkeypatch.setattr(Candidate, "open", opened)
    monkeypatch.setenv(choice.VARIABLE, "openvino:float32")
    assert open_engine("live", device="cpu").description == "openvino:float32"
    assert open_engine("live", device="cpu", engine="onnx").description == "onnx:int8"
    monkeypatch.setenv(choice.VARIABLE, "tensorflow")
    with pytest.raises(ConfigError, match="unknown engine 'tensorflow' in LIVECUT_ENGINE"):
        open_engine("live", device="cpu")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"engine": "onnx:int4"}, "unknown engine 'onnx:int4'; expected one of: auto, openvino"),
        ({"engine": "torch:int8"}, "unknown engine"),
        ({"engine": "auto:int8"}, "unknown engine"),
        ({"engine": "onnx:bfloat16"}, r"live.onnx does not run as onnx:bfloat16 here; .*onnx:int8"),
        ({"engine": "onnx", "device": "gpu"}, "device gpu is OpenVINO's alone"),
        ({"engine": "openvino", "device": "cuda"}, "device cuda is ONNX Runtime's alone"),
        ({"engine": "torch", "device": "npu"}, "PyTorch does not run on device npu"),
    ],
)
def test_what_does_not_go_together_is_an_error(options: dict[str, str], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        open_engine("live", **{"device": "cpu", **options})  # type: ignore[arg-type]


def test_a_real_measurement_names_a_time_for_each() -> None:
    candidates = list_candidates(find_model("fast"), every=True)
    timings, engines = choice.measure(candidates, "cpu", 1, budget=0.05)
    assert [t.name for t in timings] == [c.name for c in candidates] == list(engines)
    assert all(t.ms is not None and t.ms > 0 and not t.fault for t in timings)
    best = fastest(candidates, timings)
    assert best is not None
    assert min(t.ms for t in timings if t.ms) == next(t.ms for t in timings if t.name == best.name)
