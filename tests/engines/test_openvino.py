"""OpenVINO's engine: ONNX Runtime's alpha, strict devices, and not a word to anybody."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from livecut import EngineError, ModelError
from livecut.engines import openvino
from livecut.engines.onnx import OnnxEngine
from livecut.engines.openvino import OpenVinoEngine, find_device
from livecut.models import find_model, in_bytes

pytest.importorskip("openvino")
PORTRAIT = Path(__file__).parent.parent / "golden" / "portrait.jpg"
ALONE = """
import sys
opened = []
def hook(event, args):
    if event.startswith(("socket.", "subprocess.", "os.fork", "os.posix_spawn", "os.exec")):
        opened.append(event)
sys.addaudithook(hook)
from livecut.engines.openvino import OpenVinoEngine
from livecut.models import find_model
engine = OpenVinoEngine(find_model("fast"), threads=1)
engine.resize(208, 112)
engine.run()
assert not opened, opened
assert not any(name.startswith("openvino_telemetry.") for name in sys.modules)
print(engine.description)
"""
"""A process that runs a network, and fails if Python opens a socket or starts another process."""


@pytest.fixture(autouse=True)
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def portrait(width: int, height: int) -> Any:
    image = cv2.imread(str(PORTRAIT))
    assert image is not None
    wide = min(image.shape[1], image.shape[0] * width // height)
    high, left = wide * height // width, (image.shape[1] - wide) // 2
    image = image[:high, left : left + wide]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def alpha_of(engine: Any, width: int, height: int) -> Any:
    engine.resize(width, height)
    engine.input[...] = portrait(width, height)
    engine.output.fill(np.nan)
    engine.run()
    return engine.output.copy()


@pytest.mark.parametrize("size", [(288, 160), (160, 288), (208, 224), (16, 16)])
@pytest.mark.parametrize(
    ("model", "precision", "most", "mean"),
    [
        (find_model("live"), "float32", 1e-4, 1e-5),
        (find_model("live"), "bfloat16", 0.3, 0.012),
        (in_bytes(find_model("live")), "auto", 0.3, 0.012),
        (in_bytes(find_model("fast")), "auto", 0.4, 0.012),
    ],
)
def test_the_same_alpha_as_of_onnx_runtime(
    model: Path, precision: str, most: float, mean: float, size: tuple[int, int]
) -> None:
    """int8 is compared with int8: the two round some sums differently."""
    onnx = alpha_of(OnnxEngine(model, threads=1), *size)
    alpha = alpha_of(OpenVinoEngine(model, precision=precision, threads=1), *size)
    difference = np.abs(alpha - onnx)
    assert alpha.shape == (size[1] // 2, size[0] // 2)
    assert difference.max() < most
    assert difference.mean() < mean


def test_a_batch_has_each_pictures_alpha() -> None:
    engine = OpenVinoEngine(find_model("fast"), precision="float32", threads=1)
    single = alpha_of(engine, 208, 112)
    batch = engine.batch(3, 208, 112)
    batch.input[1] = portrait(208, 112)
    batch.run()
    assert np.abs(batch.output[1] - single).max() < 1e-4
    assert np.abs(batch.output[0] - single).max() > 0.1


def test_a_run_allocates_nothing_that_stays() -> None:
    engine = OpenVinoEngine(find_model("fast"), threads=1)
    engine.resize(208, 112)
    for _ in range(5):
        engine.run()
    tracemalloc.start()
    before = tracemalloc.take_snapshot()
    output, at = engine.output, engine.output.ctypes.data
    for _ in range(50):
        engine.run()
    grown = sum(d.size_diff for d in tracemalloc.take_snapshot().compare_to(before, "filename"))
    tracemalloc.stop()
    assert grown < 4096
    assert engine.output is output
    assert engine.output.ctypes.data == at


def environment(cache: Path) -> dict[str, str]:
    home = {"HOME": str(cache / "home"), "XDG_CACHE_HOME": str(cache)}
    root = str(Path(__file__).parents[2])
    return os.environ | home | {"PYTHONPATH": root, "PYTHONDONTWRITEBYTECODE": "1"}


def test_python_opens_no_socket_and_starts_no_process(cache_home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE],
        env=environment(cache_home),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("OpenVINO ")


def test_the_system_is_asked_for_no_socket(cache_home: Path, tmp_path: Path) -> None:
    """Neither by the process, nor by its libraries, nor by any child of it."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    log = tmp_path / "calls"
    done = subprocess.run(
        [strace, "-f", "-qq", "-e", "trace=network,execve", "-o", log, sys.executable, "-c", ALONE],
        env=environment(cache_home),
        capture_output=True,
        text=True,
        timeout=120,
    )
    if "ptrace" in done.stderr and done.returncode:
        pytest.skip("this system lets no process trace another")
    assert done.returncode == 0, done.stderr
    calls = [line.split(maxsplit=1)[1] for line in log.read_text().splitlines()]
    assert sum(call.startswith("execve(") for call in calls) == 1, "the process alone"
    assert not [c for c in calls if c.startswith(("socket", "connect", "send"))]


def test_a_compiled_network_is_kept_and_used(
    cache_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = in_bytes(find_model("fast"))
    first = alpha_of(OpenVinoEngine(model, threads=1), 208, 112)
    [file] = (cache_home / "livecut" / "openvino").iterdir()
    again = OpenVinoEngine(model, threads=1)
    monkeypatch.setattr(again, "_core", SimpleNamespace(import_model=openvino.start().import_model))
    assert (alpha_of(again, 208, 112) == first).all(), "without reading the model"
    data = file.read_bytes()
    damaged = data[: len(data) // 2] + bytes(64) + data[len(data) // 2 + 64 :]
    for bad in (b"", data[:1000], damaged):
        file.write_bytes(bad)
        assert (alpha_of(OpenVinoEngine(model, threads=1), 208, 112) == first).all()
        assert openvino.read_kept(file) is not None, "it is written anew"


def test_a_cache_that_cannot_be_written_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/cache")
    engine = OpenVinoEngine(find_model("fast"), threads=1)
    assert alpha_of(engine, 208, 112).max() > 0.9


def test_the_cache_keeps_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "KEPT", 2)
    for number in range(4):
        openvino.keep(tmp_path / "kept" / str(number), b"x")
        os.utime(tmp_path / "kept" / str(number), (number, number))
    openvino.keep(tmp_path / "kept" / "4", b"x")
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["3", "4"]


@pytest.mark.parametrize(
    ("device", "match"),
    [
        ("gpu", "device gpu: OpenVINO .* sees no GPU of Intel's .* install Intel's graphics"),
        ("npu", "device npu: OpenVINO .* sees no NPU of Intel's .* install Intel's NPU driver"),
        ("gpu:1", r"device gpu:1: OpenVINO .* take --device cpu"),
        ("cuda", "device cuda is not OpenVINO's; it runs on: cpu, gpu, npu"),
    ],
)
def test_a_device_that_is_named_is_available_or_an_error(
    device: str, match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "start", lambda: SimpleNamespace(available_devices=["CPU"]))
    with pytest.raises(EngineError, match=match):
        find_device(device)


def test_devices_of_one_kind_count_from_0(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = ["CPU", "GPU.0", "GPU.1"]
    monkeypatch.setattr(openvino, "start", lambda: SimpleNamespace(available_devices=devices))
    assert find_device("gpu") == "GPU.0"
    assert find_device("gpu:1") == "GPU.1"
    with pytest.raises(EngineError, match="sees 2 of this kind"):
        find_device("gpu:2")


def test_what_would_run_elsewhere_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    real = openvino.start()

    class Elsewhere:
        """A core with a GPU whose work the CPU does."""

        available_devices = ("CPU", "GPU")
        read_model = staticmethod(real.read_model)

        def get_property(self, device: str, name: str) -> Any:
            return {"OPTIMIZATION_CAPABILITIES": ["FP16"], "FULL_DEVICE_NAME": "fake"}[name]

        def compile_model(self, model: Any, device: str, config: Any) -> Any:
            assert device == "GPU"
            assert config["INFERENCE_PRECISION_HINT"] == "f16"
            return SimpleNamespace(get_property=lambda name: ["CPU"])

    monkeypatch.setattr(openvino, "start", Elsewhere)
    engine = OpenVinoEngine(find_model("fast"), device="gpu")
    assert engine.description.endswith("on GPU (fake), float16")
    with pytest.raises(EngineError, match="on CPU in place of GPU"):
        engine.resize(208, 112)


def test_refuses_files_that_are_no_network(tmp_path: Path) -> None:
    text = tmp_path / "text.onnx"
    text.write_text("hello")
    with pytest.raises(ModelError, match="cannot be loaded"):
        OpenVinoEngine(text)
    cut = tmp_path / "cut.onnx"
    whole = find_model("fast").read_bytes()
    cut.write_bytes(whole[:-100])
    with pytest.raises(ModelError):
        OpenVinoEngine(cut).resize(208, 112)


def test_without_openvino_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EngineError, match="pip install openvino"):
        openvino.load()
