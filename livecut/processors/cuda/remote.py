"""What every processor has whose frames are sent away, and come back finished, in slots."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Generic, TypeVar

import numpy as np

from livecut.backgrounds.base import Background
from livecut.backgrounds.picture import Still
from livecut.backgrounds.video import Video
from livecut.errors import EngineError
from livecut.frame import Cutout, Frame, Image, PixelFormat
from livecut.kernels.pixels import convert, to_bgr
from livecut.processors.cuda.buffers import BufferPool, PinnedBuffer, Slot
from livecut.stats import Stats

P = TypeVar("P", bound=Slot)


class RemoteProcessor(Generic[P]):
    """Sends frames away and takes them back, in their order. See `livecut.processors.base.FrameProcessor`.

    `background` stands behind the first frames. Whoever extends it has `infer`, and what brings a
    picture to where the frames go.
    """

    def __init__(
        self, background: Background, *, temporal: bool, in_flight: int, stats: Stats | None
    ) -> None:
        self._temporal, self._in_flight = temporal, in_flight
        self._lending = BufferPool(self._packet)
        self.frames, self.outputs = self._lending.frames, self._lending.outputs
        self._stats = stats or Stats()
        self._slots: Sequence[P] = ()
        self._background = background
        self._shown: tuple[Background, int] | None = None
        self._count = 0
        self._steady = False
        self._down: P | None = None
        """What `compose` is to read."""
        self._landed: Frame | None = None
        """The frame that it is of."""
        self._backgrounds = threading.Lock()
        """Held while a background, which may be read by both halves' threads, makes a picture."""

    @abstractmethod
    def infer(self, frame: Frame, out: Image | None = None) -> P:
        """Send a frame on its way and return at once; all but the handing over is done there.

        `out` is where `finish` is to write its alpha; one of `outputs` it comes down to, and the composite
        to the other of the pair. Raises EngineError, and ConfigError where the background fails.
        """

    @abstractmethod
    def _packet(self, count: int) -> PinnedBuffer:
        """Memory of the host for so many bytes after a header, that copies are fast with."""

    @abstractmethod
    def _send(self, picture: Image) -> None:
        """Bring a picture (H, W, 3) to where it stands behind the frames sent from now on."""

    def failures(self) -> AbstractContextManager[None]:
        """Makes EngineErrors of what is raised there."""
        return nullcontext()

    def reset(self) -> None:
        """Forget the frames before."""
        self._steady = False

    def _load(
        self,
        frame: Frame,
        background: Background | None,
        pixel_format: PixelFormat,
        out: Image | None,
    ) -> P:
        """The next slot, which nothing is under way to, with the frame."""
        slot = self._slots[self._count % self._in_flight]
        self._count += 1
        if slot.frame is not None:  # given up, and perhaps under way still
            slot.wait()
        slot.background = background
        lent = self._lending.packet
        slot.take(
            frame, pixel_format, lent(frame.image, frame.pixel_format), lent(out, pixel_format)
        )
        slot.up.header[:] = frame.index, self._steady
        return slot

    def _show(self, background: Background | None, position: float) -> None:
        """Send what stands behind the person, where that is a picture and not there yet."""
        if not isinstance(background, Still | Video):
            return
        with self._backgrounds:
            picture = background.picture(position)
            if self._shown == (background, background.shown):
                return
            self._send(picture)
            self._shown = background, background.shown

    def finish(self, slot: P, out: Image | None = None) -> Cutout:
        """Wait for a frame that `infer` sent: its cutout, the alpha in `out`. Raises EngineError."""
        start = time.perf_counter()
        frame, self._down = slot.frame, None
        if frame is None:
            raise EngineError("this frame was handed over before")
        with self.failures():
            slot.wait()
        slot.frame = None
        receipt = slot.receipt()
        if receipt is None:
            self.reset()
            raise EngineError("the network gave no valid alpha (NaN or outside 0 to 1)")
        if receipt != frame.index:
            raise EngineError(f"frame {receipt} came from the device in place of {frame.index}")
        if out is None:
            out = np.empty(frame.shape, np.uint8)
        if self._lending.packet(out, slot.pixel_format) is not slot.down:
            np.copyto(out, slot.alpha())
        self._down, self._landed = slot, frame
        self._stats.add("network", time.perf_counter() - start)
        return Cutout(frame, out)

    def cut(self, frame: Frame, out: Image | None = None) -> Cutout:
        """`infer` and `finish`, one after the other."""
        return self.finish(self.infer(frame, out), out)

    def compose(self, background: Background, cutout: Cutout, out: Image) -> None:
        """Write the composite of the cutout that `finish` gave last into `out`, as it came down.

        A `background` that is new stands behind the frames that are sent from now on; one that has no
        scene is put there by the host. Raises EngineError for another cutout.
        """
        slot, frame = self._down, cutout.frame
        if slot is None or self._landed is not frame:
            raise EngineError(f"the composite that came down is not that of frame {frame.index}")
        if slot.background is None:
            self._compose_here(slot, background, cutout, out)
        elif self._lending.packet(out, slot.pixel_format) is not slot.down:
            np.copyto(out, slot.picture())
        if slot.frame is not None:
            raise EngineError(f"frame {slot.frame.index} was sent over frame {frame.index}")
        self._background = background

    def _compose_here(self, slot: P, background: Background, cutout: Cutout, out: Image) -> None:
        """`compose` by the host, of the bytes that went up."""
        frame = cutout.frame
        image = to_bgr(slot.image(frame.pixel_format), frame.pixel_format)
        made = np.empty((*frame.shape, 4 if slot.pixel_format.transparent else 3), np.uint8)
        with self._backgrounds:
            staged = Frame(image, frame.index, frame.timestamp, frame.position)
            background.compose(Cutout(staged, cutout.alpha), made)
        np.copyto(out, convert(made, slot.pixel_format))
