"""`livecut bench`: the cases, a real short run, the record, the report, the comparison."""

from __future__ import annotations

import copy
import json
import runpy
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from livecut.backgrounds.blur import Blur
from livecut.bench import cold_start as cold
from livecut.bench import record as records
from livecut.bench import report
from livecut.bench.cases import LIVE, PACE, Looped, Memory, standard, sweep
from livecut.bench.machine import driver, gpu
from livecut.bench.measure import Result, Round, measure
from livecut.bench.options import Case
from livecut.commands.main import cli
from livecut.errors import ConfigError, EngineError
from livecut.frame import Cutout, Image
from tests.waiting import pause

SMALL = (320, 180)
MACHINE = {"processor": "a test's", "cores": 2, "memory_gb": 1.0, "system": "none", "python": "3",
           "versions": {"livecut": "0"}, "copy_gb_per_s": 10.0}  # fmt: skip


def made_round(ages: list[float], **other: object) -> Round:
    given = {
        "fps": 1000 / ages[0],
        "start": 1.0,
        "cpu": 100.0,
        "rss": 200.0,
        "frames": len(ages),
        "captured": len(ages) + 1,
        "drops": {"late": 1},
        "late": {"network": 2},
        "duplicated": 0,
        "steady": True,
        "others": 0.0,
        "speed": 1000.0,
        "network": "a fake",
    }
    stages = {"preprocess": 0.1, "network": 0.5, "refine": 0.2, "composite": 0.2, "age": 1.0}
    samples = {name: np.array(ages) * share for name, share in stages.items()}
    return Round(**(given | {"samples": samples} | other))  # type: ignore[arg-type]


def made_record(*ages: float, size: tuple[int, int] = SMALL) -> records.Record:
    result = Result(Case(size=size), [made_round([age] * 150) for age in ages])
    return records.record([result], MACHINE, seconds=1.0)


def test_cases_have_names_of_their_own() -> None:
    cases = standard() + sweep(
        size=[SMALL, (64, 48)],
        background=["red"],
        path=["memory", "paced"],
        model=["a.onnx", "b.onnx"],
        engine=["onnx", "torch"],
        device=["cpu", "cuda"],
        threads=[1, 2],
        in_flight=[1, 2],
        streams=[1, 4],
    )
    assert len({case.name for case in cases}) == len(cases) == len(standard()) + 256
    assert Case(size=SMALL).name == "320x180 blur memory"
    last = "64x48 red paced b.onnx torch on cuda 2 threads 2 in flight 4 streams"
    assert cases[-1].name == last


def test_memory_goes_to_and_fro_and_keeps_its_pace() -> None:
    pictures = [np.full((4, 6, 3), i, np.uint8) for i in range(4)]
    out = np.empty((4, 6, 3), np.uint8)

    def seen(source: Memory, count: int) -> list[int]:
        return [int(out[0, 0, 0]) for _ in range(count) if source.read(out)]

    assert seen(Memory(pictures), 8) == [0, 1, 2, 3, 2, 1, 0, 1]
    start = time.perf_counter()
    assert seen(Memory(pictures, realtime=True), 4) == [0, 1, 2, 3]
    assert time.perf_counter() - start >= 3 / PACE


def test_looped_begins_again(tmp_path: Path) -> None:
    path = tmp_path / "three.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (32, 16))
    for level in (20, 120, 220):
        writer.write(np.full((16, 32, 3), level, np.uint8))
    writer.release()
    out = np.empty((16, 32, 3), np.uint8)
    with Looped(path) as source:
        levels = []
        for _ in range(7):
            assert source.read(out) is not None
            levels.append(int(out.mean()))
    assert np.abs(np.array(levels) - [20, 120, 220, 20, 120, 220, 20]).max() < 5


@pytest.mark.parametrize("path", ["memory", "paced", "decode", "encode", "folder", "pipe"])
def test_a_real_round(path: str) -> None:
    [result] = measure([Case(size=SMALL, path=path)], rounds=1, seconds=0.3)
    [measured] = result.rounds
    ages = result.pooled("age")
    assert len(ages) == measured.frames > 0
    first = {"paced": "capture", "pipe": "capture", "web": "capture"}.get(path, "read")
    assert result.stages[0] == first
    later = ["preprocess", "network", "refine", "background", "composite", "sink", "age"]
    assert result.stages[1:8] == later
    parts = sum(result.pooled(s).min() for s in ("preprocess", "network", "refine"))
    assert parts < ages.max()
    assert measured.start > 0
    assert measured.rss > 10
    assert measured.cpu > 0
    assert " on the CPU, " in measured.network
    if path in LIVE:
        assert measured.fps < 1.2 * PACE
        assert measured.captured >= measured.frames - 3, "those on their way at the beginning"
    if path in ("pipe", "web"):
        glass = result.pooled("glass")
        assert len(glass) > 3
        # A reader may have the picture before the write that gives the age has returned.
        assert ages.min() - result.pooled("sink").max() < np.median(glass) < 2000


def test_transparent_pictures_are_encoded_where_they_can_be() -> None:
    case = Case(size=SMALL, path="encode", background="transparent")
    [result] = measure([case], rounds=1, seconds=0.2)
    assert result.rounds[0].frames > 0
    assert "background" not in result.stages, "nothing stands behind the person"


def test_streams_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livecut.bench.measure.MINUTE", 0.2)
    case = Case(size=SMALL, path="paced", streams=3, background="red")
    [result] = measure([case], rounds=1, seconds=0.7)
    [measured] = result.rounds
    assert len(result.pooled("age")) == measured.frames
    assert measured.fps < 3.6 * PACE
    assert measured.captured >= measured.frames - 9, "those on their way at the beginning"
    assert len(measured.minutes) >= 2
    first = measured.minutes[0]
    assert first["frames"] > 0
    assert 0 < first["p50_ms"] <= first["p99_ms"]
    assert first["rss_mb"] > 10


def test_failure_of_one_stream_ends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    compose, count = Blur.compose, iter(range(10**6))

    def third(self: Blur, cutout: Cutout, out: Image) -> None:
        if next(count) > 30:
            raise ConfigError("the background broke")
        compose(self, cutout, out)

    monkeypatch.setattr(Blur, "compose", third)
    with pytest.raises(ConfigError, match="the background broke"):
        measure([Case(size=SMALL, streams=2)], rounds=1, seconds=60)


def test_rounds_go_by_turns() -> None:
    told: list[tuple[str, int]] = []
    cases = [Case(size=SMALL), Case(size=SMALL, background="red")]
    measure(cases, rounds=2, seconds=0.1, report=lambda case, n: told.append((case.background, n)))
    assert told == [("blur", 0), ("red", 0), ("red", 1), ("blur", 1)]


def test_warnings() -> None:
    good = Result(Case(size=SMALL), [made_round([5.0] * 150)] * 2)
    assert good.warnings() == []
    bad = Result(
        Case(size=SMALL, path="paced"),
        [made_round([5.0] * 30, fps=20.0, others=40.0, speed=1200.0),
         made_round([5.0] * 20, fps=20.0, speed=1100.0),
         made_round([9.0] * 50, fps=20.0, steady=False, network="CPU (no CUDA: no libcurand)")],
    )  # fmt: skip
    said = "\n".join(bad.warnings())
    for words in (
        "only 100 samples",
        "between 5.00 and 9.00 ms",
        "warm-up",
        "used 40 %",
        "too slow",
        "differed by 20 % between the rounds, always falling",
        "was not used: CPU (no CUDA: no libcurand)",
    ):
        assert words in said


def test_description_of_samples() -> None:
    found = records.describe(np.arange(101.0))
    low, high = found.pop("p50_low"), found.pop("p50_high")
    assert (low, high) == pytest.approx((50 - 9.75, 50 + 9.75), abs=0.01)
    assert found == {"count": 101, "min": 0, "p50": 50, "p90": 90, "p95": 95, "p99": 99, "max": 100,
                     "jitter": 1}  # fmt: skip


def test_record_survives_the_disk(tmp_path: Path) -> None:
    found = made_record(5.0, 6.0)
    paths = report.save(found, tmp_path / "new", plots=True)
    assert {p.name for p in paths} == {
        "bench.json", "report.md", "report.html", "latency.png", "stages.png"
    }  # fmt: skip
    assert records.read(tmp_path / "new" / "bench.json") == found
    [row] = found["results"]
    assert row["fps"] == [200, 166.67]
    assert row["age_p50_ms"] == [5, 6]
    assert row["drops"] == {"late": 2}
    assert row["late"] == {"network": 4}
    assert row["floor_ratio"] == pytest.approx(2.75 / row["floor_ms"], rel=0.01)
    assert row["floor_ms"] == pytest.approx(17 * 320 * 180 / 10e9 * 1e3, abs=1e-4)
    text = (tmp_path / "new" / "report.md").read_text()
    assert "| 320x180 blur memory | 183.3 | 167-200 |" in text
    assert "![latency](latency.png)" in text
    assert "| 320x180 blur memory | preprocess | 300 | 0.50 | 0.55 | 0.50-0.60 | 0.60 |" in text
    assert "of 302 frames 2 dropped (late 2); 4 late (network 4)" in text
    shown = (tmp_path / "new" / "report.html").read_text()
    assert shown.startswith("<!doctype html>\n")
    assert shown.count("data:image/png;base64,") == 2
    assert "<tr><td>320x180 blur memory<td>183.3<td>167-200<td>" in shown
    for name in ("latency", "stages"):
        image = cv2.imread(str(tmp_path / "new" / f"{name}.png"))
        assert image is not None
        assert image.std() > 5


def test_plots_of_scaling_and_of_a_soak(tmp_path: Path) -> None:
    minute = {"p50_ms": 5.0, "p99_ms": 9.0, "frames": 1800, "rss_mb": 200.0}
    results = [
        Result(
            case,
            [made_round([5.0] * 300, fps=30.0, minutes=[minute, minute | {"p99_ms": 12.0}])],
        )
        for case in [Case(path="paced", streams=n) for n in (1, 2, 4)]
        + [Case(path="paced", threads=n) for n in (1, 2)]
        + [Case(path="paced", size=SMALL)]
    ]
    alone = {
        result.case.alone: {"first_s": [2.0], "rss_mb": [240.0 + 50 * result.case.streams]}
        for result in results
    }
    found = records.record(results, MACHINE, seconds=120.0, cold=alone)
    memory = [row["alone"]["rss_mb"][0] for row in found["results"]]
    assert memory == [290, 340, 440, 290, 290, 290]
    names = {path.name for path in report.save(found, tmp_path, plots=True)}
    assert names >= {"sizes.png", "streams.png", "threads.png", "soak.png"}
    text = (tmp_path / "report.md").read_text()
    assert "2.00 s to the first composited 720p frame, 290 MB" in text
    assert "- streams: 1 at 30 frames per second each with a p99 of age under 33 ms (" in text


def test_record_of_the_schema_before(tmp_path: Path) -> None:
    old = made_record(5.0) | {"schema": 2}
    for row in old["results"]:
        row["late"] = 3
        del row["alone"], row["floor_ratio"]
    path = tmp_path / "old.json"
    path.write_text(json.dumps(old))
    (tmp_path / "new").mkdir()
    report.save(records.read(path), tmp_path / "new", plots=True)
    assert records.compare(records.read(path), made_record(5.0), 10.0)


def test_cold_start() -> None:
    found = cold.measure(Case(size=SMALL, streams=2), 1)
    assert 0.1 < found["first_s"][0] < 120
    assert 50 < found["rss_mb"][0] < 1000
    with pytest.raises(EngineError, match="unknown model 'nothing'"):
        cold.measure(Case(model="nothing"), 1)


def test_gpu_tells_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    class Error(Exception):
        pass

    card = SimpleNamespace(
        NVMLError=Error,
        NVML_CLOCK_SM=1,
        NVML_TEMPERATURE_GPU=0,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda index: "card",
        nvmlDeviceGetMemoryInfo=lambda card: SimpleNamespace(used=3e9),
        nvmlDeviceGetName=lambda card: "a card",
        nvmlSystemGetDriverVersion=lambda: "580.1",
        nvmlDeviceGetClockInfo=lambda card, which: 1500,
        nvmlDeviceGetPowerUsage=lambda card: 250_000,
        nvmlDeviceGetTemperature=lambda card, which: 50,
    )
    monkeypatch.setitem(sys.modules, "pynvml", card)
    assert gpu() == {"memory_mb": 3000, "sm_mhz": 1500, "power_w": 250, "celsius": 50}
    assert driver() == {"gpu": "a card", "driver": "580.1"}

    def refuse(card: object) -> None:
        raise Error

    card.nvmlDeviceGetPowerUsage = refuse
    assert gpu() == {}
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert gpu() == driver() == {}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 99}'])
def test_what_is_no_record(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"a\.json .*record of livecut bench"):
        records.read(path)


def test_compare() -> None:
    before = made_record(5.0, 5.1, 5.2)
    [row] = records.compare(before, made_record(6.0, 6.1, 6.2), 10.0)
    assert row["slower"]
    assert row["ratio"] == pytest.approx(6.1 / 5.1)
    assert 1.1 < row["low"] < row["ratio"] < row["high"] < 1.25
    [row] = records.compare(before, made_record(5.3, 5.4, 5.5), 10.0)
    assert not row["slower"], "below the limit"
    [row] = records.compare(made_record(5.0, 9.0, 5.5), made_record(6.0, 7.0, 8.0), 10.0)
    assert not row["slower"], "the rounds overlap"
    with pytest.raises(ConfigError, match="no case in common"):
        records.compare(before, made_record(5.0, size=(64, 48)), 10.0)


def test_a_slow_down_made_on_purpose_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cold, "measure", lambda case, count: {})
    command = ["bench", "--size", "320x180", "--rounds", "2", "--seconds", "0.3", "-o"]
    assert CliRunner().invoke(cli, [*command, str(tmp_path / "a")]).exit_code == 0
    compose = Blur.compose

    def slow(self: Blur, cutout: Cutout, out: Image) -> None:
        pause(0.1)
        compose(self, cutout, out)

    monkeypatch.setattr(Blur, "compose", slow)
    assert CliRunner().invoke(cli, [*command, str(tmp_path / "b")]).exit_code == 0
    a, b = (str(tmp_path / name / "bench.json") for name in "ab")
    done = CliRunner().invoke(cli, ["bench", "--compare", a, b])
    assert done.exit_code == 1
    assert "SLOWER" in done.output
    assert "1 of 1 cases are slower" in done.output
    same = CliRunner().invoke(cli, ["bench", "--compare", b, b])
    assert same.exit_code == 0


def test_the_readmes_table_is_that_of_the_recorded_results(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "table.py"
    monkeypatch.setattr(sys, "argv", [str(script), "--check"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    assert ended.value.code == 0


def test_bad_options(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["bench", "--quick", "-o", str(tmp_path / "no" / "where")])
    assert isinstance(done.exception, ConfigError)
    assert "make it first" in str(done.exception)
    done = CliRunner().invoke(cli, ["bench", "--path", "sideways"])
    assert done.exit_code == 2


def test_the_schema_is_that_of_the_docstring() -> None:
    found = copy.deepcopy(made_record(5.0))
    text = json.dumps(found)
    assert records.__doc__
    for key in ("schema", "when", "machine", "rounds", "seconds", "results"):
        assert f'"{key}"' in records.__doc__
        assert f'"{key}"' in text
    for key in found["results"][0]:
        assert f'"{key}"' in records.__doc__


def test_what_is_wrong_with_a_device_is_said_as_it_is() -> None:
    with pytest.raises(EngineError, match=r"^device cuda:9: "):
        cold.measure(Case(size=SMALL, device="cuda:9"), 1)


def test_the_page_escapes_what_it_shows() -> None:
    found = made_record(5.0)
    found["results"][0]["name"] = "<b>&"
    shown = report.page(found)
    assert "<td>&lt;b&gt;&amp;<td>" in shown
    assert "<b>" not in shown
