"""The device's steps beside the reference, its whole beside the CPU's, in levels of 0..255."""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")

import torch
from torch import Tensor

from livecut.backgrounds import open_background
from livecut.frame import (
    BGR,
    BGRA,
    BT709,
    NV12,
    RGBA,
    YUYV,
    Cutout,
    Frame,
    Image,
    PixelFormat,
    Size,
    as_image,
    i420,
)
from livecut.kernels import reference
from livecut.kernels.composite import composite
from livecut.kernels.constants import ALPHA_MARGIN, MOTION_WINDOW, SCENE_CUT
from livecut.kernels.edges import EdgeColourEstimator, cell_size, cells_min_size
from livecut.kernels.hysteresis import reach
from livecut.kernels.pixels import convert, to_bgr
from livecut.kernels.resize import reduce
from livecut.models import find_model, input_size
from livecut.network.base import Portable
from livecut.network.weights import load_weights
from livecut.processors.cuda import colours
from livecut.processors.cuda import compositor as device
from livecut.processors.cuda.compositor import HEADER
from livecut.processors.cuda.scene import Scene, blur_matrix, halved, mean_matrix, spread_matrix
from livecut.segmenter import Segmenter
from tests.kernels.cases import ALPHAS, alpha_of
from tests.remote import SIZES, demo, iou

torch.set_num_threads(1)  # threads that wait spin, and take the time from others
HERE = torch.device("cpu")
DTYPES = [torch.float32, torch.float16]
SOFT_EDGES = [
    (size, kind) for size in [(61, 37), (1, 1), (1, 40), (321, 243)] for kind in ("person", *ALPHAS)
] + [((640, 360), "person"), ((1440, 1440), "person")]


def planes(image: Image, dtype: torch.dtype = torch.float32) -> Tensor:
    found: Tensor = torch.from_numpy(image).permute(2, 0, 1).to(dtype)
    return found


def tensors(*arrays: NDArray[np.float32]) -> list[Tensor]:
    return [torch.from_numpy(array.copy()) for array in arrays]


def apart(got: Tensor, expected: NDArray[Any]) -> float:
    """The largest difference of planes from an image (H, W, C) or (H, W)."""
    array = got.float().permute(1, 2, 0).numpy() if got.ndim == 3 else got.float().numpy()
    return float(np.abs(array - expected.astype(np.float32)).max())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("size", [*SIZES, (61, 37), (1, 1), (1, 40)])
def test_halve(size: Size, dtype: torch.dtype) -> None:
    image, levels = demo(size)[0], list[Image]()
    least = max(1, size[0] // 9), max(1, size[1] // 9)
    reduce(image, least, levels)
    sizes = halved(size, least)
    assert sizes == [level.shape[1::-1] for level in levels]
    x = planes(image, dtype)
    for _ in sizes:
        x = device.halve(x)
    expected = reference.reduce(image, least)
    assert apart(x, expected) <= (0.01 if dtype is torch.float32 else 0.3)


@pytest.mark.parametrize("to", [(256, 144), (500, 411), (321, 243), (1, 1)])
def test_resize(to: Size) -> None:
    [image] = demo((321, 243))
    assert apart(device.resize(planes(image), to), reference.resize(image, to)) <= 0.01


def test_grey() -> None:
    """Rounded to whole levels."""
    [image] = demo((321, 243))
    out = torch.empty(243, 321)
    device.to_grey(planes(image, torch.float16), out)
    assert apart(out, reference.grey(image)) <= 0.51
    assert (out == out.round()).all()


@pytest.mark.parametrize("follows", [True, False])
def test_smooth(follows: bool) -> None:
    rng = np.random.default_rng(0)
    before, alpha = rng.random((2, 40, 60), np.float32)
    change = rng.integers(0, 16, (40, 60), np.uint8)
    got, state = torch.from_numpy(alpha.copy()), torch.from_numpy(before.copy())
    device.smooth(got, state, torch.from_numpy(change).float(), torch.tensor(follows))
    wide = as_image(cv2.dilate(change, np.ones((MOTION_WINDOW, MOTION_WINDOW), np.uint8)))
    expected = reference.smooth(alpha, before, wide) if follows else alpha
    assert apart(got, expected) < 1e-6
    assert (state == got).all()


def test_smooth_forgets_a_broken_state_where_the_frame_follows_none() -> None:
    alpha, state = torch.full((9, 9), 0.5), torch.full((9, 9), float("nan"))
    device.smooth(alpha, state, torch.zeros(9, 9), torch.tensor(False))
    assert (alpha == 0.5).all()
    assert (state == 0.5).all()


def test_what_counts_as_a_ghost() -> None:
    rng = np.random.default_rng(5)
    for shape in ((40, 60), (90, 50)):
        noise = np.asarray(rng.random(shape), np.float32)
        alpha = np.clip(3 * (cv2.GaussianBlur(noise, (0, 0), 2) - 0.5) + 0.35, 0, 1)
        got, expected = torch.from_numpy(alpha.copy()), reference.drop_ghosts(alpha, reach(*shape))
        device.drop_ghosts(got)
        assert (got.numpy() == expected).all()
        assert 0 < np.count_nonzero(expected) < np.count_nonzero(alpha >= ALPHA_MARGIN)


def test_difference() -> None:
    """Grey is rounded once before it is averaged, and once after."""
    a, b = demo((256, 144), 2)
    apart_in_grey = reference.grey(np.abs(a.astype(float) - b))
    expected = apart_in_grey.reshape(72, 2, 128, 2).mean((1, 3))
    got = device.difference(torch.from_numpy(a), torch.from_numpy(b), 2)
    assert apart(got, expected) <= 1


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -0.01, 1.01])
def test_one_bad_number_is_seen(bad: float) -> None:
    alpha = torch.rand(20, 30)
    assert device.in_range(alpha)
    alpha[3, 5] = 1.0000001
    assert device.in_range(alpha), "a sigmoid may be rounded to that"
    alpha[7, 11] = bad
    assert not device.in_range(alpha)


@pytest.mark.parametrize("size", [(53, 37), (16, 4), (5, 1), (2, 3), (1, 1)])
def test_fit_lines(size: Size) -> None:
    w, h = size
    rng = np.random.default_rng(0)
    grey, alpha = rng.integers(0, 256, (h, w), np.uint8), rng.random((h, w), np.float32)
    rows, columns = tensors(mean_matrix(h), mean_matrix(w).T)
    got = device.fit_lines(torch.from_numpy(grey).float(), torch.from_numpy(alpha), rows, columns)
    slope, offset = reference.fit_lines(grey / 255, alpha)
    assert apart(got[0], reference.window_mean(slope)) < 1e-4
    assert apart(got[1], reference.window_mean(offset * 255 + 0.5)) < 0.02, "in levels"


@pytest.mark.parametrize("box", [3, 9, 41])
@pytest.mark.parametrize("kind", ALPHAS)
def test_blur_background(box: int, kind: str) -> None:
    size = (81, 46)
    [image], alpha = demo(size), alpha_of(kind, size)
    rows, columns = tensors(blur_matrix(46, box), blur_matrix(81, box).T)
    got = device.blur_background(planes(image), torch.from_numpy(alpha), rows, columns)
    assert apart(got, reference.blur_background(image, alpha / 255, box)) <= 0.05


def person_before(size: Size) -> Image:
    """Alpha of an ellipse with a soft edge."""
    alpha, (width, height) = np.zeros(size[::-1], np.uint8), size
    axes = width // 4, height * 3 // 4
    cv2.ellipse(alpha, (width // 2, height), axes, 0, 0, 360, 255, -1)
    return as_image(cv2.GaussianBlur(alpha, (0, 0), height / 60))


def an_alpha(kind: str, size: Size) -> Image:
    return person_before(size) if kind == "person" else alpha_of(kind, size)


@cache
def softened(size: Size, kind: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The reference's colour and alpha of the demo's first frame."""
    [image], alpha = demo(size), an_alpha(kind, size)
    reduced = reference.reduce(image, cells_min_size(size))
    colours = reference.edge_colours(reduced, alpha / 255, cell_size(size))
    return reference.soft_edges(image, alpha / 255, *colours)


def soft_edges(image: Image, alpha: Image, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The device's, with what `Compositor` gives to it."""
    size = alpha.shape[1], alpha.shape[0]
    cell, reduced = cell_size(size), planes(image, dtype)
    for _ in halved(size, cells_min_size(size)):
        reduced = device.halve(reduced)
    columns, rows = tensors(*(spread_matrix(-(-side // cell)) for side in size))
    return device.soft_edges(
        planes(image, dtype), torch.from_numpy(alpha), reduced, cell, rows, columns.T
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("size", "kind"), SOFT_EDGES)
def test_soft_edges_and_composite(size: Size, kind: str, dtype: torch.dtype) -> None:
    """To two levels at most; exact where alpha is 0 or 255. The CPU's to 12, on average to one."""
    (image, background), alpha = demo(size, 2), an_alpha(kind, size)
    colour, opacity = softened(size, kind)
    person, shown = soft_edges(image, alpha, dtype)
    assert apart(shown, opacity * 255) <= 2
    soft = (alpha > 0) & (alpha < 255)
    for back in (np.zeros_like(image), background):
        expected = reference.composite(colour, opacity, back)
        got = device.composite(person, shown, planes(back, dtype))
        assert apart(got, expected) <= 2
        exact = np.where((alpha == 255)[..., None], image, back)
        assert (got.permute(1, 2, 0).float().numpy() == exact)[~soft].all()
        if kind == "person" and soft.any():
            edges = EdgeColourEstimator(size)(Cutout(Frame(image, 0, 0.0, 0.0), alpha))
            host = np.empty_like(image)
            composite(image, alpha, edges, back, host)
            assert np.abs(host - expected).max() <= 12
            assert np.abs(host - expected)[soft].mean() <= 1
    cut = torch.empty(*alpha.shape, 4, dtype=torch.uint8)
    colours.cutout(person, shown, BGRA, cut)
    straight = reference.cutout(colour, opacity)
    both = (cut.numpy()[..., 3] > 0) & (straight[..., 3] > 0)  # 0 or 1 is a matter of rounding
    assert np.abs(cut.numpy() - straight)[both].max(initial=0) <= 2
    assert np.abs(cut.numpy() - straight)[..., 3].max() <= 2
    assert not cut.numpy()[cut.numpy()[..., 3] == 0].any()
    assert not cut.numpy()[alpha == 0].any()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_composite_is_exact_at_its_ends(dtype: torch.dtype) -> None:
    image, behind = demo((321, 243), 2)
    alpha = np.random.default_rng(0).integers(0, 256, (243, 321), np.uint8)
    alpha[:80], alpha[80:160] = 0, 255
    for share in (1, 0.7318):
        got = device.composite(
            planes(image, dtype), torch.from_numpy(alpha), planes(behind, dtype) * share
        )
        assert apart(got[:, 80:160], image[80:160]) == 0, "whatever is behind"
        assert share < 1 or apart(got[:, :80], behind[:80]) == 0


def test_what_the_frame_counts_over_its_blur() -> None:
    levels = np.arange(256, dtype=np.uint8)[None]
    got = device.smooth_step(torch.from_numpy(levels))
    assert apart(got / 255, reference.smooth_step(levels / 255)) <= 0.5 / 255 + 1e-6


# the whole


@cache
def network() -> tuple[Portable, int, int]:
    found, facts = load_weights(find_model("live", ".safetensors"))
    return Portable(found).eval(), facts.area, found.stride


def compositor(
    size: tuple[int, int], kind: str, dtype: torch.dtype = torch.float32
) -> device.Compositor:
    portable, area, stride = network()
    pixel_format = BGRA if kind == "transparent" else BGR
    small, scene = input_size(*size, area, stride), Scene(kind, 0.5, pixel_format)
    made = device.Compositor(portable, size, small, scene, device=HERE, dtype=dtype, temporal=True)
    made.picture[:] = torch.tensor([0x40, 0xB1, 0], dtype=torch.uint8)
    return made


def run_bytes(made: device.Compositor, image: Image, index: int) -> None:
    """The result for a frame in the format that the compositor takes."""
    made.incoming[:HEADER].view(torch.int64).copy_(torch.tensor([index, index > 0]))
    made.incoming[HEADER:].copy_(torch.from_numpy(image).reshape(-1))
    made.run()


def run(made: device.Compositor, image: Image, index: int) -> tuple[int, Image, Image]:
    """The receipt, the picture (H, W, C) and the alpha of an image."""
    run_bytes(made, image, index)
    out = made.outgoing.numpy().copy()
    height, width = image.shape[:2]
    receipt, alpha, picture = np.split(out, [HEADER, HEADER + height * width])
    return (
        int(receipt.view(np.int64)[0]),
        picture.reshape(height, width, -1),
        alpha.reshape(height, width),
    )


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter(find_model("live"), device="cpu", temporal=True)  # by its path: in float32


@pytest.mark.parametrize(
    ("kind", "size"),
    [("blur", SIZES[0]), ("blur", SIZES[2]), ("picture", SIZES[1]), ("transparent", SIZES[1])],
)
def test_the_whole_is_the_cpus(segmenter: Segmenter, kind: str, size: tuple[int, int]) -> None:
    """Single pixels differ by more where a grey or a byte of the input is rounded otherwise.

    Crisp edges make more of it: a thousandth of the pixels may be a tenth of alpha apart.
    """
    segmenter.reset()
    background = open_background("#00b140" if kind == "picture" else kind, size)
    made = compositor(size, kind)
    for index, image in enumerate(demo(size, 3)):
        cutout = segmenter.cut(Frame(image, index, 0.0, 0.0))
        expected = np.zeros((*cutout.alpha.shape, 4 if kind == "transparent" else 3), np.uint8)
        background.compose(cutout, expected)
        receipt, picture, alpha = run(made, image, index)
        assert receipt == index
        apart = np.abs(alpha.astype(int) - cutout.alpha)
        assert apart.mean() <= 0.6
        assert np.percentile(apart, 99.9) <= 26
        assert iou(alpha, cutout.alpha) > 0.995
        both = (alpha > 0) & (cutout.alpha > 0) if kind == "transparent" else alpha >= 0
        apart = np.abs(picture.astype(int) - expected)[both]
        assert apart.mean() <= 0.6
        assert np.percentile(apart, 99.9) <= 26


def test_planes_of_half_precision_are_enough() -> None:
    """They round a few of the network's bytes to the next level; of equal bytes alpha is equal."""
    size = SIZES[1]
    [image] = demo(size)
    exact, half = compositor(size, "blur"), compositor(size, "blur", torch.float16)
    _, picture, alpha = run(exact, image, 0)
    _, half_picture, half_alpha = run(half, image, 0)
    rounded = np.abs(half._input.numpy().astype(int) - exact._input.numpy())
    assert rounded.max() <= 1
    assert rounded.mean() <= 0.1
    apart = np.abs(half_alpha.astype(int) - alpha)
    assert apart.mean() <= 0.1
    assert np.abs(half_picture.astype(int) - picture).max() <= max(2, apart.max())
    assert (half_picture[half_alpha == 255] == image[half_alpha == 255]).all()
    exact._input.copy_(half._input)
    with torch.inference_mode():
        again = exact._network(half._input[None])[0].float()
        device.drop_ghosts(again)
        exact._refine(again)
    assert np.abs(half_alpha.astype(int) - exact._alpha.numpy()).max() <= 1


class Spoilt(torch.nn.Module):
    """Takes for alpha what is blue; one number is replaced `by` another."""

    output_stride = 1
    by: float | None = None

    def forward(self, image: Tensor) -> Tensor:
        alpha = image[..., 0].float() / 255
        if self.by is not None:
            alpha[0, 5, 5] = self.by
        return alpha


def spoilt(
    scene: Scene, size: tuple[int, int] = (64, 48), pixel_format: PixelFormat = BGR
) -> device.Compositor:
    network: Any = Spoilt()
    return device.Compositor(
        network, size, (32, 32), scene, pixel_format, device=HERE, temporal=True
    )


@pytest.mark.parametrize(("step", "cut"), [(int(SCENE_CUT) - 2, False), (int(SCENE_CUT), True)])
def test_a_cut_is_not_steadied(step: int, cut: bool) -> None:
    dark, bright = (np.full((48, 64, 3), level, np.uint8) for level in (150, 150 + step))
    made = spoilt(Scene("picture"))
    run(made, dark, 0)
    _, _, alpha = run(made, bright, 1)
    _, _, alone = run(spoilt(Scene("picture")), bright, 0)
    assert (alpha == alone).all() == cut


@pytest.mark.parametrize("pixel_format", [i420(BT709), NV12, YUYV])
def test_other_forms_are_those_of_the_picture(pixel_format: PixelFormat) -> None:
    size = (65, 49)
    [image] = demo(size)
    _, picture, alpha = run(spoilt(Scene("picture"), size), image, 0)
    made = spoilt(Scene("picture", pixel_format=pixel_format), size)
    run_bytes(made, image, 0)
    rest = made.outgoing[HEADER:]
    assert (rest[: alpha.size].numpy() == alpha.reshape(-1)).all()
    got = rest[alpha.size :].reshape(pixel_format.shape(size)).numpy().astype(int)
    assert np.abs(got - convert(picture, pixel_format)).max() <= 1


def test_rgba_is_bgra_in_another_order() -> None:
    [image] = demo((64, 48))
    bgra, rgba = (
        run(spoilt(Scene("transparent", pixel_format=pixel_format)), image, 0)[1]
        for pixel_format in (BGRA, RGBA)
    )
    assert (bgra[..., [2, 1, 0, 3]] == rgba).all()
    with pytest.raises(ValueError, match="kind blur cannot be RGBA"):
        Scene("blur", pixel_format=RGBA)
    with pytest.raises(ValueError, match="kind transparent cannot be BGR"):
        Scene("transparent")


@pytest.mark.parametrize("pixel_format", [YUYV, NV12])
@pytest.mark.parametrize("kind", ["blur", "transparent"])
def test_frames_as_a_camera_has_them(pixel_format: PixelFormat, kind: str) -> None:
    """The same as of the BGR that OpenCV makes of them, but for a level of rounding in either."""
    size = (64, 48)
    [image] = demo(size)
    raw = convert(image, pixel_format)
    scene = Scene(kind, 0.5, BGRA if kind == "transparent" else BGR)
    _, expected, expected_alpha = run(spoilt(scene), to_bgr(raw, pixel_format), 0)
    made = spoilt(scene, pixel_format=pixel_format)
    run_bytes(made, raw, 0)
    rest = made.outgoing[HEADER:].numpy()
    alpha, picture = rest[: 64 * 48].reshape(48, 64), rest[64 * 48 :].reshape(48, 64, -1)
    assert np.abs(alpha.astype(int) - expected_alpha).max() <= 3
    both = alpha >= 0
    if (
        kind == "transparent"
    ):  # 0 or 1 is a matter of rounding, and where it is 0 there is no colour
        both = (picture[..., 3] > 0) == (expected[..., 3] > 0)
        assert both.mean() > 0.98
    difference = np.abs(picture.astype(int) - expected)[both]
    assert difference.mean() <= 0.6
    assert np.percentile(difference, 99.9) <= 12


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -0.5, 2.0])
def test_no_receipt_for_what_is_no_alpha(bad: float) -> None:
    made, [image] = spoilt(Scene("picture")), demo((64, 48))
    network = made._network
    assert isinstance(network, Spoilt)
    assert run(made, image, 0)[0] == 0
    network.by = bad
    assert run(made, image, 1)[0] == device.INVALID
    network.by = None
    if np.isnan(bad):
        assert run(made, image, 2)[0] == device.INVALID, "it followed the broken one"
    assert run(made, image, 0)[0] == 0, "a frame that follows none is sound again"
