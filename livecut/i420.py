"""BGR to I420, BT.601 in the limited range: what a virtual camera and YUV4MPEG2 carry."""

from __future__ import annotations

import cv2
import numpy as np

from livecut.frame import Image

# The rows give U, V and nothing: from three channels to three OpenCV is ten times as fast as to two.
_CHROMA = np.array(
    [[0.4392, -0.2910, -0.1482, 128.0], [-0.0714, -0.3678, 0.4392, 128.0], [0.0, 0.0, 0.0, 0.0]],
    np.float32,
)


class I420:
    """A buffer of one I420 picture and the conversion into it; allocates nothing per frame.

    OpenCV's own conversion takes the chroma of one pixel in four, which makes coloured edges
    ragged. Here it is the mean of the four, so that it lies in their centre ("420jpeg").
    """

    def __init__(self, size: tuple[int, int], prefix: bytes = b"") -> None:
        """Room for a picture of `size` (width, height), of which an odd row or column is left out.

        `prefix` stands in front of the picture in `data`.
        """
        w, h = self.size = even(size)
        self.data = bytearray(prefix) + bytearray(w * h * 3 // 2)
        """`prefix`, then Y (h, w), U and V (h / 2, w / 2)."""
        flat: Image = np.frombuffer(self.data, np.uint8)[len(prefix) :]
        self._picture = flat.reshape(h * 3 // 2, w)
        self._luma = self._picture[:h]
        self._u, self._v = flat[w * h :].reshape(2, h // 2, w // 2)
        self._half = np.empty((h // 2, w // 2, 3), np.uint8)
        self._uv = np.empty((h // 2, w // 2, 3), np.uint8)

    def convert(self, image: Image) -> None:
        """Fills `data` from a BGR uint8 (H, W, 3) picture of the size given."""
        w, h = self.size
        image = image[:h, :w]
        cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420, dst=self._picture)
        cv2.resize(image, (w // 2, h // 2), dst=self._half, interpolation=cv2.INTER_AREA)
        cv2.transform(self._half, _CHROMA, dst=self._uv)
        cv2.extractChannel(self._uv, 0, dst=self._u)
        cv2.extractChannel(self._uv, 1, dst=self._v)

    def fill(self, luma: int) -> None:
        """Makes it one grey; `luma` 16 is black, 235 white."""
        self._picture[:] = 128
        self._luma[:] = luma


def even(size: tuple[int, int]) -> tuple[int, int]:
    """The size without its odd last column and row, which 4:2:0 cannot hold."""
    return size[0] & ~1, size[1] & ~1
