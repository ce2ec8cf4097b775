"""Half precision: how far it is from float32, and that what overflows is no picture."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("torch")

import torch
from torch import Tensor

from livecut import ConfigError, EngineError, Segmenter
from livecut.backgrounds import open_background
from livecut.commands.main import cli
from livecut.evaluation.dataset import Pair
from livecut.evaluation.pictures import Score
from livecut.hardware.nvidia import graph_wanted
from livecut.parity import DeviceMatting, compare
from livecut.processors import open_cutter
from livecut.processors.cuda.precision import planes_dtype
from livecut.processors.cuda.streams import Cuda, Inline
from livecut.stats import Stats
from tests.fakes import shows_room
from tests.lazy import Blueness, cutter, load_blueness
from tests.remote import SIZE, demo, frame, is_composite

HALVES = ("float16", "bfloat16")


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Blueness:
    return load_blueness(monkeypatch)


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("precision", ["float32", *HALVES])
def test_the_precision_named_is_taken_and_said(precision: str) -> None:
    made = cutter(precision=precision)
    assert made.description.endswith(precision)
    out = np.zeros((*SIZE[::-1], 3), np.uint8)
    for index in range(3):
        made.compose(open_background("#000000", SIZE), made.cut(frame(index)), out)
        assert is_composite(out, index)


@pytest.mark.usefixtures("network")
def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown precision 'int4'; expected auto, float32"):
        cutter(precision="int4")


def test_planes_hold_whole_numbers_and_fractions() -> None:
    assert planes_dtype(Inline.dtype, "auto") == torch.float32
    assert planes_dtype(Cuda.dtype, "auto") == torch.float16
    assert planes_dtype(Cuda.dtype, "float32") == torch.float32
    assert {planes_dtype(Inline.dtype, p) for p in HALVES} == {torch.float16}


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
    half, black = cutter(precision="float16"), open_background("#000000", SIZE)
    with pytest.raises(EngineError, match="no valid alpha"):
        half.compose(black, half.cut(frame(0)), out)
    assert not out.any()
    network.broken = None
    half.compose(black, half.cut(frame(1)), out)
    assert is_composite(out, 1)
    assert not shows_room(out)


@pytest.mark.parametrize(
    ("precision", "least"), [("float32", 100), ("float16", 99), ("bfloat16", 94)]
)
def test_shipped_network_in_half_precision(tmp_path: Path, precision: str, least: float) -> None:
    """Alpha at full size: bfloat16 has three digits less, which its network's edges show."""
    [image] = demo((320, 180))
    paths = tmp_path / "a.png", tmp_path / "mask.png"
    for path, picture in zip(paths, (image, Segmenter(device="cpu")(image)), strict=True):
        cv2.imwrite(str(path), picture)
    score = Score(Pair(*paths, source="a"), *[95.0] * 8)
    matting, exact = (DeviceMatting("live", "cpu", p) for p in (precision, "float32"))
    found = compare([score], matting, exact)
    assert found.iou_between_worst >= least
    assert found.iou_difference == found.iou_difference_worst
    if precision == "float32":
        assert found.alpha_difference == found.alpha_difference_mean == 0
    else:
        assert 0 < found.alpha_difference_mean < 2
        assert found.alpha_difference <= (24 if precision == "float16" else 128)


def test_eval_says_the_parity(tmp_path: Path) -> None:
    [image] = demo((320, 180))
    for part, picture in (("images", image), ("masks", Segmenter(device="cpu")(image))):
        (tmp_path / part).mkdir()
        cv2.imwrite(str(tmp_path / part / "a_1.png"), picture)
    command = ["eval", "--images", str(tmp_path / "images"), "--masks", str(tmp_path / "masks"),
               "--device", "cpu", "--precision", "float16"]  # fmt: skip
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 0, done.output
    assert "float16 beside float32: mean IoU " in done.output
    found = json.loads(CliRunner().invoke(cli, [*command, "--json"]).stdout)
    assert found["network"].endswith("float16")
    assert set(found["parity"]) == {
        "iou_difference", "iou_difference_worst", "iou_between_worst", "alpha_difference",
        "alpha_difference_mean",
    }  # fmt: skip
    assert abs(found["parity"]["iou_difference"]) < 1
    refused = CliRunner().invoke(cli, [*command, "--model", "mine.onnx"])
    assert "precision float16: mine.onnx is not livecut's own" in str(refused.exception)
    for more in (["--engine", "onnx"], ["--adapter", "a.toml"]):
        assert CliRunner().invoke(cli, [*command, *more]).exit_code == 2


def test_a_precision_needs_a_gpu() -> None:
    with pytest.raises(ConfigError, match="precision float16 is for PyTorch on an NVIDIA GPU"):
        open_cutter("live", background=open_background("blur", SIZE), device="cpu", engine="auto", threads=0,
                    temporal=False, in_flight=1, stats=Stats(), precision="float16")  # fmt: skip


def test_the_graph_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIVECUT_CUDA_GRAPH", raising=False)
    assert graph_wanted()
    for said, wanted in (("", True), ("1", True), ("0", False)):
        monkeypatch.setenv("LIVECUT_CUDA_GRAPH", said)
        assert graph_wanted() == wanted
    monkeypatch.setenv("LIVECUT_CUDA_GRAPH", "off")
    with pytest.raises(ConfigError, match="LIVECUT_CUDA_GRAPH is 'off'; expected 1 or 0"):
        graph_wanted()
