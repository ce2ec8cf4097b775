"""A background of one's own behind the person: python examples/own_background.py SOURCE OUT.mp4"""

import sys

import cv2
import numpy as np

import livecut


def main(source: str, out: str) -> None:
    """Write OUT: the person before a sky whose colours change from frame to frame."""
    writer = None
    for number, cutout in enumerate(livecut.stream(source)):
        height, width = cutout.alpha.shape
        rows = np.linspace(0, 60, height) + number
        hue = np.repeat(rows[:, None], width, axis=1) % 180
        full = np.full_like(hue, 160)
        sky = cv2.cvtColor(np.dstack([hue, full, full]).astype(np.uint8), cv2.COLOR_HSV2BGR)
        picture = livecut.composite(cutout.image, cutout.alpha, sky)
        if writer is None:
            code = cv2.VideoWriter.fourcc(*"mp4v")
            writer = cv2.VideoWriter(out, code, 30, (width, height))
        writer.write(picture)
    if writer is not None:
        writer.release()


if __name__ == "__main__":
    main(*sys.argv[1:])
