"""Pictures from one form to another on the host, where it is not done once for every frame."""

from __future__ import annotations

import cv2
import numpy as np

from livecut.form import BT601, Form
from livecut.frame import Image, as_image
from livecut.i420 import I420, coefficients

_TO_BGR = {"YUYV": cv2.COLOR_YUV2BGR_YUYV, "NV12": cv2.COLOR_YUV2BGR_NV12}


def convert(image: Image, form: Form) -> Image:
    """A BGR picture, or BGRA for a transparent form, in another form."""
    if form.name in ("BGR", "BGRA"):
        return image
    if form.name == "RGBA":
        return as_image(cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA))
    size = image.shape[1], image.shape[0]
    if form.name == "YUYV":
        return _to_yuyv(image[:, : form.size(size)[0]], form)
    picture = I420(size, weights=form.weights)
    picture.convert(image)
    flat: Image = np.frombuffer(picture.data, np.uint8).copy()
    if form.name == "NV12":
        luma = 2 * flat.size // 3
        flat[luma:] = flat[luma:].reshape(2, -1).T.reshape(-1)
    return flat.reshape(form.shape(size))


def _to_yuyv(image: Image, form: Form) -> Image:
    """Chroma is the mean of two pixels."""
    k = coefficients(*form.weights) / (1 << 15)
    height, width = image.shape[:2]
    out = np.empty((height, width // 2, 4), np.uint8)
    pairs = image.reshape(height, width // 2, 2, 3).astype(np.float32)
    out[..., 0::2] = pairs @ k[0] + 16.5
    out[..., 1::2] = pairs.mean(axis=2) @ k[1:].T + 128.5
    return out.reshape(height, width, 2)


def to_bgr(image: Image, form: Form) -> Image:
    """A BGR, YUYV or NV12 picture as BGR, as OpenCV gives a camera's."""
    if form.name == "BGR":
        return image
    assert form.weights == BT601
    return as_image(cv2.cvtColor(image, _TO_BGR[form.name]))


def flip(image: Image, form: Form, out: Image) -> None:
    """Write a BGR, YUYV or NV12 picture into `out` with left and right exchanged."""
    if form.name == "BGR":
        cv2.flip(image, 1, dst=out)
    elif form.name == "YUYV":
        height, width = image.shape[:2]
        pairs = cv2.flip(image.reshape(height, width // 2, 4), 1)
        # Y U Y V: the two lumas change places, channels 0 and 2.
        cv2.cvtColor(pairs, cv2.COLOR_BGRA2RGBA, dst=out.reshape(height, width // 2, 4))
    else:
        luma, width = image.shape[0] * 2 // 3, image.shape[1]
        cv2.flip(image[:luma], 1, dst=out[:luma])
        chroma = image[luma:].reshape(-1, width // 2, 2)
        cv2.flip(chroma, 1, dst=out[luma:].reshape(-1, width // 2, 2))
