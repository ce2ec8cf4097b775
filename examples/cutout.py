"""Cut the person out of a picture: python examples/cutout.py PICTURE OUT.png"""

import sys

import cv2
import numpy as np

import livecut


def main(picture: str, out: str) -> None:
    """Write OUT as a PNG with the picture's colours and the person as its alpha channel."""
    image = cv2.imread(picture)
    if image is None:
        sys.exit(f"{picture} is not a picture")
    alpha = livecut.Segmenter("quality")(image)
    cv2.imwrite(out, np.dstack([image, alpha]))


if __name__ == "__main__":
    main(*sys.argv[1:])
