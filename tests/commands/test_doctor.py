"""What `livecut doctor` says of machines that have this and lack that."""

from __future__ import annotations

import errno
import sys

import pytest
from click.testing import CliRunner

import livecut
from livecut.commands import doctor
from livecut.commands.doctor import Finding
from livecut.commands.main import cli
from livecut.engines import choice
from livecut.errors import EngineError
from livecut.hardware import nvidia, v4l2


def device(path: str, **facts: object) -> v4l2.Device:
    usual = {"card": "C920", "driver": "uvcvideo", "bus": "usb", "capture": True, "output": False}
    return v4l2.Device(path, **usual | facts)  # type: ignore[arg-type]


def by_name(found: list[Finding]) -> dict[str, Finding]:
    return {finding.what: finding for finding in found}


def test_reports_this_machine_and_exits_0() -> None:
    done = CliRunner().invoke(cli, ["doctor"])
    assert done.exit_code == 0, done.output
    lines = {line[:20].strip(): line[21:] for line in done.output.splitlines() if line[0] != " "}
    assert lines["livecut"] == livecut.__version__
    assert "FFmpeg" in lines["PyAV"]
    assert " on the CPU, " in lines["the CPU"]
    times = {what: found for what, found in lines.items() if " ms a picture of live" in found}
    assert all(":" in what for what in times)
    assert sum("which auto takes" in found for found in times.values()) == 1
    assert "model                live.onnx" in done.output
    assert {"NVIDIA driver", "auto chooses", "window", "OpenCV", "numba"} <= lines.keys()


def test_a_library_that_cannot_be_imported_breaks_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    done = CliRunner().invoke(cli, ["doctor"])
    assert done.exit_code == 1
    assert "PyAV                 cannot be imported" in done.output
    assert "-> pip install" in done.output
    assert "the CPU" not in done.output, "what needs it is not tried"


def test_a_network_that_fails_breaks_the_cpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise EngineError("the network broke")

    monkeypatch.setattr("livecut.processors.open_processor", fail)
    assert doctor.trial("the CPU", "cpu").broken
    auto = doctor.trial("auto chooses", "auto")
    assert not auto.broken
    assert "the network broke" in auto.found
    assert auto.advice


@pytest.mark.parametrize(
    ("there", "builds", "said", "advice", "broken"),
    [
        ({"openvino"}, ["openvino"], ["2026.1", "not installed"], "", False),
        ({"onnx"}, ["onnxruntime"], ["not installed", "2026.1"], "", False),
        (set(), [], ["not installed", "not installed"], "pip install openvino", True),
        (
            {"onnx"},
            ["onnxruntime", "onnxruntime-gpu"],
            ["not installed", "installed 2 times: onnxruntime, onnxruntime-gpu"],
            "pip uninstall onnxruntime onnxruntime-gpu",
            False,
        ),
    ],
)
def test_names_the_engines(
    there: set[str],
    builds: list[str],
    said: list[str],
    advice: str,
    broken: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(choice, "installed", lambda engine: engine in there)
    monkeypatch.setattr(choice, "versions", lambda: dict.fromkeys(builds, "2026.1"))
    found = list(doctor.runtimes())
    assert [finding.found for finding in found] == said
    assert advice in "".join(finding.advice for finding in found)
    assert any(finding.broken for finding in found) == broken


def test_engines_that_fail_are_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    timings = [choice.Timing("openvino:int8", None, "broke"), choice.Timing("onnx:int8", 2.0)]
    monkeypatch.setattr(choice, "survey", lambda path: timings)
    assert [f.found for f in doctor.speeds()] == [
        "fails: broke",
        "2.00 ms a picture of live, the fastest, which auto takes",
    ]


def test_a_missing_model_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "model_names", list)
    [finding] = doctor.models()
    assert finding.broken
    assert "live is missing" in finding.found


def test_missing_cuda_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia, "cuda_of_driver", lambda: "13.0")
    monkeypatch.setattr(
        nvidia, "_load", lambda name, version: None if name == "curand" else object()
    )
    monkeypatch.setattr(
        "onnxruntime.get_available_providers",
        lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    monkeypatch.setattr(
        "livecut.engines.providers.provider_fault", lambda kind: "libcurand.so.10: not found"
    )
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    found = by_name(list(doctor.gpu()))
    assert found["NVIDIA driver"] == Finding("NVIDIA driver", "loads, for CUDA 13.0")
    assert found["ONNX Runtime offers"].found == "CUDA, CPU"
    assert found["CUDA libraries"].found == "no curand"
    assert "livecut[cuda]" in found["CUDA libraries"].advice
    assert found["ONNX Runtime on CUDA"].found == "libcurand.so.10: not found"
    assert found["PyTorch"].found.startswith("not installed")
    assert not any(finding.broken for finding in found.values())


@pytest.mark.parametrize(
    ("driver", "description", "expected"),
    [
        (False, "ONNX Runtime 1 on the CPU", "no NVIDIA driver"),
        (True, "PyTorch 2 on a GPU", "sees the GPU"),
        (True, "ONNX Runtime 1 on CUDA (A GPU)", "ONNX Runtime runs the network there"),
        (True, "ONNX Runtime 1 on the CPU (no CUDA: a fault)", "neither PyTorch nor"),
    ],
)
def test_says_why_auto_chose(
    monkeypatch: pytest.MonkeyPatch, driver: bool, description: str, expected: str
) -> None:
    monkeypatch.setattr(nvidia, "driver_loads", lambda: driver)
    assert expected in doctor.reason(description)


@pytest.mark.skipif(sys.platform != "linux", reason="Video4Linux")
def test_lists_cameras_and_loopbacks(monkeypatch: pytest.MonkeyPatch) -> None:
    loopback = {"card": "livecut", "driver": v4l2.LOOPBACK_DRIVER, "capture": False}
    monkeypatch.setattr(
        v4l2,
        "devices",
        lambda: [
            device("/dev/video0"),
            device("/dev/video1", capture=False),
            device("/dev/video10", output=True, **loopback),
            device("/dev/video11", output=False, **loopback),
            device("/dev/video3", capture=False, driver="", error=errno.EACCES),
        ],
    )
    found = list(doctor.devices())
    assert [(f.what, f.found) for f in found] == [
        ("camera", "/dev/video0 (C920)"),
        ("virtual camera", "/dev/video10 (livecut)"),
        ("virtual camera", "/dev/video11 (livecut), fed by another program"),
        ("/dev/video3", "cannot be asked: Permission denied"),
    ]
    assert "usermod" in found[-1].advice


@pytest.mark.skipif(sys.platform != "linux", reason="Video4Linux")
def test_says_what_to_do_where_there_is_no_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v4l2, "devices", list)
    camera, virtual = doctor.devices()
    assert camera.found == virtual.found == "none"
    assert "livecut run demo" in camera.advice
    assert "modprobe" in virtual.advice
