"""Two halves of a frame's way on two threads: the network of those to come beside the rest."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

from livecut.frame import Cutout, Frame, Image
from livecut.processors.base import FrameProcessor


class Prefetcher:
    """Reads frames in order, as many ahead as there are `images` to hold them, and infers them.

    `read` gets a frame's number and an image to write it into, and gives the frame, or None at the
    end. It is called by the thread that calls `next`; the network runs on a thread of its own, but
    where there is only one image.
    """

    def __init__(
        self,
        read: Callable[[int, Image], Frame | None],
        segmenter: FrameProcessor,
        images: Sequence[Image],
    ) -> None:
        self._read, self._segmenter, self._images = read, segmenter, images
        self._network = ThreadPoolExecutor(1, "network") if len(images) > 1 else None
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
        """The frame to process now, while the one before is done with; None after the last."""
        while len(self._waiting) < len(self._images) and not self._ended:
            frame = self._read(self._index, self._images[self._index % len(self._images)])
            if frame is None:
                self._ended = True
                break
            infer = self._segmenter.infer
            job = self._network.submit(infer, frame) if self._network else None
            self._waiting.append((frame, job))
            self._index += 1
        if not self._waiting:
            return None
        frame, self._inference = self._waiting.popleft()
        return frame

    def cut(self, frame: Frame, out: Image) -> Cutout:
        """The cutout of the frame that `next` gave last; raises as `FrameProcessor.cut`."""
        if self._inference is None:
            return self._segmenter.cut(frame, out)
        return self._segmenter.finish(self._inference.result(), out)
