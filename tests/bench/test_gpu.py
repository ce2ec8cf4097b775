"""Floors, profiles and warnings of a GPU's figures, with stand-ins for the card and its clock."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from livecut.backgrounds import open_background
from livecut.bench import gpu as module
from livecut.bench import record as records
from livecut.bench import report
from livecut.bench.gpu import (
    Card,
    Profile,
    Roofline,
    Timed,
    Traffic,
    _Count,
    measure_card,
    profile,
    traffic,
)
from livecut.bench.measure import Result
from livecut.bench.options import Case
from livecut.commands.bench import examine_gpus
from livecut.frame import BGR, BT709, YUYV, i420
from livecut.models import find_model
from livecut.processors.cuda.compositor import HEADER
from livecut.processors.cuda.processor import CudaProcessor
from livecut.processors.cuda.streams import CpuDevice, Device
from tests.bench.test_bench import MACHINE, made_round
from tests.lazy import Blueness, Lazy, load_blueness, processor
from tests.remote import SIZE, frame

CARD = Card("a card", up=20e9, down=10e9, device=1000e9)
HD = (1280, 720)


class Ticks:
    """A clock that goes on by a millisecond at each look."""

    def __init__(self) -> None:
        self.now = 0

    def mark(self) -> int:
        self.now += 1
        return self.now

    def between(self, first: int, second: int) -> float:
        return (second - first) / 1e3


def made_profile(**p50: float) -> Profile:
    """Ten frames alike, in milliseconds."""
    given = {"upload": 0.2, "network": 0.3, "background": 0.1, "download": 0.2, "compute": 0.6,
             "enqueue": 0.1, "wall": 1.2} | p50  # fmt: skip
    times = {name: np.full(10, ms) for name, ms in given.items()}
    compute, enqueue, wall = (times.pop(name) for name in ("compute", "enqueue", "wall"))
    return Profile(times, compute, enqueue, wall)


def made_roofline(*, overlapped: bool = False, **p50: float) -> Roofline:
    moved = Traffic(up=2_000_000, down=3_000_000, device=200_000_000, launches=280)
    return Roofline(CARD, moved, made_profile(**p50), overlapped)


def test_floor() -> None:
    one, several = made_roofline(), made_roofline(overlapped=True)
    assert one.floors == pytest.approx({"up": 0.1, "device": 0.2, "down": 0.3})
    assert one.floor == pytest.approx(0.6)
    assert several.floor == pytest.approx(0.3)


def test_warnings() -> None:
    assert made_roofline().warnings() == []
    [said] = made_roofline(download=0.7).warnings()
    assert said == "transfer-bound: a copy over the bus takes 0.70 ms, computing 0.60 ms"
    [said] = made_roofline(enqueue=2.0, wall=2.0).warnings()
    assert said.startswith(
        "enqueue-bound: queueing a frame takes the processor 2.00 ms, the device"
    )
    assert "computes 0.60 ms and is busy for 50 % of the time" in said


def test_rates_are_bytes_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BYTES", 1000)
    found = measure_card(Lazy(), Ticks())
    assert found == Card("the CPU", up=1e6, down=1e6, device=2e6)


@pytest.mark.parametrize("machine", [CpuDevice, Lazy])
def test_profile_of_a_stand_in(machine: type[CpuDevice], monkeypatch: pytest.MonkeyPatch) -> None:
    """One tick for each job: one upload, three of compute, one download; within, one a stage."""
    network: Blueness = load_blueness(monkeypatch)
    made = list[CudaProcessor]()

    def fresh(machine: Device) -> CudaProcessor:
        made.append(processor(machine, "blur"))
        return made[-1]

    images = [frame(index).image for index in range(3)]
    found = profile(fresh, machine(), Ticks(), images, frames=4, warm=2)
    assert list(found.stages) == [
        "upload",
        "preprocess",
        "network",
        "refine",
        "background",
        "composite",
        "download",
    ]
    for name, times in found.stages.items():
        assert times == pytest.approx([1.0] * 4), name
    assert found.compute == pytest.approx([3.0] * 4)
    assert (found.enqueue > 0).all()
    assert (found.wall >= found.enqueue).all()
    assert len(made) == 2, "that whose whole is timed has no marks within"
    assert isinstance(made[0]._device, Timed)
    assert not isinstance(made[1]._device, Timed)
    assert network.broken is None


def test_counts_bytes_of_each_step() -> None:
    a, b = torch.zeros(10, 4), torch.zeros(4, dtype=torch.float16)
    row = torch.zeros(4)
    with _Count() as counted:
        a.view(40)[:8].t()
        torch.empty(99)
        assert (counted.moved, counted.launches) == (0, 0)
        a.copy_(row)  # 16 bytes repeated, 160 written
        assert counted.moved == 176
        b.float()
        assert counted.moved == 176 + 8 + 16
        a.add_(1)
        assert counted.moved == 200 + 320
        torch.add(row, row, out=row.clone())
        assert counted.launches == 5
        assert counted.moved == 520 + 32 + 48
        a.fill_(1)
        assert counted.moved == 600 + 160


def test_traffic_of_the_shipped_network() -> None:
    weights, blur = find_model("live", ".safetensors"), open_background("blur", HD)
    pixels = HD[0] * HD[1]
    half = traffic(weights, blur, HD)
    assert (half.up, half.down) == (HEADER + 3 * pixels, HEADER + 4 * pixels)
    assert 20 * pixels < half.device < 1000 * pixels
    assert 100 < half.launches < 1000
    assert 0 < half.convolved < half.device
    exact = traffic(weights, blur, HD, precision="float32")
    assert 1.2 * half.device < exact.device < 2 * half.device
    assert exact.convolved == 2 * half.convolved
    planar = traffic(weights, blur, HD, form_in=YUYV, form_out=i420(BT709))
    assert (planar.up, planar.down) == (HEADER + 2 * pixels, HEADER + 5 * pixels // 2)


def test_recorded_and_shown(tmp_path: Path) -> None:
    result = Result(
        Case(size=HD, device="cuda", precision="float16"), [made_round([1.5] * 250)] * 2
    )
    result.roofline = made_roofline(enqueue=2.0, wall=2.0)
    plain = Result(Case(size=HD), [made_round([5.0] * 250)] * 2)
    found = records.record([result, plain], MACHINE, seconds=1.0)
    assert found["machine"]["card"] == {
        "name": "a card", "up_gb_per_s": 20.0, "down_gb_per_s": 10.0, "device_gb_per_s": 1000.0
    }  # fmt: skip
    row, other = found["results"]
    assert row["case"]["precision"] == "float16"
    assert row["name"] == "1280x720 blur memory on cuda float16"
    assert other["roofline"] == {}
    r = row["roofline"]
    assert (r["bytes_up"], r["bytes_down"], r["bytes_device"]) == (
        2_000_000,
        3_000_000,
        200_000_000,
    )
    assert r["floors_ms"] == {"up": 0.1, "device": 0.2, "down": 0.3}
    assert (r["floor_ms"], r["per_frame_ms"], r["ratio"]) == (0.6, 1.5, 2.5)
    assert r["stages"]["network"]["p50"] == 0.3
    assert r["enqueue"]["p50"] == 2.0
    assert any("enqueue-bound" in w for w in row["warnings"])
    assert records.__doc__
    for key in [*r, *found["machine"]["card"]]:
        assert f'"{key}"' in records.__doc__
    report.save(found, tmp_path, plots=False)
    assert json.loads((tmp_path / "bench.json").read_text()) == found
    text = (tmp_path / "report.md").read_text()
    assert "- card: a card, copies 20.0 GB/s up, 10.0 down, 1000.0 in its memory" in text
    name = "| 1280x720 blur memory on cuda float16 | "
    assert name + "2.0 | 3.0 | 200.0 | 280 | 0.600 | 1.500 | 2.5 |" in text
    assert name + "0.200 | 0.300 | 0.100 | 0.000 | 0.200 | 2.000 |" in text
    assert "enqueue-bound" in text
    assert not (tmp_path / "report.html").exists()
    assert report.page(found).count("<table>") == 4


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """benchmarks/gpu.py as a module."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return importlib.import_module("gpu")


def test_table_of_optimisations_without_a_gpu(
    script: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    assert script.main() == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "sees no NVIDIA GPU here: nothing was measured" in said.err
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--predict", "--size", "1280x720"])
    assert script.main() == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + len(script.WAYS)
    predicted = [float(row.split("|")[2]) for row in rows[1:]]
    assert min(predicted) == predicted[0]
    assert max(predicted) == predicted[-1]


def test_table_of_optimisations_by_turns(
    script: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The whole script, on a stand-in for the card."""
    load_blueness(monkeypatch)
    asked = list[dict[str, bool]]()

    def card(device: torch.device, **how: bool) -> CpuDevice:
        asked.append(how)
        return CpuDevice()

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(script, "CudaDevice", card)
    monkeypatch.setattr(script, "CudaClock", Ticks)
    monkeypatch.setattr(script, "prediction", lambda *_: dict.fromkeys(script.WAYS, (0.002, 0.001)))
    monkeypatch.setattr(module, "BYTES", 1000)
    arguments = ["--size", "64x48", "--rounds", "2", "--seconds", "0.02", "-o", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["gpu.py", *arguments])
    assert script.main() == 0
    assert {"graph": False, "streams": False} in asked
    assert {"graph": True, "streams": True} in asked
    ways = json.loads((tmp_path / "gpu.json").read_text())["ways"]
    assert list(ways) == list(script.WAYS)
    for way in ways.values():
        assert way["ms"]["count"] >= 2
        assert len(way["fps_in_flight"]) == 2
    lines = (tmp_path / "gpu.md").read_text().splitlines()
    assert len(lines) == 4 + len(ways)
    assert all(float(cell) > 0 for cell in lines[4].strip("|").split("|")[1:])


def test_prediction_is_the_arithmetic_stated(script: Any) -> None:
    moved = Traffic(
        up=1_000_000, down=2_000_000, device=100_000_000, launches=100, convolved=10_000_000
    )
    assumed = script.Assumed(
        Card("", up=1e10, down=1e10, device=1e11), host=1e10, launch=5e-5, step=1e-6, frame=1e-5
    )
    # up 0.1 ms, device 1.0 and 0.1 of steps, down 0.2, frame 0.01, the processor's copies 0.3
    alone, between = script.predict(script.ALL, moved, 2_000_000, assumed)
    assert (1e3 * alone, 1e3 * between) == pytest.approx((1.41, 1.1))
    copied = script.predict(replace(script.ALL, lent=False), moved, 2_000_000, assumed)
    assert 1e3 * np.array(copied) == pytest.approx([1.71, 1.1])
    eager = script.predict(replace(script.ALL, graph=False), moved, 2_000_000, assumed)
    assert 1e3 * np.array(eager) == pytest.approx([0.3 + 5.01 + 0.01, 5.01])
    one = script.predict(replace(script.ALL, streams=False), moved, 2_000_000, assumed)
    assert 1e3 * np.array(one) == pytest.approx([1.41, 1.4])
    packed = script.predict(replace(script.ALL, channels_last=False), moved, 2_000_000, assumed)
    assert 1e3 * np.array(packed) == pytest.approx([1.51, 1.2])


def test_frames_that_overlap_are_measured_by_their_rate() -> None:
    result = Result(Case(in_flight=3), [made_round([6.0] * 250, fps=500.0)])
    assert result.per_frame == 2.0
    assert Result(Case(), [made_round([6.0] * 250, fps=500.0)]).per_frame == 6.0


def test_nothing_is_examined_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    result = Result(Case(size=SIZE, device="cpu"), [made_round([5.0] * 250)])
    examine_gpus([result])
    assert result.roofline is None
    asked = list[tuple[Case, object]]()

    def fake(case: Case, pixel_format: object, weights: Path) -> Roofline:
        asked.append((case, pixel_format))
        return made_roofline()

    monkeypatch.setattr("livecut.processors.gpu_weights", lambda *_: Path("weights"))
    monkeypatch.setattr(module, "examine", fake)
    examine_gpus([result])
    assert asked == [(result.case, BGR)]
    assert result.roofline is not None
