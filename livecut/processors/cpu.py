"""Frames cut out and composited on the CPU."""

from __future__ import annotations

import time
from collections.abc import Sequence

from livecut.backgrounds.base import Background
from livecut.frame import (
    BGR,
    BGRA,
    Buffer,
    Cutout,
    Frame,
    PixelFormat,
    frame_buffers,
    output_buffers,
)
from livecut.segmenter import Inference, Segmenter
from livecut.stats import Stats


class CpuProcessor:
    """A `FrameProcessor` of a segmenter, whose network may run anywhere, and a background.

    Both note their times in `stats`.
    """

    takes: Sequence[PixelFormat] = (BGR,)
    frames, outputs = staticmethod(frame_buffers), staticmethod(output_buffers)

    def __init__(self, segmenter: Segmenter, background: Background, stats: Stats) -> None:
        self._segmenter, self._stats = segmenter, stats
        self.background = background
        self.description = segmenter.description

    def deliver(self, pixel_format: PixelFormat) -> PixelFormat:
        """BGR, or BGRA where a transparent format is asked for; `compose` writes no other."""
        return BGRA if pixel_format.transparent else BGR

    def reset(self) -> None:
        """Forget the frames before."""
        self._segmenter.reset()

    def infer(self, frame: Frame) -> Inference:
        """Reduce the frame and run the network. Raises EngineError."""
        return self._segmenter.infer(frame)

    def finish(self, inference: Inference, out: Buffer | None = None) -> Cutout:
        """The cutout of an inference. Raises EngineError."""
        return self._segmenter.finish(inference, None if out is None else out.alpha)

    def cut(self, frame: Frame, out: Buffer | None = None) -> Cutout:
        """`infer` and `finish`, one after the other."""
        return self.finish(self.infer(frame), out)

    def compose(self, cutout: Cutout, out: Buffer) -> None:
        """Write the cutout over the background into `out`. Raises LivecutError."""
        begun, background = time.perf_counter(), self.background
        background.compose(cutout, out.picture)
        self._stats.composed(begun, background.seconds)
