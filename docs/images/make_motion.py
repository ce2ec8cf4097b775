"""Make motion.webp, the moving picture of the README: a virtual camera over office.jpg, cut out.

python docs/images/make_motion.py STARS.jpg

STARS.jpg is any landscape picture; ours is skimage/data/hubble_deep_field.jpg. Needs Pillow, which
the extra `bench` brings.
"""

from __future__ import annotations

import sys
import tempfile
from itertools import pairwise
from math import cos, pi
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import livecut

HERE = Path(__file__).parent
SIZE, SHOWN, FPS = (1280, 720), (640, 360), 15
Picture = NDArray[np.uint8]

# Seconds; then the view's centre and width in pixels of office.jpg. The first is also the last, so
# that the picture loops without a jump.
VIEWS = [
    (0.0, 610.0, 355.0, 1220.0),
    (2.0, 690.0, 345.0, 1160.0),
    (4.0, 600.0, 350.0, 1120.0),
    (6.0, 670.0, 362.0, 1190.0),
    (8.0, 610.0, 355.0, 1220.0),
]
# Seconds at which each picture begins to be wiped in from the left, and its `livecut run -b`.
SCENES = [(1.4, "blur"), (3.4, "STARS"), (5.4, "green"), (7.2, "")]
WIPE = 0.6


def eased(part: float) -> float:
    """0..1 to 0..1, slow at both ends."""
    return 0.5 - 0.5 * cos(pi * min(max(part, 0.0), 1.0))


def camera(photograph: Picture, index: int) -> Picture:
    """BGR (720, 1280, 3): what the virtual camera sees in frame `index`."""
    time = index / FPS
    start, end = next(pair for pair in pairwise(VIEWS) if time < pair[1][0])
    part = eased((time - start[0]) / (end[0] - start[0]))
    x, y, width = (a + part * (b - a) for a, b in zip(start[1:], end[1:], strict=True))
    scale = SIZE[0] / width
    matrix = np.array([[scale, 0, SIZE[0] / 2 - scale * x], [0, scale, SIZE[1] / 2 - scale * y]])
    return np.asarray(cv2.warpAffine(photograph, matrix, SIZE, flags=cv2.INTER_CUBIC), np.uint8)


def write_clip(path: Path, photograph: Picture) -> None:
    """Write the virtual camera's clip, in H.264 at high quality."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", FPS, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.colorspace = stream.codec_context.color_primaries = Colorspace.ITU709
        stream.codec_context.color_trc = Colorspace.ITU709
        stream.codec_context.color_range = ColorRange.MPEG
        for index in range(round(VIEWS[-1][0] * FPS)):
            frame = av.VideoFrame.from_ndarray(camera(photograph, index), "bgr24")
            frame = frame.reformat(
                format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def read_folder(folder: Path) -> list[Image.Image]:
    """The pictures of a folder in their order, at the size that is shown."""
    paths = sorted(folder.glob("*.png"))
    return [
        Image.open(path).convert("RGB").resize(SHOWN, Image.Resampling.LANCZOS) for path in paths
    ]


def label(picture: Image.Image, text: str) -> None:
    """Write `text` into the lower left corner."""
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(20)
    left, top, right, bottom = draw.textbbox((14, SHOWN[1] - 36), text, font=font)
    draw.rounded_rectangle((left - 7, top - 5, right + 7, bottom + 5), 6, fill=(20, 20, 20))
    draw.text((14, SHOWN[1] - 36), text, font=font, fill=(255, 255, 255))


def main(stars: str) -> None:
    """Write motion.webp beside this file."""
    photograph = np.asarray(cv2.imread(str(HERE / "office.jpg")), np.uint8)
    labels = {"": "the camera", "blur": "-b blur", "STARS": "-b stars.jpg", "green": "-b green"}
    with tempfile.TemporaryDirectory() as scratch:
        clip = Path(scratch) / "clip.mp4"
        write_clip(clip, photograph)
        made = {}
        for name in ("blur", "STARS", "green"):
            folder = Path(scratch) / name
            background = stars if name == "STARS" else name
            livecut.Pipeline(str(clip), background, [f"{folder}/"]).run()
            made[name] = read_folder(folder)
    made[""] = [
        Image.fromarray(cv2.cvtColor(camera(photograph, i), cv2.COLOR_BGR2RGB)).resize(
            SHOWN, Image.Resampling.LANCZOS
        )
        for i in range(len(made["blur"]))
    ]
    for name, pictures in made.items():
        for picture in pictures:
            label(picture, labels[name])
    frames = []
    for index in range(len(made[""])):
        shown, time = made[""][index].copy(), index / FPS
        for start, name in SCENES:
            edge = round(SHOWN[0] * eased((time - start) / WIPE))
            shown.paste(made[name][index].crop((0, 0, edge, SHOWN[1])), (0, 0))
            if 0 < edge < SHOWN[0]:
                ImageDraw.Draw(shown).line((edge, 0, edge, SHOWN[1]), (255, 255, 255), 2)
        frames.append(shown)
    frames[0].save(
        HERE / "motion.webp",
        save_all=True,
        append_images=frames[1:],
        duration=round(1000 / FPS),
        loop=0,
        quality=60,
        method=6,
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
