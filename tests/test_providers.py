"""Devices by name are had or refused; and a GPU's place, with a runtime library that is a stand-in."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from click.testing import CliRunner

pytest.importorskip("onnx")

from livecut import ConfigError, EngineError, Segmenter
from livecut.backgrounds import open_background
from livecut.cli import cli
from livecut.compositor.ort import OrtCutter
from livecut.engines import nvidia, onnx, open_engine, providers, split
from livecut.engines.fixed import FixedEngine
from livecut.engines.places import Gpu, Host
from livecut.frame import Frame
from livecut.models import find_model
from tests.onnx_files import FakeRuntime, blueness
from tests.remote import SIZE, blank, frame, is_composite


def offer(monkeypatch: pytest.MonkeyPatch, *kinds: str) -> None:
    offered = [*(providers.PROVIDERS[kind] for kind in kinds), providers.CPU]
    monkeypatch.setattr(ort, "get_available_providers", lambda: offered)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has everything that CUDA and TensorRT need, as far as anyone asks."""
    offer(monkeypatch, "tensorrt", "cuda")
    monkeypatch.setattr(nvidia, "driver_loads", lambda: True)
    monkeypatch.setattr(onnx, "driver_loads", lambda: True)
    monkeypatch.setattr(nvidia, "tensorrt_version", lambda: "101600")
    monkeypatch.setattr(nvidia, "gpu_name", lambda number: "NVIDIA Fake 1")
    monkeypatch.setattr(providers, "provider_fault", lambda kind: "")


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "tensorrt", "coreml", "directml:2", "auto"])
def test_devices_have_names_and_some_have_numbers(device: str) -> None:
    kind, number = split(device)
    assert device in (kind, f"{kind}:{number}")


@pytest.mark.parametrize("device", ["tpu", "coreml:1", "cpu:0", "cuda:", "cuda:x", "auto:1", ""])
def test_what_is_no_device_is_refused(device: str) -> None:
    with pytest.raises(
        ConfigError, match=r"unknown device.*expected one of: auto, cpu, cuda, tens"
    ):
        open_engine("live", device=device)


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
        open_engine("live", device=device)


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
    with pytest.raises(ConfigError, match="tensorrt is ONNX Runtime's alone"):
        open_engine("live", device="tensorrt", engine="torch")


# a GPU's place


@pytest.fixture
def runtime(machine: None, monkeypatch: pytest.MonkeyPatch) -> FakeRuntime:
    """CUDA's library is a stand-in, and ONNX Runtime works on the CPU and says what it was asked."""
    fake = FakeRuntime()
    monkeypatch.setattr(nvidia, "_runtime", lambda: fake)
    monkeypatch.setattr(Gpu, "tensor", Host.tensor)
    monkeypatch.setattr(ort, "InferenceSession", Pretends)
    Pretends.asked.clear()
    Pretends.refuses = ""
    return fake


class Pretends(ort.InferenceSession):  # type: ignore[misc]
    """Runs on the CPU and calls it what was asked for first."""

    asked: list[Any] = []  # noqa: RUF012
    refuses = ""
    falls_back = False

    def __init__(self, model: Any, options: Any = None, providers: Any = ()) -> None:
        self.asked.append(providers)
        self._first = providers[0][0]
        if self.refuses and providers[0][1].get(self.refuses) == "1":
            raise RuntimeError("This session cannot use the graph capture feature")
        super().__init__(model, options, providers=["CPUExecutionProvider"])

    def get_providers(self) -> list[str]:
        return super().get_providers() if self.falls_back else [self._first]


def test_everything_is_on_one_stream_and_captured(runtime: FakeRuntime, tmp_path: Path) -> None:
    black, out = open_background("#000000", SIZE), blank()
    made = OrtCutter(
        blueness(tmp_path / "a.onnx"), Gpu("cuda:3"), black, temporal=True, in_flight=2
    )
    for index in range(4):
        made.compose(black, made.cut(frame(index)), out)
        assert is_composite(out, index)
    asked = dict(Pretends.asked[-1])
    options = asked["CUDAExecutionProvider"]
    assert options["device_id"] == 3
    assert options["enable_cuda_graph"] == options["cudnn_conv_use_max_workspace"] == "1"
    assert int(options["user_compute_stream"]) != 0
    assert options["use_tf32"] == "0"
    assert made.description.endswith("on CUDA (NVIDIA Fake 1), float16, as one CUDA graph")


def test_nothing_is_collected_while_a_graph_is_captured(
    runtime: FakeRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, run = list[bool](), Gpu.run

    def spied(*given: Any) -> None:
        seen.append(gc.isenabled())
        run(*given)

    monkeypatch.setattr(Gpu, "run", spied)
    engine = open_engine(blueness(tmp_path / "a.onnx"), device="cuda")
    engine.run()
    assert seen.count(False) % 3 == 0
    assert not seen[0]
    assert seen[-1]
    assert gc.isenabled()


def test_a_frame_allocates_nothing_and_copies_once_each_way(
    runtime: FakeRuntime, tmp_path: Path
) -> None:
    made = OrtCutter(
        blueness(tmp_path / "a.onnx"), Gpu("cuda"), open_background("blur", SIZE), temporal=True
    )
    made.cut(frame(0))
    before, sessions = dict(runtime.calls), len(Pretends.asked)
    for index in range(1, 6):
        made.cut(frame(index))
    spent = {name: n - before.get(name, 0) for name, n in runtime.calls.items()}
    used = {name: n for name, n in spent.items() if n}
    assert used.keys() == {"cudaMemcpyAsync", "cudaEventRecord", "cudaEventSynchronize"}
    assert used["cudaMemcpyAsync"] == 5 * 4, "the frame, the composite, and two small ones on it"
    assert used["cudaEventRecord"] == 5
    assert len(Pretends.asked) == sessions


def test_where_capture_is_refused_it_goes_without_and_says_so(
    runtime: FakeRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pretends, "refuses", "enable_cuda_graph")
    engine = FixedEngine(blueness(tmp_path / "a.onnx"), Gpu("cuda"))
    assert "CUDA graph" not in engine.description
    assert "on CUDA" in engine.description


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_fall_back_is_an_error(
    runtime: FakeRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(Pretends, "falls_back", True)
    with pytest.raises(EngineError, match=f"device {device}: .*would run on the CPU"):
        open_engine(blueness(tmp_path / "a.onnx"), device=device)
    said = open_engine(find_model("live"), device="auto").description
    assert "on the CPU" in said
    assert "(no CUDA: device cuda: ONNX Runtime" in said


@pytest.mark.parametrize(
    "call",
    ["cudaSetDevice", "cudaStreamCreateWithFlags", "cudaMallocHost", "cudaEventCreateWithFlags"],
)
def test_what_cuda_refuses_at_the_start_is_said(
    runtime: FakeRuntime, tmp_path: Path, call: str
) -> None:
    runtime.broken = {call}
    with pytest.raises(EngineError, match=f"the GPU failed: out of memory \\({call}\\)"):
        open_engine(blueness(tmp_path / "a.onnx"), device="cuda")


@pytest.mark.parametrize("call", ["cudaMemcpyAsync", "cudaEventRecord", "cudaEventSynchronize"])
def test_what_cuda_refuses_at_a_frame_gives_none_and_the_next_goes_on(
    runtime: FakeRuntime, tmp_path: Path, call: str
) -> None:
    black, out = open_background("#000000", SIZE), blank()
    made = OrtCutter(blueness(tmp_path / "a.onnx"), Gpu("cuda"), black, temporal=True)
    made.cut(frame(0))
    runtime.broken = {call}
    with pytest.raises(EngineError, match="the GPU failed"):
        made.cut(frame(1))
    with pytest.raises(EngineError):
        made.compose(black, made.cut(frame(1)), out)
    assert not out.any()
    runtime.broken = set()
    made.compose(black, made.cut(frame(2)), out)
    assert is_composite(out, 2)


def test_pinned_memory_is_given_back_and_not_before(runtime: FakeRuntime) -> None:
    stream = nvidia.Stream(0)
    view = stream.pinned(64)[8:16].view(np.int64)
    gc.collect()
    assert runtime.held
    view[0] = 5
    del view
    gc.collect()
    assert not runtime.held


def test_a_stream_outlives_whatever_runs_on_it(runtime: FakeRuntime, tmp_path: Path) -> None:
    """On a GPU a session that ended after its stream, as the garbage collector may end them, crashed."""
    engine: Any = open_engine(blueness(tmp_path / "a.onnx"), device="cuda")
    engine.itself = engine
    assert runtime.calls["cudaStreamCreateWithFlags"]
    del engine
    gc.collect()
    assert "cudaStreamDestroy" not in runtime.calls


# TensorRT


def test_tensorrt_builds_once_and_says_so(
    runtime: FakeRuntime,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    path = blueness(tmp_path / "a.onnx")
    engine = open_engine(path, device="tensorrt")
    assert "on TensorRT (NVIDIA Fake 1)" in engine.description
    said = capsys.readouterr().err
    assert (
        said.count("building the TensorRT engine for NVIDIA Fake 1; this takes minutes, once") == 1
    )
    (name, options), cuda, _ = Pretends.asked[-1]
    assert (name, cuda[0]) == ("TensorrtExecutionProvider", "CUDAExecutionProvider")
    assert options["user_compute_stream"] == cuda[1]["user_compute_stream"]
    folder = Path(options["trt_engine_cache_path"])
    assert folder.is_dir()
    assert tmp_path in folder.parents
    (folder / "built.engine").touch()
    open_engine(path, device="tensorrt")
    assert capsys.readouterr().err == ""


def test_an_engine_is_for_its_own_circumstances_alone(
    machine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [providers.engine_folder(b"model", 0), providers.engine_folder(b"other", 0)]
    for where, what in (
        (nvidia, "gpu_name"),
        (nvidia, "tensorrt_version"),
        (nvidia, "driver_version"),
    ):
        monkeypatch.setattr(where, what, lambda *_: "another")
        found.append(providers.engine_folder(b"model", 0))
    monkeypatch.setattr(ort, "__version__", "9.9")
    found.append(providers.engine_folder(b"model", 0))
    assert len(set(found)) == len(found)
    assert providers.engine_folder(b"model", 0) == found[-1]


@pytest.mark.parametrize("device", ["coreml", "directml:1"])
def test_the_others_run_the_network_with_the_hosts_buffers(
    device: str, runtime: FakeRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, "coreml", "directml")
    segmenter = Segmenter(blueness(tmp_path / "a.onnx"), device=device)
    assert ("CoreML" if device == "coreml" else "DirectML") in segmenter.description
    alpha = segmenter.cut(Frame(frame(1).image, 0, 0.0, 0.0)).alpha
    assert alpha.any()
    assert Pretends.asked[-1][0][1].get("device_id", 0) == split(device)[1]
    assert not runtime.calls
