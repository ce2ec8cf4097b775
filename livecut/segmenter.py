"""From an image to its alpha: reduce, run the network, smooth over time, refine at full size."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np

from livecut.engines import open_engine
from livecut.engines.base import Engine
from livecut.errors import EngineError
from livecut.frame import Cutout, Floats, Frame, Image, checked_alpha, checked_bgr
from livecut.kernels.constants import MAX_ALPHA, MOTION_WINDOW, SCENE_CUT
from livecut.kernels.guided_filter import GuidedFilter
from livecut.kernels.resize import reduce
from livecut.kernels.smoothing import smooth
from livecut.models import Target, input_size
from livecut.options import NetworkOptions
from livecut.stats import Stats

MOTION = np.ones((MOTION_WINDOW, MOTION_WINDOW), np.uint8)
"""The square around a pixel of alpha in which the largest change counts, for `cv2.dilate`."""


class Inference:
    """The network's result for one frame, in buffers of its own."""

    frame: Frame

    def __init__(self, small: Image, output: Floats) -> None:
        """Make buffers of the shapes of an engine's input and output."""
        self.small = np.empty_like(small)
        """The frame as the network saw it, BGR (h, w, 3)."""
        self.alpha = np.empty_like(output)
        """The network's alpha of it, in 0..1 where `valid`, of the output's size."""
        self.valid = False
        """Whether all of `alpha` is numbers in 0..1."""
        self.follows = False
        """Whether the frame before is of the same scene."""
        self.change = np.zeros(self.alpha.shape, np.uint8)
        """Difference from the frame before, 0..255 for each pixel of alpha, where `follows`."""
        self.levels: list[Image] = []
        """The frame halved and halved again, see `reduce`."""


class Segmenter:
    """Finds the person: image in, alpha out.

    >>> alpha = Segmenter()(cv2.imread("me.jpg"))   # doctest: +SKIP

    `model` is a shipped name or a path; `device` is one of `livecut.models.DEVICES`, or as in
    cuda:1; `engine` is auto (the fastest that was measured), openvino, onnx or torch; `threads`
    counts the network's CPU threads (0: half of the cores, at most 4). With `temporal`, each alpha
    is smoothed by the last, for consecutive frames; `reset()` and a cut to another scene forget the
    last. Raises ModelError, EngineError and ConfigError.

    One thread may `infer` the frames to come while another does `finish` those before, up to
    `in_flight` frames apart, all of one size. Any other use by two threads at once is an error.
    """

    def __init__(
        self,
        model: str | Path = NetworkOptions.model,
        *,
        device: str = NetworkOptions.device,
        engine: str | Engine = NetworkOptions.engine,
        threads: int = NetworkOptions.threads,
        temporal: bool = False,
        in_flight: int = 1,
        stats: Stats | None = None,
    ) -> None:
        if isinstance(engine, str):
            engine = open_engine(Target.parse(model, device, engine), threads=threads)
        self._engine = engine
        self.description = self._engine.description
        self._temporal = temporal
        self._stats = stats or Stats()
        self._in_flight = in_flight
        self._count = 0
        self._size = (0, 0)
        self.reset()

    def reset(self) -> None:
        """Forget the frames before: the next alpha is what a new segmenter would give."""
        self._seen = self._smoothing = False

    def _resize(self, width: int, height: int) -> None:
        engine = self._engine
        small = input_size(width, height, engine.area, engine.stride)
        engine.resize(*small)
        self._slots = [Inference(engine.input, engine.output) for _ in range(self._in_flight)]
        self._refine = GuidedFilter((width, height), small)
        self._last, self._difference = np.zeros((2, small[1], small[0], 3), np.uint8)
        self._grey = np.zeros(small[::-1], np.uint8)
        self._state = np.zeros_like(self._slots[0].alpha)
        self._size = (width, height)
        self.reset()

    def infer(self, frame: Frame) -> Inference:
        """Do the first half of `cut`: reduce the frame and run the network. Raises as a call.

        The inference is overwritten by the one `in_flight` calls later.
        """
        start = time.perf_counter()
        height, width = frame.image.shape[:2]
        if (width, height) != self._size:
            self._resize(width, height)
        inference = self._slots[self._count % self._in_flight]
        self._count += 1
        inference.frame = frame
        engine, small = self._engine, inference.small
        size = small.shape[1::-1]
        reduced = reduce(frame.image, size, inference.levels)
        cv2.resize(reduced, size, dst=small, interpolation=cv2.INTER_LINEAR)
        inference.follows = self._temporal and self._compare(small, inference.change)
        np.copyto(engine.input, small)
        engine.output.fill(np.nan)
        self._seen = False
        ready = time.perf_counter()
        engine.run()
        np.copyto(inference.alpha, engine.output)
        inference.valid = inference.alpha.min() >= 0.0 and inference.alpha.max() <= MAX_ALPHA
        self._seen = inference.valid
        self._stats.add("preprocess", ready - start)
        self._stats.add("network", time.perf_counter() - ready)
        return inference

    def finish(self, inference: Inference, out: Image | None = None) -> Cutout:
        """Do the second half of `cut`, for the inferences in their order. Raises EngineError."""
        start = time.perf_counter()
        alpha = inference.alpha
        if not inference.valid:
            self.reset()
            raise EngineError("the network gave no valid alpha (NaN or outside 0 to 1)")
        if self._temporal:
            self._smooth(inference)
        image = inference.frame.image
        if out is None:
            out = np.empty(image.shape[:2], np.uint8)
        self._refine(image, inference.small, alpha, out)
        self._stats.add("refine", time.perf_counter() - start)
        return Cutout(inference.frame, out, inference.levels)

    def _compare(self, image: Image, change: Image) -> bool:
        """Write the difference of `image` from the last; whether both are of the same scene."""
        cv2.absdiff(image, self._last, dst=self._difference)
        np.copyto(self._last, image)
        cv2.cvtColor(self._difference, cv2.COLOR_BGR2GRAY, dst=self._grey)
        cv2.resize(self._grey, change.shape[::-1], dst=change, interpolation=cv2.INTER_AREA)
        return self._seen and cv2.mean(change)[0] < SCENE_CUT

    def _smooth(self, inference: Inference) -> None:
        alpha, change = inference.alpha, inference.change
        if self._smoothing and inference.follows:
            cv2.dilate(change, MOTION, dst=change)
            smooth(alpha, self._state, change)
        else:
            np.copyto(self._state, alpha)
        self._smoothing = True

    def cut(self, frame: Frame, out: Image | None = None) -> Cutout:
        """Find the alpha of a BGR frame, in `out` uint8 (H, W) or a new array; raises as a call.

        The cutout's halves are overwritten by the next call.
        """
        return self.finish(self.infer(frame), out)

    def __call__(self, image: Image, out: Image | None = None) -> Image:
        """Find the alpha of a picture: uint8 (H, W), 255 = person, in `out` or a new array.

        `image` is BGR uint8 (H, W, 3), `out` uint8 (H, W); both may be views of any kind (a crop, a
        flip, `rgb[..., ::-1]`), which are copied where they are not C-contiguous. Raises TypeError
        or ValueError for anything else, EngineError where the network fails or gives anything but
        numbers in 0..1.
        """
        image = checked_bgr(image)
        if out is None:
            return self.cut(Frame(image, 0, 0.0, 0.0)).alpha
        checked_alpha(out, image.shape[:2], "out")
        if not out.flags.writeable:
            raise ValueError("out is read-only; expected an array that can be written")
        if out.flags.c_contiguous:
            return self.cut(Frame(image, 0, 0.0, 0.0), out).alpha
        np.copyto(out, self.cut(Frame(image, 0, 0.0, 0.0)).alpha)
        return out
