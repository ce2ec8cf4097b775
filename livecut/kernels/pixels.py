"""Pictures from one pixel format to another on the CPU.

BGR and YUV are related by the matrix of ITU-R BT.601 or BT.709 in the limited range, in fixed
point. The formulas: `livecut.kernels.reference`.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numba import int32, uint8
from numpy.typing import NDArray

from livecut.frame import BT601, Image, Output, PixelFormat, Size, as_image, even, i420
from livecut.kernels import kernel
from livecut.kernels.constants import (
    CHROMA_RANGE,
    CHROMA_ZERO,
    LUMA_BLACK,
    LUMA_WHITE,
    MATRIX_BITS,
)

_TO_BGR = {"YUYV": cv2.COLOR_YUV2BGR_YUYV, "NV12": cv2.COLOR_YUV2BGR_NV12}


def yuv_matrix(red: float, blue: float) -> NDArray[np.int32]:
    """Matrix from BGR to YUV for a luma of these weights: (3, 3), in 1 / 2**MATRIX_BITS.

    The rows are Y, U and V without their offsets, the columns B, G and R.
    """
    green = 1 - red - blue
    rows = np.array(
        [
            np.array([blue, green, red]) * (LUMA_WHITE - LUMA_BLACK) / 255,
            np.array([1 - blue, -green, -red]) / (2 * (1 - blue)) * CHROMA_RANGE / 255,
            np.array([-blue, -green, 1 - red]) / (2 * (1 - red)) * CHROMA_RANGE / 255,
        ]
    )
    return np.round(rows * (1 << MATRIX_BITS)).astype(np.int32)


def convert(image: Image, pixel_format: PixelFormat) -> Image:
    """Convert a BGR picture, or BGRA for a transparent format; no copy where nothing changes."""
    if pixel_format.name in ("BGR", "BGRA"):
        return image
    if pixel_format.name == "RGBA":
        return as_image(cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA))
    size = image.shape[1], image.shape[0]
    if pixel_format.name == "YUYV":
        return _to_yuyv(image[:, : pixel_format.size(size)[0]], pixel_format)
    picture = I420(size, weights=pixel_format.weights)
    picture.convert(image)
    flat: Image = np.frombuffer(picture.data, np.uint8).copy()
    if pixel_format.name == "NV12":
        luma = 2 * flat.size // 3
        flat[luma:] = flat[luma:].reshape(2, -1).T.reshape(-1)
    return flat.reshape(pixel_format.shape(size))


def to_bgr(image: Image, pixel_format: PixelFormat) -> Image:
    """Convert a BGR, YUYV or NV12 picture to BGR as OpenCV does; no copy where it is BGR.

    YUYV and NV12 must be in BT.601, the only matrix that OpenCV knows.
    """
    if pixel_format.name == "BGR":
        return image
    assert pixel_format.weights == BT601
    return as_image(cv2.cvtColor(image, _TO_BGR[pixel_format.name]))


def flip(image: Image, pixel_format: PixelFormat, out: Image) -> None:
    """Write a BGR, YUYV or NV12 picture into `out` with left and right exchanged."""
    if pixel_format.name == "BGR":
        cv2.flip(image, 1, dst=out)
    elif pixel_format.name == "YUYV":
        height, width = image.shape[:2]
        pairs = cv2.flip(image.reshape(height, width // 2, 4), 1)
        # Y U Y V: the two lumas change places, channels 0 and 2.
        cv2.cvtColor(pairs, cv2.COLOR_BGRA2RGBA, dst=out.reshape(height, width // 2, 4))
    else:
        luma, width = image.shape[0] * 2 // 3, image.shape[1]
        cv2.flip(image[:luma], 1, dst=out[:luma])
        chroma = image[luma:].reshape(-1, width // 2, 2)
        cv2.flip(chroma, 1, dst=out[luma:].reshape(-1, width // 2, 2))


class I420:
    """A buffer of one I420 picture, and the conversion into it, which allocates nothing.

    The chroma is the mean of four pixels and lies in their centre ("420jpeg"). OpenCV's own
    conversion takes one pixel's chroma for four, which makes coloured edges ragged.
    """

    def __init__(
        self, size: Size, prefix: bytes = b"", weights: tuple[float, float] = BT601
    ) -> None:
        """Make a buffer for pictures of `size` (width, height).

        An odd last row or column is left out. `prefix` stands before the picture in `data`;
        `weights` are those of red and blue in the luma.
        """
        w, h = self.size = even(size)
        self.pixel_format = i420(weights)
        self.data = bytearray(prefix) + bytearray(w * h * 3 // 2)
        """`prefix`, then Y (h, w), U and V (h / 2, w / 2)."""
        self._flat = flat = np.frombuffer(self.data, np.uint8)[len(prefix) :]
        self._luma = flat[: w * h].reshape(h, w)
        self._u, self._v = flat[w * h :].reshape(2, h // 2, w // 2)
        self._matrix = yuv_matrix(*weights)

    def convert(self, image: Image) -> None:
        """Fill `data` from a BGR uint8 (H, W, 3) picture of the buffer's size."""
        _to_planes(image, self._matrix, self._luma, self._u, self._v)

    def take(self, output: Output) -> None:
        """Fill `data` from a picture of the buffer's size, in its own format or in BGR."""
        if output.pixel_format == self.pixel_format:
            np.copyto(self._flat, output.image.reshape(-1))
        else:
            self.convert(output.image)

    def fill(self, luma: int) -> None:
        """Fill `data` with one grey, of LUMA_BLACK to LUMA_WHITE."""
        self._luma[:] = luma
        self._u[:] = self._v[:] = CHROMA_ZERO


def _to_yuyv(image: Image, pixel_format: PixelFormat) -> Image:
    """Convert a BGR picture of even width; chroma is the mean of two pixels."""
    matrix = yuv_matrix(*pixel_format.weights) / (1 << MATRIX_BITS)
    height, width = image.shape[:2]
    out = np.empty((height, width // 2, 4), np.uint8)
    pairs = image.reshape(height, width // 2, 2, 3).astype(np.float32)
    out[..., 0::2] = pairs @ matrix[0] + (LUMA_BLACK + 0.5)
    out[..., 1::2] = pairs.mean(axis=2) @ matrix[1:].T + (CHROMA_ZERO + 0.5)
    return out.reshape(height, width, 2)


@kernel
def _to_planes(image: Any, matrix: Any, luma: Any, u: Any, v: Any) -> None:
    """Write luma (h, w) and chroma (h / 2, w / 2) of a BGR picture, by `yuv_matrix`."""
    height, width = luma.shape
    flat = image.reshape(image.shape[0], image.shape[1] * 3)
    half, black = int32(1 << (MATRIX_BITS - 1)), int32(LUMA_BLACK << MATRIX_BITS)
    zero = int32(CHROMA_ZERO << (MATRIX_BITS + 2)) + int32(1 << (MATRIX_BITS + 1))
    # LLVM vectorises the sums because the channels of two rows are apart, and because the matrix is
    # read inside the loops: taken out of them, its numbers would be widened to 64 bits.
    blue, green, red = np.empty((3, 2, width), np.uint8)
    k = matrix
    for y in range(0, height, 2):
        for near in range(2):
            row, b, g, r = flat[y + near], blue[near], green[near], red[near]
            for x in range(width):
                b[x] = row[3 * x]
                g[x] = row[3 * x + 1]
                r[x] = row[3 * x + 2]
            out = luma[y + near]
            for x in range(width):
                bgr = int32(b[x]) * k[0, 0] + int32(g[x]) * k[0, 1] + int32(r[x]) * k[0, 2]
                out[x] = uint8(int32(int32(bgr) + black + half) >> MATRIX_BITS)
        # Sums of four pixels: two bits more.
        for x in range(width // 2):
            b4, g4, r4 = _four(blue, x), _four(green, x), _four(red, x)
            cb = b4 * k[1, 0] + g4 * k[1, 1] + r4 * k[1, 2]
            cr = b4 * k[2, 0] + g4 * k[2, 1] + r4 * k[2, 2]
            u[y // 2, x] = uint8(int32(int32(cb) + zero) >> (MATRIX_BITS + 2))
            v[y // 2, x] = uint8(int32(int32(cr) + zero) >> (MATRIX_BITS + 2))


@kernel
def _four(rows: Any, x: Any) -> Any:
    """Sum of the four pixels of block `x` in two rows."""
    return int32(
        int32(rows[0, 2 * x])
        + int32(rows[0, 2 * x + 1])
        + int32(rows[1, 2 * x])
        + int32(rows[1, 2 * x + 1])
    )
