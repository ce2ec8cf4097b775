"""Which of the two processors runs, and how a GPU that is named and cannot be had is refused."""

from __future__ import annotations

import pytest

from livecut import EngineError, Pipeline
from livecut.hardware import nvidia
from livecut.models import Target
from livecut.processors import gpu_weights
from livecut.testing import ListSource, room_picture


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia, "driver_loads", lambda: True)


@pytest.fixture
def sees_gpu(driver: None, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.mark.usefixtures("sees_gpu")
@pytest.mark.parametrize("device", ["auto", "cuda", "cuda:1"])
@pytest.mark.parametrize("engine", ["auto", "torch"])
def test_a_gpu_does_all_of_it(device: str, engine: str) -> None:
    weights = gpu_weights(Target.parse("live", device, engine))
    assert weights is not None
    assert weights.name == "live.safetensors"


@pytest.mark.usefixtures("sees_gpu")
@pytest.mark.parametrize(
    ("model", "device", "engine"),
    [
        ("live", "cpu", "auto"),
        ("live", "cpu", "torch"),
        ("live", "cuda", "onnx"),
        ("mine.onnx", "cuda", "auto"),
        ("nosuch", "cuda", "auto"),
        ("live", "tensorrt", "auto"),
        ("live", "cuda", "another"),
    ],
)
def test_else_the_segmenter_does(model: str, device: str, engine: str) -> None:
    assert gpu_weights(Target.parse(model, device, engine)) is None


@pytest.mark.usefixtures("driver")
def test_not_where_pytorch_sees_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_weights(Target.parse("live")) is None


@pytest.mark.usefixtures("driver")
def test_not_where_pytorch_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livecut.processors.find_spec", lambda name: None)
    assert gpu_weights(Target.parse("live")) is None


@pytest.mark.parametrize("engine", ["auto", "onnx", "torch"])
def test_a_named_gpu_is_never_the_cpu(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if engine == "torch":
        pytest.importorskip("torch")
    monkeypatch.setattr(nvidia, "driver_loads", lambda: False)
    pipeline = Pipeline(ListSource([room_picture()]), device="cuda:7", engine=engine)
    with pytest.raises(EngineError, match=r"device cuda:7: .*--device cpu"):
        pipeline.run()
