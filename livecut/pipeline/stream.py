"""The frames of a source with their alphas, one by one, for a program of one's own."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from livecut.backgrounds.raw import Raw
from livecut.clock import CLOCK, Clock
from livecut.engines.base import Engine
from livecut.frame import BGR, Buffer, Cutout, Frame, frame_buffers, output_buffers
from livecut.options import NetworkOptions
from livecut.pipeline.capture import Capture
from livecut.pipeline.prefetch import Prefetcher
from livecut.processors.cpu import CpuProcessor
from livecut.segmenter import Segmenter
from livecut.sources import open_source
from livecut.sources.base import Source
from livecut.stats import Stats

POLL = 0.5
"""Seconds after which a wait for a live frame looks whether the source was lost or has ended."""


def stream(
    source: str | Source,
    *,
    model: str | Path = NetworkOptions.model,
    device: str = NetworkOptions.device,
    engine: str | Engine = NetworkOptions.engine,
    threads: int = NetworkOptions.threads,
    clock: Clock = CLOCK,
) -> Generator[Cutout]:
    """Cut out the frames of a source, one by one.

    >>> for cutout in livecut.stream("0"):   # doctest: +SKIP
    ...     show(cutout.image, cutout.alpha)

    `source` is what `open_source` takes, and is closed at the end, or an open one, which is not;
    the other arguments are those of `Segmenter`, and `clock` that of a live source's time stamps.
    Each cutout has `image`, BGR uint8 (H, W, 3), and `alpha`, uint8 (H, W), 255 = person, both of
    their own and the caller's to keep, and `frame` with `index`, `timestamp` and `position`. A file
    gives every frame, a live source the newest one each time; what came meanwhile is dropped. A
    live source that was lost is opened again, and the iterator waits.

    The source is opened when the first frame is asked for. Raises SourceError, ModelError,
    ConfigError, and EngineError where the network fails or gives no valid alpha.
    """
    with ExitStack() as opened:
        if isinstance(source, str):
            source = opened.enter_context(open_source(source))
        ahead = 2 if not source.realtime and (source.frames or 1) > 1 else 1
        segmenter = Segmenter(
            model,
            device=device,
            engine=engine,
            threads=threads,
            temporal=source.frames != 1,
            in_flight=ahead,
        )
        if source.realtime:
            yield from _live(source, segmenter, clock)
        else:
            yield from _file(source, segmenter, ahead)


def _file(source: Source, segmenter: Segmenter, ahead: int) -> Generator[Cutout]:
    """Every frame, in order; the network of the next runs beside the caller's work."""

    def read(index: int, _: Buffer) -> Frame | None:
        [buffer] = frame_buffers(BGR, source.size, 1)
        timestamp = source.read(buffer.picture)
        if timestamp is None:
            return None
        position = source.position
        return buffer.frame(index, timestamp, index / source.fps if position is None else position)

    processor = CpuProcessor(segmenter, Raw(), Stats())
    with Prefetcher(read, processor, [Buffer(np.empty(0, np.uint8))] * ahead) as prefetcher:
        while (frame := prefetcher.next()) is not None:
            [out] = output_buffers(BGR, source.size, 1)
            yield Cutout(frame, prefetcher.cut(frame, out).alpha)


def _live(source: Source, segmenter: Segmenter, clock: Clock) -> Generator[Cutout]:
    """The newest frame each time, copied out of the buffers that the source fills again."""
    lost, capture = "", Capture(source, on_drop=lambda: None, clock=clock)
    capture.start()
    try:
        while True:
            ended = capture.slot.closed
            frame = capture.slot.get(timeout=POLL)
            if capture.lost != lost:
                lost = capture.lost
                segmenter.reset()
                logging.getLogger("livecut").warning(lost or "the picture is back")
            if frame is not None:
                frame = replace(frame, image=frame.image.copy())
                yield Cutout(frame, segmenter.cut(frame).alpha)
            elif ended:
                return
    finally:
        capture.stop()
