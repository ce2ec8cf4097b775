"""Pictures in every pixel format on the CPU, against the reference."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from livecut.frame import (
    BGR,
    BGRA,
    BT601,
    BT709,
    NV12,
    RGBA,
    YUYV,
    Frame,
    Image,
    Output,
    PixelFormat,
    as_image,
    i420,
)
from livecut.kernels import reference
from livecut.kernels.pixels import I420, convert, flip, to_bgr
from livecut.sinks import open_sink
from livecut.sinks.pipe import Pipe
from livecut.sources import open_source
from tests.kernels import cases

SIZES = [(64, 48), (61, 43), (62, 43), (61, 44)]


FORMATS = [YUYV, NV12, i420(BT601), i420(BT709), PixelFormat("YUYV", BT709)]


def every_pair() -> Image:
    """A YUYV picture of luma in steps of 3 and chroma in steps of 5, all with all."""
    y, u, v = np.meshgrid(np.arange(0, 256, 3), *[np.arange(0, 256, 5)] * 2, indexing="ij")
    quads = np.stack([y, u, y, v], -1).reshape(86, -1, 4).astype(np.uint8)
    return quads.reshape(86, -1, 2)


def picture(size: tuple[int, int], channels: int = 3) -> Image:
    """Smooth colours, and noise in a corner."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (4, 5, channels), np.uint8)
    image = as_image(cv2.resize(small, size, interpolation=cv2.INTER_CUBIC))
    corner = image[:16, :16]
    corner[:] = rng.integers(0, 256, corner.shape)
    return image


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pixel_format", [BGR, BGRA, RGBA, YUYV, NV12, i420(BT709)])
def test_a_form_knows_its_array(pixel_format: PixelFormat, size: tuple[int, int]) -> None:
    got = convert(picture(size, 4 if pixel_format.transparent else 3), pixel_format)
    assert got.dtype == np.uint8
    assert got.shape == pixel_format.shape(size)
    assert got.size == pixel_format.count(size)
    w, h = pixel_format.size(size)
    if not pixel_format.transparent:
        assert Frame(got, 0, 0.0, 0.0, pixel_format).shape == (h, w)


@pytest.mark.parametrize("size", [*SIZES, (2, 2), (320, 181)])
@pytest.mark.parametrize("pixel_format", FORMATS, ids=str)
def test_converts(pixel_format: PixelFormat, size: tuple[int, int]) -> None:
    """One level apart where fixed point rounds otherwise, seldom."""
    for image in (picture(size), cases.picture(size)):
        expected = reference.from_bgr(image, pixel_format)
        difference = cases.apart(convert(image, pixel_format), expected)
        assert difference.max() <= 1
        assert difference.mean() <= 0.01


@pytest.mark.parametrize("pixel_format", [YUYV, NV12], ids=str)
def test_converts_back(pixel_format: PixelFormat) -> None:
    """One level apart: OpenCV's coefficients have fewer digits."""
    for image in (picture((64, 48)), cases.noise((64, 48))):
        raw = convert(image, pixel_format)
        difference = cases.apart(to_bgr(raw, pixel_format), reference.to_bgr(raw, pixel_format))
        assert difference.max() <= 1
        assert difference.mean() <= 0.25


def test_converts_back_every_pair_of_bytes() -> None:
    """All of luma and chroma, out of range too: OpenCV clamps as the reference does."""
    raw = every_pair()
    assert cases.apart(to_bgr(raw, YUYV), reference.to_bgr(raw, YUYV)).max() <= 1


@pytest.mark.parametrize("size", SIZES)
def test_nv12_is_i420_with_its_chroma_interleaved(size: tuple[int, int]) -> None:
    image = picture(size)
    planes = I420(size)
    planes.convert(image)
    w, h = planes.size
    data = np.frombuffer(planes.data, np.uint8)
    got = convert(image, NV12).reshape(-1)
    assert (got[: w * h] == data[: w * h]).all()
    assert (got[w * h :: 2] == data[w * h : w * h * 5 // 4]).all()
    assert (got[w * h + 1 :: 2] == data[w * h * 5 // 4 :]).all()


@pytest.mark.parametrize("pixel_format", [YUYV, NV12])
def test_there_and_back_by_opencv(pixel_format: PixelFormat) -> None:
    """OpenCV's own, where colours are smooth; it has no coarser rounding than two levels."""
    image = picture((64, 48))
    back = to_bgr(convert(image, pixel_format), pixel_format)
    assert np.abs(back.astype(int) - image)[20:, 20:].mean() < 4
    grey = np.full((48, 64, 3), 128, np.uint8)
    assert np.abs(to_bgr(convert(grey, pixel_format), pixel_format).astype(int) - grey).max() <= 2


@pytest.mark.parametrize("pixel_format", [BGR, YUYV, NV12])
def test_flipped_is_flipped(pixel_format: PixelFormat) -> None:
    raw = convert(picture((64, 48)), pixel_format)
    out = np.zeros_like(raw)
    flip(raw, pixel_format, out)
    assert (to_bgr(out, pixel_format) == to_bgr(raw, pixel_format)[:, ::-1]).all()


def piped(output: Output, size: tuple[int, int]) -> bytes:
    """What the pipe sends of one picture."""
    read_end, write_end = os.pipe()
    with Pipe(size, 30, fd=write_end) as sink:
        sink.write(output)
    os.close(write_end)
    with open(read_end, "rb") as file:
        return file.read()


def test_the_pipe_takes_i420_as_it_is() -> None:
    size = (61, 43)
    image = picture(size)
    pixel_format = Pipe(size, 30, fd=os.open(os.devnull, os.O_WRONLY)).pixel_format
    assert pixel_format == i420(BT601)
    own = Output(convert(image, pixel_format), None, 0, 0.0, pixel_format=pixel_format)
    assert piped(own, size) == piped(Output(image, None, 0, 0.0), size)


@pytest.mark.parametrize("size", [(320, 180), (161, 91)])
def test_a_video_of_i420_is_that_of_bgr(tmp_path: Path, size: tuple[int, int]) -> None:
    """FFmpeg's conversion and livecut's differ by a level, coding by one or two more."""
    image, frames = picture(size), []
    for name in ("own.mp4", "bgr.mp4"):
        with open_sink(str(tmp_path / name), size=size, fps=30) as sink:
            assert sink.pixel_format == i420(BT709)
            pixel_format = sink.pixel_format if name == "own.mp4" else BGR
            for index in range(3):
                sink.write(
                    Output(
                        convert(image, pixel_format), None, index, 0.0, pixel_format=pixel_format
                    )
                )
        with open_source(str(tmp_path / name)) as source:
            out = np.zeros((source.size[1], source.size[0], 3), np.uint8)
            source.read(out)
            frames.append(out)
    assert np.abs(frames[0].astype(int) - frames[1]).mean() < 1.5


def test_sinks_refuse_forms_that_they_did_not_announce(tmp_path: Path) -> None:
    size, image = (64, 48), picture((64, 48))
    other = i420(BT709)
    with (
        Pipe(size, 30, fd=os.open(os.devnull, os.O_WRONLY)) as sink,
        pytest.raises(ValueError, match="expected"),
    ):
        sink.write(Output(convert(image, other), None, 0, 0.0, pixel_format=other))
    for uri in (str(tmp_path / "a.png"), "null"):
        with open_sink(uri, size=size, fps=30) as sink, pytest.raises(ValueError, match="expected"):
            sink.write(Output(convert(image, NV12), None, 0, 0.0, pixel_format=NV12))
    with open_sink(str(tmp_path / "a.webm"), size=size, fps=30, transparent=True) as sink:
        assert sink.pixel_format is None
