"""Devices by name are available or refused; ONNX Runtime on the CPU stands in for them."""

from __future__ import annotations

import ctypes
import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from click.testing import CliRunner

from livecut import ConfigError, EngineError, Pipeline, Segmenter
from livecut.commands.main import cli
from livecut.engines import onnx, open_engine, providers
from livecut.engines.base import MAX_BATCH
from livecut.engines.onnx import FixedEngine, OnnxBatch, OnnxEngine
from livecut.frame import Frame, Image
from livecut.hardware import nvidia
from livecut.models import Target, find_model, model_names
from livecut.testing import ListSource, Recorder
from tests.remote import demo, iou

SIZE = (320, 180)


CPU = Target("live", kind="cpu")


def noise(*shape: int) -> Image:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def offer(monkeypatch: pytest.MonkeyPatch, *kinds: str) -> None:
    offered = [*(providers.PROVIDERS[kind] for kind in kinds), providers.CPU]
    monkeypatch.setattr(ort, "get_available_providers", lambda: offered)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has everything that CUDA and TensorRT need, as far as anyone asks."""
    offer(monkeypatch, "tensorrt", "cuda")
    monkeypatch.setattr(nvidia, "driver_loads", lambda: True)
    monkeypatch.setattr(nvidia, "tensorrt_version", lambda: "101600")
    monkeypatch.setattr(nvidia, "gpu_name", lambda number: "NVIDIA Fake 1")
    monkeypatch.setattr(providers, "provider_fault", lambda kind: "")


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "tensorrt", "coreml", "directml:2", "auto"])
def test_devices_have_names_and_some_have_numbers(device: str) -> None:
    assert Target.parse("live", device).device == device


@pytest.mark.parametrize("device", ["tpu", "coreml:1", "cpu:0", "cuda:", "cuda:x", "auto:1", ""])
def test_what_is_no_device_is_refused(device: str) -> None:
    with pytest.raises(
        ConfigError, match=r"unknown device.*expected one of: auto, cpu, cuda, tens"
    ):
        open_engine(Target.parse("live", device))


@pytest.mark.parametrize(
    ("device", "package"),
    [
        ("cuda", "onnxruntime-gpu"),
        ("tensorrt", "onnxruntime-gpu"),
        ("coreml", "onnxruntime, on macOS"),
        ("directml", "onnxruntime-directml"),
    ],
)
def test_the_wrong_build_is_named_and_the_right_one(
    device: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch)
    with pytest.raises(EngineError, match=f"device {device}: .*built without.*{package}"):
        open_engine(Target.parse("live", device))


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("driver", "no NVIDIA driver"),
        ("libcurand", r"libcurand.so.10: cannot open.*missing are: curand.*pip install"),
        ("tensorrt", "libnvinfer.*pip install tensorrt"),
    ],
)
def test_what_is_missing_is_said(
    device: str, missing: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing == "driver":
        monkeypatch.setattr(nvidia, "driver_loads", lambda: False)
    elif missing == "libcurand":
        fault = "libcurand.so.10: cannot open shared object file"
        monkeypatch.setattr(providers, "provider_fault", lambda kind: fault)
        monkeypatch.setattr(nvidia, "missing_libraries", lambda: ["curand"])
    elif device == "cuda":
        pytest.skip("CUDA does without TensorRT")
    else:
        monkeypatch.setattr(nvidia, "tensorrt_version", lambda: "")
    with pytest.raises(EngineError, match=f"device {device}: .*{said}") as raised:
        Segmenter(device=device, engine="onnx")
    assert "--device cpu" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_command_line_says_it_in_one_line() -> None:
    done = CliRunner().invoke(cli, ["run", "demo", "-o", "null", "--device", "directml"])
    assert isinstance(done.exception, EngineError)
    assert "onnxruntime-directml" in str(done.exception)


def test_pytorch_has_not_what_is_onnx_runtimes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="PyTorch does not run on device tensorrt"):
        open_engine(Target.parse("live", "tensorrt", "torch"))


# the network at a fixed size


@pytest.mark.parametrize("name", model_names())
@pytest.mark.parametrize(("count", "size"), [(1, (288, 160)), (1, (112, 208)), (3, (256, 144))])
def test_with_fixed_shapes_alpha_is_the_same(name: str, count: int, size: tuple[int, int]) -> None:
    engines = FixedEngine(find_model(name), CPU), OnnxEngine(find_model(name), threads=1)
    fixed, opened = (engine.batch(count, *size) for engine in engines)
    for level in (0, 1):
        for batch in (fixed, opened):
            batch.input[:] = noise(*batch.input.shape) >> level
            batch.run()
        assert np.abs(fixed.output - opened.output).max() < 1e-5
    assert fixed._session.get_inputs()[0].shape == [count, *size[::-1], 3], "no side is open"


def test_an_alpha_in_float16_is_taken(tmp_path: Path) -> None:
    library = pytest.importorskip("onnx")
    model = library.load(find_model("live"))
    [alpha], half_type = model.graph.output, library.TensorProto.FLOAT16
    cast = library.helper.make_node("Cast", [alpha.name], ["half"], to=half_type)
    model.graph.node.append(cast)
    alpha.name, alpha.type.tensor_type.elem_type = "half", half_type
    path = tmp_path / "half.onnx"
    library.save(model, path)
    half, exact = FixedEngine(path, CPU), FixedEngine(find_model("live"), CPU)
    assert half.description == exact.description + ", float16"
    for engine in (half, exact):
        engine.resize(256, 144)
        engine.input[:] = demo((256, 144))[0]
        engine.run()
    assert exact.output.max() > 0.9
    assert half.output.dtype == np.float32
    assert 0 < np.abs(half.output - exact.output).max() <= 2**-12


class CopiesWhenBound:
    """A session as DirectML's: a run sees the input that was there when it was bound."""

    def __init__(self) -> None:
        self.seen = self.alpha = np.zeros(0)

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="image")]

    def get_outputs(self) -> list[Any]:
        return [SimpleNamespace(name="alpha", type="tensor(float)")]

    def io_binding(self) -> CopiesWhenBound:
        return self

    def bind_ortvalue_input(self, name: str, value: Any) -> None:
        self.seen = value.numpy().copy()

    def bind_ortvalue_output(self, name: str, value: Any) -> None:
        self.alpha = value.numpy()

    def run_with_iobinding(self, binding: Any) -> None:
        self.alpha[:] = self.seen[:, ::2, ::2, 0]


def test_each_run_sees_its_own_picture() -> None:
    batch = OnnxBatch(CopiesWhenBound(), 1, 32, 16, 2, ("cpu", 0))
    for level in (3, 7):
        batch.input[:] = level
        batch.run()
        assert (batch.output == level).all()


def test_neither_torch_nor_onnx_is_loaded() -> None:
    code = """
import sys
from livecut.engines.onnx import FixedEngine
from livecut.models import Target, find_model
FixedEngine(find_model("live"), Target("live", kind="cpu")).run()
assert not {"torch", "onnx", "torchvision"} & sys.modules.keys()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# on a device, in the place of which ONNX Runtime works on the CPU


@pytest.fixture
def pretends(machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx, "memory_of", lambda target: ("cpu", 0))
    monkeypatch.setattr(ort, "InferenceSession", Pretends)
    Pretends.asked.clear()


class Pretends(ort.InferenceSession):  # type: ignore[misc]
    """Runs on the CPU and calls it what was asked for first."""

    asked: list[Any] = []  # noqa: RUF012
    falls_back = False
    broken = False

    def __init__(self, model: Any, options: Any = None, providers: Any = ()) -> None:
        self.asked.append(providers)
        self._first = providers[0][0]
        super().__init__(model, options, providers=["CPUExecutionProvider"])

    def get_providers(self) -> list[str]:
        return super().get_providers() if self.falls_back else [self._first]

    def run_with_iobinding(self, *given: Any) -> None:
        if self.broken:
            raise RuntimeError("CUDA failure 2: out of memory")
        super().run_with_iobinding(*given)


def test_the_networks_memory_is_the_gpus() -> None:
    for device, memory in (
        ("cuda:1", ("cuda", 1)),
        ("tensorrt:1", ("cuda", 1)),
        ("directml:1", ("cpu", 0)),
        ("coreml", ("cpu", 0)),
    ):
        assert providers.memory_of(Target.parse("live", device)) == memory


@pytest.mark.usefixtures("pretends")
@pytest.mark.parametrize(("device", "number"), [("cuda:3", 3), ("auto", 0)])
def test_a_run_without_pytorch_has_the_network_on_the_gpu(
    device: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the rest of the frame on the CPU, by the Segmenter."""
    monkeypatch.setattr("livecut.processors.find_spec", lambda name: None)
    recorder, images, alone = Recorder(), demo(SIZE, 3), Recorder()
    pipeline = Pipeline(ListSource(images), "blur", [recorder], device=device)
    pipeline.run()
    assert pipeline.description.endswith("on CUDA (NVIDIA Fake 1)")
    assert ("CUDAExecutionProvider", {"device_id": number}) in Pretends.asked[-1]
    path = str(find_model("live"))
    Pipeline(ListSource(images), "blur", [alone], model=path, device="cpu").run()
    assert [o.index for o in recorder.frames] == [0, 1, 2]
    for got, expected in zip(recorder.frames, alone.frames, strict=True):
        assert np.abs(got.image.astype(int) - expected.image).mean() < 0.1


@pytest.mark.usefixtures("pretends")
def test_a_size_has_one_session_and_a_frame_none() -> None:
    segmenter = Segmenter("live", device="cuda")
    segmenter(noise(180, 320, 3))
    before = len(Pretends.asked)
    for _ in range(3):
        segmenter(noise(180, 320, 3))
    assert len(Pretends.asked) == before
    segmenter(noise(320, 180, 3))
    assert len(Pretends.asked) == before + 1


@pytest.mark.usefixtures("pretends")
def test_what_breaks_at_a_frame_gives_no_alpha_and_the_next_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    segmenter, [image] = Segmenter("live", device="cuda", temporal=True), demo(SIZE)
    expected = segmenter.cut(Frame(image, 0, 0.0, 0.0)).alpha
    monkeypatch.setattr(Pretends, "broken", True)
    with pytest.raises(EngineError, match="the network failed: CUDA failure 2: out of memory"):
        segmenter.cut(Frame(image, 1, 0.0, 0.0))
    monkeypatch.setattr(Pretends, "broken", False)
    assert iou(segmenter.cut(Frame(image, 2, 0.0, 0.0)).alpha, expected) > 0.99


@pytest.mark.usefixtures("pretends")
@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_fall_back_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(Pretends, "falls_back", True)
    with pytest.raises(EngineError, match=f"device {device}: .*would run on the CPU"):
        open_engine(Target.parse("live", device, "onnx"))
    said = open_engine(Target.parse(find_model("live"), "auto")).description
    assert "on the CPU" in said
    assert "(no CUDA: device cuda: ONNX Runtime" in said


@pytest.mark.usefixtures("machine")
def test_memory_that_the_gpu_has_not_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("CUDA failure 2: out of memory")

    monkeypatch.setattr(ort, "InferenceSession", Pretends)
    monkeypatch.setattr(ort.OrtValue, "ortvalue_from_shape_and_type", full)
    with pytest.raises(
        EngineError, match=r"device cuda: .*cannot run the network there: CUDA fail"
    ):
        open_engine(Target.parse("live", "cuda", "onnx"))


@pytest.mark.usefixtures("pretends")
def test_batches_are_for_cuda_and_for_networks_that_take_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = pytest.importorskip("onnx")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model = library.load(find_model("live"))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    single = tmp_path / "single.onnx"
    library.save(model, single)
    for path, device, max_batch in (
        (find_model("live"), "cuda", MAX_BATCH),
        (find_model("live"), "tensorrt", 1),
        (single, "cuda", 1),
    ):
        assert open_engine(Target.parse(path, device)).max_batch == max_batch


@pytest.mark.parametrize("device", ["coreml", "directml:1"])
def test_the_others_run_the_network_too(
    device: str, pretends: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, "coreml", "directml")
    segmenter = Segmenter("live", device=device)
    assert ("CoreML" if device == "coreml" else "DirectML") in segmenter.description
    [image] = demo(SIZE)
    alpha = segmenter(image)
    assert Pretends.asked[-1][0][1].get("device_id", 0) == Target.parse("live", device).number
    assert iou(alpha, Segmenter(find_model("live"), device="cpu")(image)) > 0.999


# TensorRT


def test_tensorrt_builds_once_and_says_so(
    pretends: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    caplog.set_level(logging.WARNING, "livecut")
    engine = open_engine(Target.parse(find_model("live"), "tensorrt"))
    assert "on TensorRT (NVIDIA Fake 1)" in engine.description
    said = "building the TensorRT engine for NVIDIA Fake 1; this takes minutes, once"
    assert caplog.messages == [said]
    (name, options), cuda, _ = Pretends.asked[-1]
    assert (name, cuda[0]) == ("TensorrtExecutionProvider", "CUDAExecutionProvider")
    assert options["trt_fp16_enable"] == "0", "the file is in float32"
    folder = Path(options["trt_engine_cache_path"])
    assert folder.is_dir()
    assert tmp_path in folder.parents
    (folder / "built.engine").touch()
    engine = open_engine(Target.parse(find_model("live"), "tensorrt"))
    assert caplog.messages == [said]
    engine.resize(288, 160)
    assert caplog.messages == [said, said], "an engine is for one size"
    assert (
        providers.asked_for(Target.parse("live", "tensorrt"), half=True)[0][1]["trt_fp16_enable"]
        == "1"
    )


def test_an_engine_is_for_its_own_circumstances_alone(
    machine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def folder(model: bytes = b"model", shape: tuple[int, ...] = (1, 16, 32, 3)) -> Path:
        return providers.engine_folder(model, shape, 0)

    found = [folder(), folder(b"other"), folder(shape=(1, 32, 16, 3))]
    for where, what in (
        (nvidia, "gpu_name"),
        (nvidia, "tensorrt_version"),
        (nvidia, "driver_version"),
    ):
        monkeypatch.setattr(where, what, lambda *_: "another")
        found.append(folder())
    monkeypatch.setattr(ort, "__version__", "9.9")
    found.append(folder())
    assert len(set(found)) == len(found)
    assert folder() == found[-1]


# with a GPU


def free_memory() -> int:
    """Bytes that are free in the GPU's memory."""
    cudart = next(filter(None, (nvidia._load("cudart", n) for n in range(14, 8, -1))))
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    assert cudart.cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total)) == 0
    return free.value


@pytest.mark.gpu
@pytest.mark.skipif(not nvidia.driver_loads(), reason="no NVIDIA driver here")
@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_gpu_gives_what_the_cpu_gives(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if device == "tensorrt":
        pytest.importorskip("tensorrt_libs")
    made = Segmenter(device=device, engine="onnx", temporal=True)
    expected = Segmenter(find_model("live"), device="cpu", temporal=True)
    assert isinstance(made._engine, FixedEngine)
    for index, image in enumerate(demo((1280, 720), 3)):
        one, other = (s.cut(Frame(image, index, 0.0, 0.0)).alpha for s in (made, expected))
        assert iou(one, other) > 0.995
        assert np.abs(one.astype(int) - other).mean() <= 0.6


@pytest.mark.gpu
@pytest.mark.skipif(not nvidia.driver_loads(), reason="no NVIDIA driver here")
def test_gpu_frames_allocate_nothing() -> None:
    made, [image] = Segmenter(device="cuda", engine="onnx"), demo((1280, 720))
    for _ in range(5):
        made(image)
    before = free_memory()
    for _ in range(100):
        made(image)
    assert free_memory() == before
