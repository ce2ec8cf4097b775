"""The findings of `livecut doctor`: parts of livecut, a GPU, cameras, outputs; what is missing.

Nothing that may be missing is imported before it is asked for.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module, metadata
from importlib.util import find_spec
from traceback import walk_tb
from typing import Any

import livecut
from livecut.engines import choice
from livecut.errors import LivecutError, missing
from livecut.hardware import nvidia, v4l2
from livecut.models import DEFAULT_MODEL, Target, find_model, model_names
from livecut.registry import Registry

NEEDED = {
    "cv2": "OpenCV",
    "av": "PyAV",
    "numba": "numba",
}
"""Libraries that the plain CPU path imports, by module."""


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    what: str
    found: str
    advice: str = ""
    """Advice for the person; empty where there is nothing to be done."""
    broken: bool = False
    """Whether the plain CPU path cannot work like this."""


def examine() -> Iterator[Finding]:
    """Everything, as it is found. Raises nothing."""
    yield Finding("livecut", livecut.__version__)
    yield Finding("Python", f"{platform.python_version()}, {platform.platform()}")
    found = [library(module) for module in NEEDED]
    yield from found
    engines = list(runtimes())
    yield from engines
    yield from models()
    if not any(finding.broken for finding in found + engines):
        yield from speeds()
        yield trial("the CPU", "cpu")
        yield from gpu()
        auto = trial("auto chooses", "auto")
        yield replace(auto, found=f"{auto.found}; {reason(auto.found)}")
        yield display()
    yield from devices()
    yield from words()


def library(module: str) -> Finding:
    """A library that is needed: its version, or why it cannot be imported."""
    try:
        loaded = import_module(module)
    except ImportError as error:
        return unusable(module, error)
    version = loaded.__version__
    if module == "av":
        version += f", FFmpeg {loaded.ffmpeg_version_info}"
    return Finding(NEEDED[module], version)


def unusable(module: str, error: ImportError) -> Finding:
    """A library that is needed and cannot be imported."""
    name = NEEDED[module]
    advice = f"pip install --force-reinstall livecut; missing .so files of {name} on Linux: "
    advice += "apt install libxcb1 libgl1 libglib2.0-0"
    return Finding(name, f"cannot be imported: {error}", advice, broken=True)


def import_fault(error: ImportError) -> str:
    """One line on an import that failed in any command; raises the error where it is livecut's own.

    A library is known by the error, else by the modules that were being imported.
    """
    frames = [frame.f_globals["__name__"] for frame, _ in walk_tb(error.__traceback__)]
    modules = [name.partition(".")[0] for name in (error.name or "", *reversed(frames))]
    for module in modules:
        if module in NEEDED:
            finding = unusable(module, error)
            return f"{finding.what} {finding.found}; {finding.advice}"
    if modules[0] in ("", "livecut"):
        raise error
    if isinstance(error, ModuleNotFoundError):
        return missing(modules[0])
    return f"{modules[0]} cannot be imported: {error}"


def runtimes() -> Iterator[Finding]:
    """The engines that run exported networks, of which the CPU needs one."""
    builds = [name for name in choice.versions() if name.startswith("onnxruntime")]
    for engine, name in choice.EXPORTED.items():
        package = choice.MODULES[engine]
        if not choice.installed(engine):
            lacks = not any(choice.installed(other) for other in choice.EXPORTED)
            advice = f"pip install {package}" if lacks else ""
            yield Finding(name, "not installed", advice, broken=lacks)
        elif engine == "onnx" and len(builds) > 1:
            advice = (
                f"they write into one folder; pip uninstall {' '.join(builds)}, then install one"
            )
            yield Finding(name, f"installed {len(builds)} times: {', '.join(builds)}", advice)
        else:
            found = choice.versions()
            version = next((v for p, v in found.items() if p.startswith(package)), "installed")
            yield Finding(name, version)


def speeds() -> Iterator[Finding]:
    """What each engine and precision takes for a picture, of which auto takes the fastest."""
    try:
        timings = choice.survey(find_model(DEFAULT_MODEL))
    except LivecutError as error:
        yield Finding("engines", f"cannot be timed: {error}")
        return
    best = min((t.ms for t in timings if t.ms is not None), default=None)
    for timing in timings:
        if timing.ms is None:
            yield Finding(timing.name, f"fails: {timing.fault}")
        else:
            first = ", the fastest, which auto takes" if timing.ms == best else ""
            yield Finding(timing.name, f"{timing.ms:.2f} ms a picture of {DEFAULT_MODEL}{first}")


def models() -> Iterator[Finding]:
    """The shipped models and the beginnings of their files' SHA-256."""
    names = model_names()
    if DEFAULT_MODEL not in names:
        advice = "pip install --force-reinstall livecut"
        yield Finding("models", f"{DEFAULT_MODEL} is missing", advice, broken=True)
    for name in names:
        sums = []
        for suffix in (".onnx", ".int8.onnx", ".safetensors"):
            try:
                data = find_model(name, suffix).read_bytes()
            except (LivecutError, OSError):
                continue
            sums.append(f"{name}{suffix} {hashlib.sha256(data).hexdigest()[:12]}")
        yield Finding("model", ", ".join(sums))


def trial(what: str, device: str) -> Finding:
    """Cut a blank picture out and blur it on a device: what it ran on, or what failed."""
    from livecut.backgrounds.blur import Blur
    from livecut.frame import BGR
    from livecut.processors import open_processor
    from livecut.stats import Stats

    size = 640, 360
    try:
        processor = open_processor(
            Target.parse(DEFAULT_MODEL, device),
            background=Blur(size),
            threads=0,
            temporal=False,
            in_flight=1,
            stats=Stats(),
        )
        [frame], [out] = processor.frames(BGR, size, 1), processor.outputs(BGR, size, 1)
        processor.compose(processor.cut(frame.frame(0, 0.0, 0.0), out), out)
    except Exception as error:  # whatever it is, the report goes on
        advice = "" if device == "cpu" else "mend it, or say --device cpu"
        return Finding(what, f"fails: {error}", advice, broken=device == "cpu")
    return Finding(what, processor.description)


def reason(description: str) -> str:
    """Why `auto` chose what is described."""
    if not nvidia.driver_loads():
        return "there is no NVIDIA driver"
    if description.startswith("PyTorch"):
        return "PyTorch sees the GPU and does all of it there"
    if "CUDA" in description and "no CUDA" not in description:
        return "PyTorch is not installed or sees no GPU, and ONNX Runtime runs the network there"
    return "neither PyTorch nor ONNX Runtime can use the GPU"


def gpu() -> Iterator[Finding]:
    """The NVIDIA driver, CUDA's libraries, and who can use them."""
    cuda = nvidia.cuda_of_driver()
    advice = "" if cuda else "a GPU needs NVIDIA's driver; without one all is done by the CPU"
    yield Finding("NVIDIA driver", f"loads, for CUDA {cuda}" if cuda else "none", advice)
    if choice.installed("onnx"):
        yield from providers(cuda)
    if choice.installed("openvino"):
        yield intel()
    if find_spec("torch") is None:
        yield Finding("PyTorch", "not installed; the others do without")
        return
    version = metadata.version("torch")
    if not cuda:
        yield Finding("PyTorch", version)
        return
    import torch

    count = torch.cuda.device_count()
    names = ", ".join(torch.cuda.get_device_name(i) for i in range(count))
    advice = "" if count else "install a build of PyTorch for a CUDA that the driver has"
    yield Finding("PyTorch", f"{version}, {names or 'sees no GPU'}", advice)


def providers(cuda: str) -> Iterator[Finding]:
    """What ONNX Runtime runs on; `cuda` is the version that the driver has, or empty."""
    import onnxruntime

    from livecut.engines.providers import PROVIDERS, fault_of, provider_fault

    offered = [p.removesuffix("ExecutionProvider") for p in onnxruntime.get_available_providers()]
    yield Finding("ONNX Runtime offers", ", ".join(offered))
    if "CUDA" in offered:
        fault = provider_fault("cuda")
        missing = nvidia.missing_libraries()
        yield Finding(
            "CUDA libraries",
            f"no {', '.join(missing)}" if missing else "load",
            'pip install "livecut[cuda]"' if missing else "",
        )
        if cuda:
            advice = (
                "see CUDA libraries, and that the driver is as new as they are" if fault else ""
            )
            yield Finding("ONNX Runtime on CUDA", fault or "loads", advice)
    for kind, provider in PROVIDERS.items():
        if kind != "cuda" and provider in onnxruntime.get_available_providers():
            fault = fault_of(kind)
            yield Finding(f"--device {kind}", f"not available: {fault}" if fault else "available")


def intel() -> Finding:
    """The devices that OpenVINO sees."""
    from livecut.engines.openvino import start

    try:
        return Finding("OpenVINO offers", ", ".join(start().available_devices))
    except (LivecutError, RuntimeError) as error:
        return Finding(
            "OpenVINO", f"does not start: {error}", "pip install --force-reinstall openvino"
        )


def display() -> Finding:
    """Whether a window can be opened."""
    from livecut.sinks.window import require_display

    try:
        require_display()
    except LivecutError as error:
        return Finding("window", str(error))
    return Finding("window", "can be opened")


def words() -> Iterator[Finding]:
    """The words for sources, backgrounds, outputs and engines, and who adds those of others."""
    from livecut.backgrounds import BACKGROUNDS
    from livecut.engines import ENGINES
    from livecut.sinks import SINKS
    from livecut.sources import SOURCES

    registries: list[Registry[Any]] = [SOURCES, BACKGROUNDS, SINKS, ENGINES]
    for registry in registries:
        # An engine's class may take seconds to import, and its name is its word.
        own = list(registry.own)
        if registry is not ENGINES:
            own = [usage.shown for usage in registry.usages(others=False)]
        added = [f"{name} by {registry.home(name)}" for name in registry.others()]
        yield Finding(f"{registry.kind}s", ", ".join([*own, *added]))
        for fault in registry.faults:
            yield Finding("", fault, "mend that package, or pip uninstall it")


def devices() -> Iterator[Finding]:
    """The cameras and the virtual cameras."""
    if sys.platform != "linux":
        yield Finding("cameras", "this system names none; try livecut run 0")
        return
    found = v4l2.devices()
    loopbacks = [d for d in found if d.driver == v4l2.LOOPBACK_DRIVER]
    cameras = [d for d in found if d.capture and d not in loopbacks]
    for device in cameras:
        yield Finding("camera", f"{device.path} ({device.card})")
    if not cameras:
        yield Finding("camera", "none", "plug one in, or use livecut run FILE or livecut run demo")
    for device in loopbacks:
        free = "" if device.output else ", fed by another program"
        yield Finding("virtual camera", f"{device.path} ({device.card}){free}")
    if not loopbacks:
        yield Finding("virtual camera", "none", f"for -o virtual, {v4l2.LOAD_LOOPBACK}")
    for device in found:
        if device.error:
            advice = "as a member of the group video: sudo usermod -aG video $USER, log in again"
            yield Finding(
                device.path,
                f"cannot be asked: {os.strerror(device.error)}",
                advice if device.error in v4l2.DENIED else "",
            )
