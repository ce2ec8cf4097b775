"""Two halves of a frame's way on two threads: the network of the frames to come beside the rest."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

from livecut.frame import Buffer, Cutout, Frame
from livecut.processors.base import FrameProcessor


class Prefetcher:
    """Reads frames in order, as many ahead as there are `buffers` to hold them, and infers them.

    `read` gets a frame's number and a buffer to write it into, and gives the frame, or None at the
    end; it is called by the thread that calls `next`. The network runs on a thread of its own,
    unless there is only one buffer.
    """

    def __init__(
        self,
        read: Callable[[int, Buffer], Frame | None],
        processor: FrameProcessor,
        buffers: Sequence[Buffer],
    ) -> None:
        self._read, self._processor, self._buffers = read, processor, buffers
        self._network = ThreadPoolExecutor(1, "network") if len(buffers) > 1 else None
        self._waiting: deque[tuple[Frame, Future[Any] | None]] = deque()
        self._inference: Future[Any] | None = None
        self._index = 0
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._network is not None:
            self._network.shutdown(cancel_futures=True)

    def next(self) -> Frame | None:
        """The frame to process now, once the one before is done with; None after the last."""
        while len(self._waiting) < len(self._buffers) and not self._ended:
            frame = self._read(self._index, self._buffers[self._index % len(self._buffers)])
            if frame is None:
                self._ended = True
                break
            infer = self._processor.infer
            job = self._network.submit(infer, frame) if self._network else None
            self._waiting.append((frame, job))
            self._index += 1
        if not self._waiting:
            return None
        frame, self._inference = self._waiting.popleft()
        return frame

    def cut(self, frame: Frame, out: Buffer) -> Cutout:
        """The cutout of the frame that `next` gave last; raises as `FrameProcessor.cut`."""
        if self._inference is None:
            return self._processor.cut(frame, out)
        return self._processor.finish(self._inference.result(), out)
