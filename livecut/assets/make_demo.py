"""Makes demo.mp4: a virtual camera that moves over a portrait.

python make_demo.py PORTRAIT OUT
"""

from __future__ import annotations

import sys
from itertools import pairwise
from math import cos, pi, radians, sin

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

SIZE, FPS = (640, 360), 30

# Seconds; then the view's centre and width, in pixels of the 512x512 portrait, and its tilt in
# degrees. The last view is the first, so the clip loops without a jump.
VIEWS = [
    (0.0, 240.0, 140.0, 450.0, 0.0),
    (1.5, 262.0, 128.0, 415.0, 1.4),
    (3.0, 222.0, 130.0, 420.0, -1.2),
    (4.5, 250.0, 148.0, 480.0, 0.6),
    (6.0, 240.0, 140.0, 450.0, 0.0),
]


def view(time: float) -> tuple[float, ...]:
    """Centre x, centre y, width and tilt at `time`; slow at each of VIEWS, fast in between."""
    start, end = next(pair for pair in pairwise(VIEWS) if time < pair[1][0])
    part = 0.5 - 0.5 * cos(pi * (time - start[0]) / (end[0] - start[0]))
    return tuple(a + part * (b - a) for a, b in zip(start[1:], end[1:], strict=True))


def main(portrait: str, out: str) -> None:
    """Read the picture `portrait` and write the H.264 video `out`."""
    image = cv2.imread(portrait)
    if image is None:
        sys.exit(f"{portrait} is not a picture")
    width, height = SIZE
    with av.open(out, "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", FPS, options={"crf": "20", "preset": "slow"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.colorspace = stream.codec_context.color_primaries = Colorspace.ITU709
        stream.codec_context.color_trc = Colorspace.ITU709
        stream.codec_context.color_range = ColorRange.MPEG
        for index in range(round(VIEWS[-1][0] * FPS)):
            x, y, span, tilt = view(index / FPS)
            a, b = span / width * cos(radians(tilt)), span / width * sin(radians(tilt))
            # From a pixel of the video to the point of the portrait that it shows.
            matrix = np.array(
                [
                    [a, -b, x - a * width / 2 + b * height / 2],
                    [b, a, y - b * width / 2 - a * height / 2],
                ]
            )
            flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
            picture = cv2.warpAffine(
                image, matrix, SIZE, flags=flags, borderMode=cv2.BORDER_REPLICATE
            )
            frame = av.VideoFrame.from_ndarray(np.asarray(picture, np.uint8), "bgr24").reformat(
                format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
