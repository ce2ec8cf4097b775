"""benchmarks/engines.py: the table of engines, and a verdict on auto's choice."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from livecut.engines.choice import Candidate, Timing, list_candidates
from livecut.models import find_model, model_names

NAMES = [c.name for c in list_candidates(find_model("live"), every=True)]


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Any:
    """benchmarks/engines.py as a module."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return import_module("engines")


def test_the_record_has_each_engine_for_each_model(
    engines: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deeper" / "record.json"
    assert engines.main(["--rounds", "1", "--seconds", "0.01", "-o", str(out)]) == 0
    results = json.loads(out.read_text())["results"]
    assert [result["model"] for result in results] == model_names()
    for result in results:
        assert [row["name"] for row in result["rows"]] == NAMES
        assert sum(row["auto"] for row in result["rows"]) == 1
        assert all(row["difference"] < 0.03 for row in result["rows"])
        assert result["choice_by_best"] >= 1
    assert "<- auto" in capsys.readouterr().out


@pytest.mark.parametrize(("choice", "status"), [("openvino:int8", 0), ("onnx:float32", 1)])
def test_quick_fails_for_a_choice_that_is_much_slower(
    choice: str, status: int, engines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(candidates: list[Candidate], *_: object, **__: object) -> object:
        slow = {"onnx:float32": 2.0, "openvino:int8": 1.1}
        return [Timing(c.name, slow.get(c.name, 1.0)) for c in candidates], {}

    if not {"openvino:int8", "onnx:float32"} <= set(NAMES):
        pytest.skip("needs both engines")
    monkeypatch.setattr(engines, "measure", measure)
    monkeypatch.setattr(engines, "chosen", lambda path, threads: choice)
    assert engines.main(["--quick", "--rounds", "2"]) == status
