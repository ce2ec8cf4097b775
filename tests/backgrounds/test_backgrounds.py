"""What stands behind the person."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from livecut import ConfigError
from livecut.backgrounds import open_background
from livecut.backgrounds.blur import Blur
from livecut.backgrounds.picture import fit
from livecut.backgrounds.video import Video
from livecut.frame import Cutout, Frame, Image, Output
from livecut.kernels.resize import reduce
from livecut.sinks import open_sink
from livecut.testing import PERSON

SIZE = (160, 96)


def cutout(image: Image, alpha: Image, position: float = 0.0) -> Cutout:
    return Cutout(Frame(image, 0, 0.0, position), alpha)


def empty() -> tuple[Image, Image]:
    """A frame of noise and an alpha with nobody in it."""
    image = np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
    return image, np.zeros(image.shape[:2], np.uint8)


@pytest.mark.parametrize(
    ("spec", "bgr"),
    [("#00b140", (0x40, 0xB1, 0)), ("green", (0x40, 0xB1, 0)), ("White", (255, 255, 255))],
)
def test_colour(spec: str, bgr: tuple[int, int, int]) -> None:
    image, alpha = empty()
    out = np.empty_like(image)
    open_background(spec, SIZE).compose(cutout(image, alpha), out)
    assert (out == bgr).all()


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "nosuch",
        "blur:2",
        "blur:-0.1",
        "blur:x",
        "blur:nan",
        "#12",
        "#gg0000",
        "/nosuch/dir/a.png",
    ],
)
def test_refuses(spec: str) -> None:
    with pytest.raises(ConfigError, match="background"):
        open_background(spec, SIZE)


def test_refuses_a_file_that_is_no_picture(tmp_path: Path) -> None:
    for name in ("a.png", "a.mp4"):
        path = tmp_path / name
        path.write_bytes(b"")
        with pytest.raises(ConfigError, match="cannot be used"):
            open_background(str(path), SIZE)


def test_picture_covers_the_frame_without_distortion(tmp_path: Path) -> None:
    picture = np.zeros((100, 400, 3), np.uint8)
    picture[:, :100] = 255
    picture[:, 300:] = 255
    cv2.circle(picture, (200, 50), 30, (0, 0, 255), -1)
    path = tmp_path / "p.png"
    cv2.imwrite(str(path), picture)
    image, alpha = empty()
    out = np.empty_like(image)
    open_background(str(path), SIZE).compose(cutout(image, alpha), out)
    red = (out == (0, 0, 255)).all(-1)
    height, width = np.ptp(np.nonzero(red)[0]), np.ptp(np.nonzero(red)[1])
    assert abs(int(height) - int(width)) <= 2
    assert not (out == 255).all(-1).any(), "what stands over is cut off"


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (500, 3), (96, 160)])
def test_fit_takes_any_shape(shape: tuple[int, int]) -> None:
    out = np.zeros((96, 160, 3), np.uint8)
    fit(np.full((*shape, 3), 77, np.uint8), out)
    assert (out == 77).all()


def test_video_plays_at_its_own_rate_and_loops(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    with open_sink(str(path), size=SIZE, fps=10) as sink:
        for i in range(10):
            image = np.full((SIZE[1], SIZE[0], 3), 20 * i + 20, np.uint8)
            sink.write(Output(image, None, i, 0.0))
    image, alpha = empty()
    out = np.empty_like(image)
    background = open_background(str(path), SIZE)
    assert isinstance(background, Video)
    shown = []
    for tick in range(40):
        background.compose(cutout(image, alpha, tick / 20), out)
        shown.append(int(out.mean()))
    levels = [round((v - 20) / 20) for v in shown]
    assert levels[:20] == [i // 2 for i in range(20)], "each picture twice at double the rate"
    assert levels[20:40] == levels[:20], "and again from the start"


def test_blur_at_0_still_hides_print() -> None:
    """The weakest blur leaves next to nothing of a page's strokes."""
    page = np.full((720, 1280, 3), 255, np.uint8)
    for y in range(40, 720, 24):
        cv2.putText(
            page,
            "the room is not to be read by anyone",
            (10, y),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.7,
            (0, 0, 0),
            2,
        )
    out = np.empty_like(page)
    Blur((1280, 720), 0.0).compose(cutout(page, np.zeros((720, 1280), np.uint8)), out)
    assert page[100:600, 60:300].std() > 60
    assert out[100:600, 60:300].std() < 8


def test_blur_takes_no_colour_from_the_person() -> None:
    """No halo: right beside a red person on a grey wall the blurred wall stays grey."""
    image = np.full((360, 640, 3), 128, np.uint8)
    alpha = np.zeros((360, 640), np.uint8)
    image[:, 200:440] = PERSON
    alpha[:, 200:440] = 255
    out = np.empty_like(image)
    Blur((640, 360), 1.0).compose(cutout(image, alpha), out)
    beside = out[:, 185:198].astype(int)
    assert np.abs(beside - 128).max() <= 6
    assert (out[:, 210:430] == PERSON).all()


@pytest.mark.parametrize("size", [(16, 16), (5, 300), (1921, 1079), (8, 8)])
def test_blur_takes_any_size(size: tuple[int, int]) -> None:
    image = np.full((size[1], size[0], 3), 90, np.uint8)
    out = np.empty_like(image)
    background = Blur(size)
    for alpha in (0, 255):
        background.compose(cutout(image, np.full(image.shape[:2], alpha, np.uint8)), out)
        assert np.abs(out.astype(int) - 90).max() <= 1


def test_blur_is_the_same_with_the_segmenters_halves() -> None:
    rng = np.random.default_rng(1)
    levels: list[Image] = []
    for size in ((160, 96), (256, 144), (31, 17)):
        image = rng.integers(0, 256, (size[1], size[0], 3), np.uint8)
        alpha = rng.integers(0, 256, (size[1], size[0]), np.uint8)
        alone, shared = np.zeros_like(image), np.zeros_like(image)
        Blur(size).compose(cutout(image, alpha), alone)
        reduce(image, (40, 20), levels)
        given = Cutout(Frame(image, 0, 0.0, 0.0), alpha, levels)
        Blur(size).compose(given, shared)
        assert np.array_equal(alone, shared)


def coated() -> tuple[Image, Image, Image]:
    """A person in a dark coat before a bright, busy room, the edge soft; the coat alone; alpha."""
    rng = np.random.default_rng(3)
    room = np.asarray(rng.integers(150, 256, (360, 640, 3)), np.uint8)
    coat = np.empty_like(room)
    coat[:] = (60, 40, 20)
    coat[:, :, 0] += np.linspace(0, 60, 360, dtype=np.uint8)[:, None]
    alpha = np.zeros(room.shape[:2], np.uint8)
    alpha[100:, 200:440] = 255
    alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), 6), np.uint8)
    a = alpha[..., None] / 255
    return np.asarray(coat * a + room * (1 - a) + 0.5, np.uint8), coat, alpha


@pytest.mark.parametrize("spec", ["green", "black", "white", "picture", "transparent"])
def test_no_rim_of_the_room_surrounds_the_person(spec: str, tmp_path: Path) -> None:
    image, coat, alpha = coated()
    size, a = (640, 360), alpha[..., None] / 255
    behind = np.full_like(image, 77)
    if spec == "picture":
        cv2.imwrite(str(tmp_path / "p.png"), behind)
    background = open_background(str(tmp_path / "p.png") if spec == "picture" else spec, size)
    out = np.empty((360, 640, 4 if spec == "transparent" else 3), np.uint8)
    background.compose(cutout(image, alpha), out)
    soft = (alpha > 0) & (alpha < 255)
    if spec != "transparent":
        background.compose(cutout(image, np.zeros_like(alpha)), behind)
    truth, before = (x * a + behind * (1 - a) for x in (coat, image))
    got = out if spec != "transparent" else out[..., :3] * a + behind * (1 - a)
    error, error_before = (np.abs(x - truth)[soft].mean() for x in (got, before))
    assert error_before > 12
    assert error < 0.8 * error_before
    assert (out[alpha == 255][:, :3] == image[alpha == 255]).all()


def test_the_persons_colour_has_nothing_of_the_rooms_structure() -> None:
    """Where alpha is faint, and no person near, the room's pattern is all but gone."""
    image, _, alpha = coated()
    image[:80] = np.asarray((np.indices((80, 640)).sum(0) // 16 % 2 * 255)[..., None], np.uint8)
    alpha[:80] = 40
    out = np.empty_like(image)
    open_background("black", (640, 360)).compose(cutout(image, alpha), out)
    assert (image[:64] * (40 / 255)).std((0, 1)).min() > 18
    assert out[:64].std((0, 1)).max() < 3


def test_transparent_and_raw() -> None:
    image, alpha = empty()
    alpha[50:] = 255
    out = np.empty((*alpha.shape, 4), np.uint8)
    open_background("transparent", SIZE).compose(cutout(image, alpha), out)
    assert not out[:50].any()
    raw = np.empty_like(image)
    open_background("raw", SIZE).compose(cutout(image, alpha), raw)
    assert (raw[60:] == image[60:]).all()
    assert (raw[:40] != image[:40]).any(), "labelled as raw"
