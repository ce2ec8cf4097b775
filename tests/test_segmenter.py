"""The segmenter with its real, shipped network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from livecut import EngineError, ModelError, Segmenter, open_source
from livecut.engines.onnx import open_session
from livecut.frame import Image, checked_bgr
from livecut.kernels.constants import ALPHA_MARGIN
from livecut.kernels.guided_filter import GuidedFilter
from livecut.kernels.resize import reduce
from livecut.kernels.smoothing import smooth
from livecut.models import Target, find_model, in_bytes, input_size, model_names

GOLDEN = Path(__file__).parent / "golden"


def demo_frame() -> Image:
    with open_source("demo") as source:
        image = np.zeros((source.size[1], source.size[0], 3), np.uint8)
        source.read(image)
    return image


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter(device="cpu")


def test_finds_the_person_of_the_golden_picture(segmenter: Segmenter) -> None:
    image = cv2.imread(str(GOLDEN / "portrait.jpg"))
    mask = cv2.imread(str(GOLDEN / "portrait_mask.png"), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    assert mask is not None
    got, expected = segmenter(np.asarray(image, np.uint8)) > 127, mask > 127
    assert (got & expected).sum() / (got | expected).sum() > 0.95


@pytest.mark.parametrize(
    "size", [(640, 360), (360, 640), (100, 100), (37, 211), (16, 16), (1920, 1080)]
)
def test_any_size_in_the_same_size_out(segmenter: Segmenter, size: tuple[int, int]) -> None:
    image = np.asarray(cv2.resize(demo_frame(), size), np.uint8)
    alpha = segmenter(image)
    assert alpha.shape == image.shape[:2]
    assert alpha.dtype == np.uint8


def test_writes_into_out(segmenter: Segmenter) -> None:
    image = demo_frame()
    out = np.zeros(image.shape[:2], np.uint8)
    assert segmenter(image, out) is out
    assert out.max() > 200


def test_same_bytes_same_alpha(segmenter: Segmenter) -> None:
    image = demo_frame()
    assert (segmenter(image) == segmenter(image)).all()


def test_temporal_state_and_reset() -> None:
    fresh, used = Segmenter(device="cpu", temporal=True), Segmenter(device="cpu", temporal=True)
    image = demo_frame()
    noisy = np.minimum(image, 243) + np.uint8(12)
    first = fresh(image)
    used(noisy)
    assert (used(image) != first).any(), "the frame before has its part"
    used(noisy)
    used.reset()
    assert (used(image) == first).all(), "reset equals fresh"


def test_the_last_alpha_alone_never_shows_a_pixel() -> None:
    state = np.linspace(0, 1, 1001, dtype=np.float32)[None]
    nobody = np.zeros_like(state)
    still = np.zeros(state.shape, np.uint8)
    smooth(nobody, state, still)
    assert 0 < nobody.max() < ALPHA_MARGIN


def test_a_cut_is_a_reset() -> None:
    fresh, used = Segmenter(device="cpu", temporal=True), Segmenter(device="cpu", temporal=True)
    image = demo_frame()
    used(255 - image)
    assert (used(image) == fresh(image)).all()


@pytest.mark.parametrize(
    ("image", "error", "match"),
    [
        (None, TypeError, "image is None, as cv2.imread gives"),
        ("me.jpg", TypeError, "image is the path 'me.jpg'"),
        (Path("me.jpg"), TypeError, "image is the path 'me.jpg'"),
        ([[[0, 0, 0]]], TypeError, "image is a list"),
        (np.zeros((10, 10, 3), np.float32), TypeError, "image is float32"),
        (np.zeros((10, 10), np.uint8), ValueError, r"shape \(10, 10\).*GRAY2BGR"),
        (np.zeros((10, 10, 1), np.uint8), ValueError, "GRAY2BGR"),
        (np.zeros((10, 10, 4), np.uint8), ValueError, "BGRA2BGR"),
        (np.zeros((0, 10, 3), np.uint8), ValueError, r"shape \(0, 10, 3\)"),
    ],
)
def test_refuses_other_things_in_one_line(
    segmenter: Segmenter, image: Any, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match) as raised:
        segmenter(image)
    assert "expected a NumPy array, BGR uint8 (H, W, 3)" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "view",
    [
        lambda image: image[40:300, 100:540],
        lambda image: image[:, ::-1],
        lambda image: image[::-1],
        lambda image: image[..., ::-1],
        lambda image: image[::2, ::2],
        lambda image: np.asfortranarray(image),
        lambda image: image.transpose(1, 0, 2),
        lambda image: np.frombuffer(image.tobytes(), np.uint8).reshape(image.shape),
    ],
    ids=["crop", "mirror", "upside down", "RGB", "stride", "Fortran", "turned", "read-only"],
)
def test_takes_views_as_it_takes_their_copies(
    segmenter: Segmenter, view: Callable[[Image], Image]
) -> None:
    image = view(demo_frame())
    assert (segmenter(image) == segmenter(np.array(image, order="C"))).all()


def test_copies_only_what_is_not_contiguous(segmenter: Segmenter) -> None:
    image = demo_frame()
    assert checked_bgr(image) is image
    band = image[100:200]
    assert np.shares_memory(checked_bgr(band), band)
    assert not np.shares_memory(checked_bgr(image[:, ::-1]), image)


def test_writes_into_a_channel_and_refuses_other_outs(segmenter: Segmenter) -> None:
    image = demo_frame()
    bgra = np.zeros((*image.shape[:2], 4), np.uint8)
    segmenter(image, bgra[..., 3])
    assert (bgra[..., 3] == segmenter(image)).all()
    fixed = np.zeros(image.shape[:2], np.uint8)
    fixed.flags.writeable = False
    outs: list[tuple[Any, type[Exception], str]] = [
        (bgra, ValueError, "out has shape"),
        (np.zeros((8, 8), np.uint8), ValueError, "out has shape"),
        (np.zeros(image.shape[:2]), TypeError, "out is float64"),
        (fixed, ValueError, "out is read-only"),
    ]
    for out, error, match in outs:
        with pytest.raises(error, match=match):
            segmenter(image, out)


def test_engines_agree() -> None:
    """Same bytes in, same alpha out: at most one grey level apart."""
    pytest.importorskip("torch")
    image = demo_frame()
    onnx = Segmenter(find_model("live"), device="cpu")  # by its path: in float32
    torch = Segmenter(engine="torch", device="cpu")
    for size in ((640, 360), (480, 640)):
        resized = np.asarray(cv2.resize(image, size), np.uint8)
        assert np.abs(onnx(resized).astype(int) - torch(resized)).max() <= 1


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"model": "nosuch"}, ModelError, "unknown model 'nosuch'; shipped are: .*live"),
        ({"model": "nosuch.onnx"}, ModelError, "no model file"),
        ({"model": "../live"}, ModelError, "unknown model"),
        ({"engine": "tensorflow"}, Exception, "unknown engine"),
        ({"device": "tpu"}, Exception, "unknown device"),
        ({"device": "cpu:1"}, Exception, "unknown device"),
    ],
)
def test_refuses_what_it_does_not_know(
    options: dict[str, str], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        Segmenter(**options)  # type: ignore[arg-type]


def test_named_cuda_is_had_or_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livecut.hardware.nvidia.driver_loads", lambda: False)
    with pytest.raises(EngineError, match="device cuda: "):
        Segmenter(device="cuda")


def test_refuses_files_that_are_no_model(tmp_path: Path) -> None:
    text = tmp_path / "text.onnx"
    text.write_text("hello")
    with pytest.raises(ModelError, match="cannot be loaded"):
        Segmenter(text)
    weights = tmp_path / "text.safetensors"
    weights.write_text("hello")
    pytest.importorskip("torch")
    with pytest.raises(ModelError, match="no livecut weights"):
        Segmenter(weights)


def test_refuses_another_networks_onnx(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(find_model("live"))
    del model.metadata_props[:]
    path = tmp_path / "foreign.onnx"
    onnx.save(model, path)
    with pytest.raises(ModelError, match="not written by 'livecut export'"):
        Segmenter(path)


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_int8_is_for_shipped_names_and_close_to_float32(engine: str) -> None:
    pytest.importorskip({"onnx": "onnxruntime", "openvino": "openvino"}[engine])
    small = Segmenter("live", device="cpu", engine=f"{engine}:int8")
    assert small.description.endswith("int8")
    exact = Segmenter(find_model("live"), device="cpu", engine=engine)
    assert exact.description.endswith("thread" if engine == "onnx" else "float32")
    image = demo_frame()
    assert np.abs(small(image).astype(int) - exact(image)).mean() < 2


@pytest.mark.parametrize("multiplies", [True, False])
def test_sums_of_bytes_are_guarded_only_where_they_overflow(
    multiplies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livecut.hardware.cpu.multiplies_bytes", lambda: multiplies)
    session, _ = open_session(in_bytes(find_model("live")), Target("live", kind="cpu"), 1)
    options = session.get_session_options()
    if multiplies:
        with pytest.raises(RuntimeError, match="does not have"):
            options.get_session_config_entry("session.x64quantprecision")
    else:
        assert options.get_session_config_entry("session.x64quantprecision") == "1"


def test_model_names_lists_what_is_shipped() -> None:
    assert "live" in model_names()


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ((1280, 720), (256, 144)),
        ((720, 1280), (144, 256)),
        ((640, 480), (224, 160)),
        ((9, 900), (112, 336)),
    ],
)
def test_input_size(frame: tuple[int, int], expected: tuple[int, int]) -> None:
    assert input_size(*frame, 256 * 144, 16) == expected


def test_reduce_is_the_mean_of_blocks() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    levels: list[Image] = []
    small = reduce(image, (24, 16), levels)
    assert small.shape == (16, 24, 3)
    blocks = image.reshape(16, 4, 24, 4, 3).mean((1, 3))
    assert np.abs(small - blocks).max() <= 1.5
    assert reduce(image, (24, 16), levels) is small, "the buffers are used again"
    assert reduce(image, (96, 64), []) is image


def test_guided_filter_moves_the_edge_of_alpha_to_that_of_the_picture() -> None:
    image = np.zeros((256, 256, 3), np.uint8)
    image[:, 124:] = 200
    small = np.asarray(cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA), np.uint8)
    alpha = np.zeros((32, 32), np.float32)
    alpha[:, 16:] = 1
    out = np.empty((256, 256), np.uint8)
    GuidedFilter((256, 256), (64, 64))(image, small, alpha, out)
    assert out[:, :123].max() < 128
    assert out[:, 125:].min() > 127, "without the filter the edge is at 128"
    assert (out[:, :80] == 0).all()
    assert (out[:, 180:] == 255).all()
