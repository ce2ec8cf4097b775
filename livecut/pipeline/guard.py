"""The fail-closed gate: nothing reaches a sink except through it.

A picture leaves only as the composite of a frame with the alpha that was computed from that very
frame, checked here; else a placeholder leaves that says what is wrong, without a pixel of the
camera.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from livecut.clock import CLOCK, Clock
from livecut.errors import EngineError, LivecutError
from livecut.frame import BGR, Buffer, Cutout, Frame, Image, Output, PixelFormat
from livecut.kernels.pixels import convert
from livecut.overlay import draw_notice
from livecut.urls import redact

FRESH = 2.0
"""Seconds after which a live frame is too old to be shown, whatever held it up."""


class Placeholder:
    """Pictures of `size` = (width, height) that say why there is no other.

    They are drawn when the text changes.
    """

    def __init__(
        self, size: tuple[int, int], pixel_format: PixelFormat = BGR, clock: Clock = CLOCK
    ) -> None:
        self._size, self.pixel_format, self._clock = size, pixel_format, clock
        self._drawn: tuple[str, Image] | None = None

    def __call__(self, reason: str) -> Output:
        """The placeholder for a reason, which must not be empty; its URLs go through `redact`."""
        reason = redact(reason)
        if self._drawn is None or self._drawn[0] != reason:
            image = draw_notice(reason, self._size, 4 if self.pixel_format.transparent else 3)
            self._drawn = reason, convert(image, self.pixel_format)
        return Output(self._drawn[1], None, -1, self._clock.now(), reason, self.pixel_format)


class Guard:
    """Makes the outputs of one run, for frames of `size` = (width, height).

    `segment` gives a frame's cutout, its alpha written into a buffer; `compose` writes the
    composite of a cutout into that buffer. `pixel_format` is that of placeholders. With `realtime`
    a failure gives a placeholder and the next frame is tried; else it is raised. `clock` is that of
    the frames' time stamps.
    """

    def __init__(
        self,
        size: tuple[int, int],
        *,
        segment: Callable[[Frame, Buffer], Cutout],
        compose: Callable[[Cutout, Buffer], None],
        pixel_format: PixelFormat = BGR,
        realtime: bool = False,
        clock: Clock = CLOCK,
    ) -> None:
        self._segment, self._compose, self._realtime = segment, compose, realtime
        self._placeholder, self._clock = Placeholder(size, pixel_format, clock), clock
        self._last = -1
        self.reason = ""
        """Why the last frame failed; empty where it did not."""

    def process(self, frame: Frame, out: Buffer) -> Output:
        """The output for `frame`: its composite and alpha in `out`, or a placeholder.

        `out` is a buffer for outputs of the frame's size. Raises what failed where the run is not
        `realtime`.
        """
        try:
            if self._realtime and self._clock.now() - frame.timestamp > FRESH:
                raise EngineError(f"the frame is more than {FRESH:g} s old")
            cutout = self._segment(frame, out)
            self._check(frame, cutout)
            self._compose(cutout, out)
            if self._realtime and self._clock.now() - frame.timestamp > FRESH:
                raise EngineError(f"the network took more than {FRESH:g} s")
        except Exception as error:
            if not self._realtime:
                raise
            known = isinstance(error, LivecutError)
            self.reason = str(error) if known else f"{type(error).__name__}: {error}"
            return self._placeholder(self.reason)
        self.reason = ""
        self._last = frame.index
        return Output(
            out.picture,
            cutout.alpha,
            frame.index,
            frame.timestamp,
            pixel_format=out.pixel_format,
            position=frame.position,
        )

    def _check(self, frame: Frame, cutout: Cutout) -> None:
        alpha = cutout.alpha
        if cutout.frame is not frame:
            raise EngineError(f"the alpha is of another frame than {frame.index}")
        if alpha.dtype != np.uint8 or alpha.shape != frame.shape:
            raise EngineError(f"the alpha is {alpha.dtype} {alpha.shape}, the frame {frame.shape}")
        if frame.index <= self._last:
            raise EngineError(f"frame {frame.index} came after frame {self._last}")
