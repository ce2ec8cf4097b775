"""Write the matte of every frame: python examples/matte.py VIDEO FOLDER"""

import sys
from pathlib import Path

import cv2

import livecut


def main(video: str, folder: str) -> None:
    """Write FOLDER/000000.png and so on, grey, 255 = person; OpenCV reads the video."""
    Path(folder).mkdir(exist_ok=True)
    segmenter = livecut.Segmenter(temporal=True)  # each alpha is steadied by the one before
    capture = cv2.VideoCapture(video)
    if not capture.isOpened():
        sys.exit(f"{video} cannot be opened")
    count = 0
    while True:
        there, image = capture.read()
        if not there:
            break
        cv2.imwrite(f"{folder}/{count:06}.png", segmenter(image))
        count += 1
    capture.release()
    print(f"{count} mattes in {folder}")


if __name__ == "__main__":
    main(*sys.argv[1:])
