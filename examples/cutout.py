"""Cut the person out of a picture: python examples/cutout.py PICTURE OUT.png"""

import sys

import cv2

import livecut


def main(picture: str, out: str) -> None:
    """Write OUT as a PNG: the person alone, their own colours at the edges, and alpha."""
    image = cv2.imread(picture)
    if image is None:
        sys.exit(f"{picture} is not a picture")
    alpha = livecut.Segmenter("quality")(image)
    cv2.imwrite(out, livecut.composite(image, alpha, "transparent"))


if __name__ == "__main__":
    main(*sys.argv[1:])
