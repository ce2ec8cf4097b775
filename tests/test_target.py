"""What a person writes of model, engine and device, parsed once."""

from __future__ import annotations

import pytest

from livecut import ConfigError, ModelError, Pipeline, Segmenter, SharedEngine
from livecut.models import Target, models_dir
from livecut.testing import ListSource, room_picture


@pytest.mark.parametrize(
    ("device", "kind", "number"),
    [
        ("auto", "auto", 0),
        ("cuda", "cuda", 0),
        ("cuda:0", "cuda", 0),
        ("directml:2", "directml", 2),
    ],
)
def test_devices_have_a_kind_and_some_a_number(device: str, kind: str, number: int) -> None:
    target = Target.parse("live", device)
    assert (target.kind, target.number) == (kind, number)
    assert target.device == device.removesuffix(":0")


@pytest.mark.parametrize(
    ("model", "engine", "shipped", "pytorch", "file"),
    [
        ("live", "auto", True, False, models_dir() / "live.onnx"),
        ("live", "onnx", True, False, models_dir() / "live.onnx"),
        ("live", "torch", True, True, models_dir() / "live.safetensors"),
        ("live", "another", True, False, models_dir() / "live.onnx"),
        (models_dir() / "live.onnx", "auto", False, False, models_dir() / "live.onnx"),
        (models_dir() / "live.onnx", "torch", False, True, models_dir() / "live.safetensors"),
        (models_dir() / "live.safetensors", "auto", False, True, models_dir() / "live.safetensors"),
        (models_dir() / "live.safetensors", "onnx", False, False, models_dir() / "live.onnx"),
        ("torchvision:x", "auto", False, True, None),
        ("nosuch", "auto", True, False, None),
    ],
)
def test_model_and_engine_say_which_file(
    model: str, engine: str, shipped: bool, pytorch: bool, file: object
) -> None:
    target = Target.parse(model, "auto", engine)
    assert (target.shipped, target.pytorch) == (shipped, pytorch)
    if file is None:
        with pytest.raises(ModelError, match="unknown model"):
            target.file()
    else:
        assert target.file() == file


def test_a_default_is_for_auto_alone() -> None:
    assert Target.parse("live").default_to("cuda").device == "cuda"
    assert Target.parse("live", "cuda:1").default_to("cpu").device == "cuda:1"


@pytest.mark.parametrize("opens", [Segmenter, SharedEngine])
def test_an_unknown_device_is_refused_at_the_border(opens: type) -> None:
    with pytest.raises(ConfigError, match="unknown device 'tpu'; expected one of: auto, cpu, cuda"):
        opens(device="tpu")


def test_a_pipeline_refuses_it_before_it_runs() -> None:
    with pytest.raises(ConfigError, match="unknown device 'cuda:x'"):
        Pipeline(ListSource([room_picture()]), device="cuda:x")
