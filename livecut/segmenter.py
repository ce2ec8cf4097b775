"""From an image to its alpha: reduce, run the network, steady, refine the edges, full size."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from livecut.compositor.cpu import apply_linear, settle
from livecut.engines import open_engine
from livecut.errors import EngineError
from livecut.frame import Image
from livecut.models import DEFAULT_MODEL, input_size
from livecut.stats import Stats

RADIUS = 4
"""Of the guided filter's window, in pixels of the network's input."""
EPSILON = 1e-3
"""The guided filter's regularisation, for grey in 0..1: edges of less contrast are smoothed over."""
MARGIN = 0.08
"""Alpha below this becomes 0, above 1 - this becomes 255: a wash of background is no person."""
KEEP, LIMIT = 0.6, 0.3
"""Of `settle`: the share of the last alpha kept where nothing moves, and the change that moves."""

Floats = NDArray[np.float32]


def reduce(image: Image, least: tuple[int, int], levels: list[Image]) -> Image:
    """`image` halved by averaging while it is at least twice `least` = (width, height) in size.

    `levels` holds the buffers, is filled at the first call, and must be emptied when the image's
    size changes. OpenCV averages 2x2 blocks with SIMD, any other reduction several times slower.
    """
    level = 0
    while image.shape[1] >= 2 * least[0] and image.shape[0] >= 2 * least[1]:
        if level == len(levels):
            shape = (image.shape[0] // 2, image.shape[1] // 2, *image.shape[2:])
            levels.append(np.empty(shape, np.uint8))
        half = levels[level]
        cv2.resize(image, half.shape[1::-1], dst=half, interpolation=cv2.INTER_AREA)
        image, level = half, level + 1
    return image


class GuidedFilter:
    """Moves the edges of a small alpha to the edges of the full-size picture.

    The fast guided filter (He, Sun and Tang 2013; He and Sun 2015) with a grey guide: a linear model
    alpha = slope * grey + offset is fitted in each window at the network's input size, and applied at
    full size.
    """

    def __init__(self, full: tuple[int, int], small: tuple[int, int]) -> None:
        (width, height), (w, h) = full, small
        self._window = (2 * RADIUS + 1, 2 * RADIUS + 1)
        self._small, self._full = small, full
        self._grey8 = np.empty((h, w), np.uint8)
        planes = [np.empty((h, w), np.float32) for _ in range(7)]
        self._guide, self._p, self._mean_i, self._mean_p, self._ip, self._ii, self._t = planes
        self._slope = np.empty((h, width), np.float32)
        self._offset = np.empty((h, width), np.float32)
        self._grey = np.empty((height, width), np.uint8)

    def _box(self, plane: Floats, out: Floats) -> None:
        cv2.blur(plane, self._window, dst=out, borderType=cv2.BORDER_REFLECT)

    def __call__(self, image: Image, small_image: Image, alpha: Floats, out: Image) -> None:
        """Refine `alpha` (float32 in 0..1, any size) into `out` uint8 (H, W) by `image` (H, W, 3)."""
        guide, p, slope, offset = self._guide, self._p, self._ip, self._ii
        cv2.cvtColor(small_image, cv2.COLOR_BGR2GRAY, dst=self._grey8)
        np.multiply(self._grey8, np.float32(1 / 255), out=guide)
        cv2.resize(alpha, self._small, dst=p, interpolation=cv2.INTER_LINEAR)
        self._box(guide, self._mean_i)
        self._box(p, self._mean_p)
        np.multiply(guide, p, out=self._t)
        self._box(self._t, slope)
        np.multiply(guide, guide, out=self._t)
        self._box(self._t, offset)
        # slope = cov(I, p) / (var(I) + eps); offset = mean(p) - slope * mean(I)
        np.multiply(self._mean_i, self._mean_p, out=self._t)
        slope -= self._t
        np.multiply(self._mean_i, self._mean_i, out=self._t)
        offset -= self._t
        offset += EPSILON
        slope /= offset
        np.multiply(slope, self._mean_i, out=self._t)
        np.subtract(self._mean_p, self._t, out=offset)
        self._box(slope, self._mean_i)
        self._box(offset, self._mean_p)
        # to grey levels, and the margins cut off
        gain = 1 / (1 - 2 * MARGIN)
        np.multiply(self._mean_i, np.float32(gain), out=self._mean_i)
        np.multiply(self._mean_p, np.float32(255 * gain), out=self._mean_p)
        self._mean_p -= np.float32(255 * gain * MARGIN - 0.5)
        size = (self._full[0], self._small[1])
        cv2.resize(self._mean_i, size, dst=self._slope, interpolation=cv2.INTER_LINEAR)
        cv2.resize(self._mean_p, size, dst=self._offset, interpolation=cv2.INTER_LINEAR)
        cv2.cvtColor(image, cv2.COLOR_BGR2GRAY, dst=self._grey)
        apply_linear(self._grey, self._slope, self._offset, out)


class Segmenter:
    """Finds the person: image in, alpha out.

    >>> alpha = Segmenter()(cv2.imread("me.jpg"))   # doctest: +SKIP

    `model` is a shipped name or a path; `device` is auto, cpu, cuda or cuda:N; `engine` is auto, onnx
    or torch; `threads` counts the network's CPU threads (0: livecut chooses). With `temporal`, each
    alpha is steadied by the last, for consecutive frames; `reset()` forgets the last. Raises
    ModelError, EngineError and ConfigError. Not to be used by two threads at once.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        *,
        device: str = "auto",
        engine: str = "auto",
        threads: int = 0,
        temporal: bool = False,
        stats: Stats | None = None,
    ) -> None:
        self._engine = open_engine(model, engine=engine, device=device, threads=threads)
        self.description = self._engine.description
        self._temporal = temporal
        self._stats = stats or Stats()
        self._size = (0, 0)
        self._steady = False

    def reset(self) -> None:
        """Forget the frames before: the next alpha is what a new segmenter would give."""
        self._steady = False

    def _resize(self, width: int, height: int) -> None:
        small = input_size(width, height, self._engine.area, self._engine.stride)
        self._engine.resize(*small)
        self._levels: list[Image] = []
        self._refine = GuidedFilter((width, height), small)
        self._state = np.zeros_like(self._engine.output)
        self._size = (width, height)
        self.reset()

    def __call__(self, image: Image, out: Image | None = None) -> Image:
        """The alpha of `image`: uint8 (H, W), 255 = person, written into `out` where that is given.

        `image` is BGR uint8 (H, W, 3), C-contiguous. Raises TypeError or ValueError for another form,
        EngineError where the network fails or gives anything but numbers in 0..1.
        """
        if image.dtype != np.uint8:
            raise TypeError(f"image is {image.dtype}; expected uint8")
        if image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ValueError(f"image has shape {image.shape}; expected BGR (H, W, 3)")
        start = time.perf_counter()
        height, width = image.shape[:2]
        if (width, height) != self._size:
            self._resize(width, height)
        engine = self._engine
        small = engine.input.shape[1::-1]
        reduced = reduce(image, small, self._levels)
        cv2.resize(reduced, small, dst=engine.input, interpolation=cv2.INTER_LINEAR)
        engine.output.fill(np.nan)
        ready = time.perf_counter()
        engine.run()
        alpha = engine.output
        if not (alpha.min() >= 0.0 and alpha.max() <= 1.0):
            self.reset()
            raise EngineError("the network gave no valid alpha (NaN or outside 0 to 1)")
        done = time.perf_counter()
        if self._temporal:
            if self._steady:
                settle(alpha, self._state, KEEP, LIMIT)
            else:
                np.copyto(self._state, alpha)
            self._steady = True
        if out is None:
            out = np.empty((height, width), np.uint8)
        self._refine(image, engine.input, alpha, out)
        self._stats.add("preprocess", ready - start)
        self._stats.add("network", done - ready)
        self._stats.add("refine", time.perf_counter() - done)
        return out
