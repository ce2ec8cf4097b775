"""ONNX Runtime on an NVIDIA GPU, without PyTorch, against the CPU."""

from __future__ import annotations

import ctypes
import gc
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from livecut import Segmenter
from livecut.backgrounds import open_background
from livecut.compositor.ort import OrtCutter
from livecut.engines.fixed import FixedEngine
from livecut.engines.nvidia import driver_loads
from livecut.engines.places import Gpu, Host
from livecut.frame import Frame
from livecut.models import find_model
from tests.remote import demo, iou

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not driver_loads(), reason="no NVIDIA driver here"),
]
SIZE = (1280, 720)


def free_memory(place: Gpu) -> int:
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    place._stream._do("cudaMemGetInfo", ctypes.byref(free), ctypes.byref(total))
    return free.value


@pytest.mark.parametrize("background", ["blur", "#00b140", "transparent"])
def test_the_gpu_gives_what_the_cpu_gives(background: str) -> None:
    behind = open_background(background, SIZE)
    channels = 4 if background == "transparent" else 3
    cutters = [
        OrtCutter(find_model("live"), place, behind, temporal=True)
        for place in (Gpu("cuda"), Host(threads=2))
    ]
    for index, image in enumerate(demo(SIZE, 3)):
        alphas, pictures = [], []
        for cutter in cutters:
            out = np.zeros((*image.shape[:2], channels), np.uint8)
            cutout = cutter.cut(Frame(image, index, 0.0, 0.0))
            cutter.compose(behind, cutout, out)
            alphas.append(cutout.alpha.astype(int))
            pictures.append(out.astype(int))
        assert np.abs(alphas[0] - alphas[1]).mean() <= 0.6
        assert iou(*(a.astype(np.uint8) for a in alphas)) > 0.995
        both = (alphas[0] > 0) & (alphas[1] > 0) if channels == 4 else alphas[0] >= 0
        assert np.abs(pictures[0] - pictures[1])[both].mean() <= 1
    assert "float16" in cutters[0].description


@pytest.mark.parametrize("background", ["blur", "#00b140", "transparent"])
def test_all_of_it_is_on_the_gpu(background: str) -> None:
    """ONNX Runtime captures no graph of a session of which a part computes elsewhere."""
    place = Gpu("cuda")
    cutter = OrtCutter(find_model("live"), place, open_background(background, SIZE))
    cutter.cut(Frame(demo(SIZE)[0], 0, 0.0, 0.0))
    assert cutter._program._session.get_providers()[0] == "CUDAExecutionProvider"
    assert place.graph, "captured as a CUDA graph"


def test_frames_allocate_nothing() -> None:
    place, image = Gpu("cuda"), demo(SIZE)[0]
    cutter = OrtCutter(
        find_model("live"), place, open_background("blur", SIZE), temporal=True, in_flight=2
    )
    for index in range(5):
        cutter.cut(Frame(image, index, 0.0, 0.0))
    before = free_memory(place)
    for index in range(5, 105):
        cutter.cut(Frame(image, index, 0.0, 0.0))
    assert free_memory(place) == before


def test_what_the_garbage_collector_ends_breaks_nothing() -> None:
    """It ends sessions and their stream in any order."""
    for index in range(3):
        cutter: Any = OrtCutter(find_model("live"), Gpu("cuda"), open_background("blur", SIZE))
        assert cutter.cut(Frame(demo(SIZE)[0], index, 0.0, 0.0)).alpha.any()
        cutter.itself = cutter
        del cutter
        gc.collect()


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_the_network_alone(device: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if device == "tensorrt":
        pytest.importorskip("tensorrt_libs")
    segmenter, expected = Segmenter(device=device, engine="onnx"), Segmenter(device="cpu")
    assert isinstance(segmenter._engine, FixedEngine)
    for image in demo(SIZE, 3):
        assert iou(segmenter(image), expected(image)) > 0.995
