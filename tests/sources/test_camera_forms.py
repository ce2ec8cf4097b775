"""A camera that hands its pictures over as they are, with OpenCV replaced."""

from __future__ import annotations

import sys
from typing import Any

import cv2
import numpy as np
import pytest

from livecut.errors import SourceError
from livecut.frame import BGR, NV12, YUYV, Image, PixelFormat
from livecut.hardware import v4l2
from livecut.kernels.pixels import convert, to_bgr
from livecut.sources.camera import Camera
from livecut.testing import room_picture

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="V4L2 says what a camera gives")
BY_LETTERS = {"YUYV": YUYV, "NV12": NV12}


class Capture:
    """OpenCV's part, of a camera that gives `letters`."""

    letters = "YUYV"
    converts_always = False
    raw: Any = None
    """What comes in place of the picture that was agreed on."""
    size = (64, 48)

    def __init__(self, *_: object) -> None:
        self.set_to = {cv2.CAP_PROP_CONVERT_RGB: 1.0}

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def set(self, key: int, value: float) -> bool:
        if key != cv2.CAP_PROP_CONVERT_RGB or not self.converts_always:
            self.set_to[key] = value
        return True

    def get(self, key: int) -> float:
        known = {
            cv2.CAP_PROP_FRAME_WIDTH: self.size[0],
            cv2.CAP_PROP_FRAME_HEIGHT: self.size[1],
            cv2.CAP_PROP_FPS: 30.0,
            cv2.CAP_PROP_FOURCC: float(cv2.VideoWriter.fourcc(*self.letters)),
        }
        return known.get(key, self.set_to.get(key, 0.0))

    def grab(self) -> bool:
        return True

    def retrieve(self, out: Image) -> tuple[bool, Any]:
        pixel_format = BY_LETTERS.get(self.letters, YUYV)
        picture = convert(room_picture(*self.size), pixel_format)
        if self.set_to[cv2.CAP_PROP_CONVERT_RGB]:
            return True, to_bgr(picture, pixel_format)
        return True, picture if self.raw is None else self.raw

    def release(self) -> None:
        return


@pytest.fixture
def capture(monkeypatch: pytest.MonkeyPatch) -> type[Capture]:
    """The class of what every camera opens from now on."""

    class Fresh(Capture):
        pass

    device = v4l2.Device("/dev/video0", "fake", "uvcvideo", "usb-1", True, False)
    monkeypatch.setattr(v4l2, "devices", lambda: [device])
    monkeypatch.setattr(v4l2, "frame_sizes", lambda path, fourcc: [])
    monkeypatch.setattr(cv2, "VideoCapture", Fresh)
    return Fresh


def read(source: Camera) -> Image:
    out = np.full(source.pixel_format.shape(source.size), 7, np.uint8)
    assert source.read(out) is not None
    return out


@pytest.mark.parametrize("pixel_format", [YUYV, NV12], ids=str)
@pytest.mark.parametrize("flat", [False, True])
def test_hands_over_what_was_negotiated(
    capture: type[Capture], pixel_format: PixelFormat, flat: bool
) -> None:
    """In rows, or in one row as OpenCV gives what it does not know."""
    capture.letters = pixel_format.name
    expected = convert(room_picture(), pixel_format)
    capture.raw = expected.reshape(1, -1) if flat else None
    with Camera("0") as source:
        assert (source.pixel_format, source.native) == (BGR, pixel_format)
        assert (read(source) == to_bgr(expected, pixel_format)).all()
        assert source.give(pixel_format) == ""
        assert source.pixel_format == pixel_format
        assert (read(source) == expected).all()
        source.reopen()
        assert source.pixel_format == pixel_format, "asked for once is asked for again"
        assert (read(source) == expected).all()


@pytest.mark.parametrize(
    ("letters", "size"),
    [("MJPG", (64, 48)), ("BGR3", (64, 48)), ("YUYV", (65, 48)), ("NV12", (64, 47))],
)
def test_other_pictures_are_bgr(
    capture: type[Capture], letters: str, size: tuple[int, int]
) -> None:
    capture.letters, capture.size = letters, size
    with Camera("0") as source:
        assert source.native is None
        assert "gives no YUYV" in source.give(YUYV)
        assert source.pixel_format == BGR


def test_opencv_that_converts_all_the_same(capture: type[Capture]) -> None:
    capture.converts_always = True
    with Camera("0") as source:
        assert "hands over no YUYV of /dev/video0 (fake)" in source.give(YUYV)
        assert source.pixel_format == BGR
        assert read(source).shape == (48, 64, 3)


@pytest.mark.parametrize(
    "raw",
    [np.zeros((48, 64, 3), np.uint8), np.zeros((48, 64), np.uint16), np.zeros((1, 999), np.uint8)],
    ids=["BGR", "16 bits", "cut short"],
)
def test_what_was_not_agreed_on_is_no_picture(capture: type[Capture], raw: Any) -> None:
    with Camera("0") as source:
        source.give(YUYV)
        capture.raw = raw
        out = np.full(YUYV.shape(source.size), 7, np.uint8)
        with pytest.raises(SourceError, match=r"said YUYV and sent \d+ bytes.*taken as BGR"):
            source.read(out)
        assert (out == 7).all()
        assert source.pixel_format == BGR
        source.reopen()
        assert source.pixel_format == BGR
        assert read(source).shape == (48, 64, 3)
