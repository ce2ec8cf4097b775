"""Small clips that tests write and read again."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from livecut.frame import Image
from livecut.sources import open_source
from livecut.sources.base import Source

RED, GREEN, BLUE = (0, 0, 255), (0, 255, 0), (255, 0, 0)


def flat(size: tuple[int, int], colour: tuple[int, int, int]) -> Image:
    image = np.empty((size[1], size[0], 3), np.uint8)
    image[:] = colour
    return image


def write(
    path: Path,
    images: list[Image],
    *,
    codec: str = "libx264",
    space: Colorspace = Colorspace.ITU709,
    colours: ColorRange = ColorRange.MPEG,
    tagged: bool = True,
    rate: int = 25,
    pixels: str = "yuv420p",
) -> Path:
    options = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with av.open(path, "w", options=options) as container:
        stream = container.add_stream(codec, rate)
        assert isinstance(stream, av.VideoStream)
        if codec == "libx264":
            stream.options = {"crf": "2", "g": "5", "bf": "0"}
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pixels
        if tagged:
            stream.codec_context.colorspace = space
            stream.codec_context.color_range = colours
        for image in images:
            frame = av.VideoFrame.from_ndarray(image, "bgr24").reformat(
                format=pixels, dst_colorspace=space, dst_color_range=colours
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def buffer(source: Source) -> Image:
    return np.full((source.size[1], source.size[0], 3), 77, np.uint8)


def colours(source: Source) -> list[tuple[int, int, int]]:
    """The colour in the middle of each frame until the end; closes the source."""
    out, found = buffer(source), list[tuple[int, int, int]]()
    with source:
        while source.read(out) is not None:
            blue, green, red = out[out.shape[0] // 2, out.shape[1] // 2].tolist()
            found.append((blue, green, red))
            out[:] = 77
        assert (out == 77).all(), "at the end the buffer is as it was"
    return found


def near(colour: tuple[int, ...], wanted: tuple[int, ...], tolerance: int = 8) -> bool:
    return all(abs(int(a) - b) <= tolerance for a, b in zip(colour, wanted, strict=True))


def shorten_demo(path: Path, count: int) -> Path:
    """Writes the first `count` frames of the demo clip as a video of its own."""
    with open_source("demo") as source:
        images = [buffer(source) for _ in range(count)]
        for image in images:
            source.read(image)
    return write(path, images, rate=30)
