"""Half precision: how far it is from float32, and that what overflows is no picture."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor

from livecut import ConfigError, EngineError, Segmenter
from livecut.backgrounds import open_background
from livecut.evaluation.pictures import find_pairs
from livecut.frame import Buffer
from livecut.hardware.nvidia import graph_wanted
from livecut.models import Target
from livecut.processors import open_processor
from livecut.processors.cuda.precision import planes_dtype
from livecut.processors.cuda.streams import CpuDevice, CudaDevice
from livecut.stats import Stats
from livecut.testing import shows_room
from tests.lazy import Blueness, load_blueness, processor
from tests.remote import SIZE, demo, frame, is_composite

HALVES = ("float16", "bfloat16")


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Blueness:
    return load_blueness(monkeypatch)


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("precision", ["float32", *HALVES])
def test_the_precision_named_is_taken_and_said(precision: str) -> None:
    made = processor(precision=precision)
    assert made.description.endswith(precision)
    out = np.zeros((*SIZE[::-1], 3), np.uint8)
    for index in range(3):
        made.compose(made.cut(frame(index)), Buffer(out))
        assert is_composite(out, index)


@pytest.mark.usefixtures("network")
def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown precision 'int4'; expected auto, float32"):
        processor(precision="int4")


def test_planes_hold_whole_numbers_and_fractions() -> None:
    assert planes_dtype(CpuDevice.dtype, "auto") == torch.float32
    assert planes_dtype(CudaDevice.dtype, "auto") == torch.float16
    assert planes_dtype(CudaDevice.dtype, "float32") == torch.float32
    assert {planes_dtype(CpuDevice.dtype, p) for p in HALVES} == {torch.float16}


@pytest.mark.parametrize(
    "overflow",
    [lambda x: x.mul_(1e4), lambda x: x.mul_(-1e4), lambda x: x.mul_(1e4).mul_(0)],
    ids=["inf", "-inf", "nan"],
)
def test_what_overflows_in_half_precision_is_no_picture(
    network: Blueness, overflow: Callable[[Tensor], object]
) -> None:
    """An infinite logit would be a person, and its pixel the room's."""
    network.broken = overflow
    out = np.zeros((*SIZE[::-1], 3), np.uint8)
    half = processor(precision="float16")
    with pytest.raises(EngineError, match="no valid alpha"):
        half.compose(half.cut(frame(0)), Buffer(out))
    assert not out.any()
    network.broken = None
    half.compose(half.cut(frame(1)), Buffer(out))
    assert is_composite(out, 1)
    assert not shows_room(out)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """benchmarks/precision.py as a module."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return importlib.import_module("precision")


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    """A folder of one picture, and one of its mask."""
    [image] = demo((320, 180))
    for part, picture in (("images", image), ("masks", Segmenter(device="cpu")(image))):
        (tmp_path / part).mkdir()
        cv2.imwrite(str(tmp_path / part / "a_1.png"), picture)
    return [str(tmp_path / "images"), str(tmp_path / "masks")]


@pytest.mark.parametrize(
    ("precision", "least"), [("float32", 100), ("float16", 99), ("bfloat16", 94)]
)
def test_shipped_network_in_half_precision(
    script: Any, folders: list[str], precision: str, least: float
) -> None:
    """Alpha at full size: bfloat16 has three digits less, which its network's edges show."""
    images, masks = map(Path, folders)
    pairs = find_pairs(images, masks)
    matting, exact = (script.DeviceMatting("live", "cpu", p) for p in (precision, "float32"))
    found = script.compare(pairs, matting, exact)
    assert found.iou_between_worst >= least
    assert found.iou_difference == found.iou_difference_worst
    if precision == "float32":
        assert found.alpha_difference == found.alpha_difference_mean == 0
    else:
        assert 0 < found.alpha_difference_mean < 2
        assert found.alpha_difference <= (24 if precision == "float16" else 128)


def test_the_drift_is_said(
    script: Any,
    folders: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(*more: str) -> int:
        command = ["precision.py", *folders, "--device", "cpu", *more]
        monkeypatch.setattr(sys, "argv", command)
        status: int = script.main()
        return status

    assert run() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": mean IoU ")[0] for line in lines] == [
        f"{half} beside float32" for half in HALVES
    ]
    assert run("--precision", "float16", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["network"].endswith("float32")
    assert found["pictures"] == 1
    assert abs(found["float16"]["iou_difference"]) < 1
    assert run("--model", "mine.onnx") == 1
    assert capsys.readouterr().err.startswith("error: no model file mine.safetensors")


def test_a_precision_needs_a_gpu() -> None:
    with pytest.raises(ConfigError, match="precision float16 is for PyTorch on an NVIDIA GPU"):
        open_processor(
            Target.parse("live", "cpu"),
            background=open_background("blur", SIZE),
            threads=0,
            temporal=False,
            in_flight=1,
            stats=Stats(),
            precision="float16",
        )


def test_the_graph_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIVECUT_CUDA_GRAPH", raising=False)
    assert graph_wanted()
    for said, wanted in (("", True), ("1", True), ("0", False)):
        monkeypatch.setenv("LIVECUT_CUDA_GRAPH", said)
        assert graph_wanted() == wanted
    monkeypatch.setenv("LIVECUT_CUDA_GRAPH", "off")
    with pytest.raises(ConfigError, match="LIVECUT_CUDA_GRAPH is 'off'; expected 1 or 0"):
        graph_wanted()
