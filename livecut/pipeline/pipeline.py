"""Wires source, segmenter, background, guard and sinks together, and runs them.

realtime:  capture thread -> slot -> worker: segment, composite, guard -> slot -> main thread: sinks
file:      one loop on the main thread, which drops nothing; beside it the network of the next frame
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from livecut.backgrounds import open_background
from livecut.backgrounds.base import Background
from livecut.backgrounds.blur import Blur
from livecut.clock import CLOCK, Clock
from livecut.engines.base import Engine
from livecut.errors import ConfigError, LivecutError, SinkError
from livecut.frame import BGR, BGRA, Buffer, Cutout, Frame, Image, Output, PixelFormat
from livecut.kernels.pixels import flip
from livecut.models import Target
from livecut.pipeline.capture import Capture
from livecut.pipeline.guard import Guard, Placeholder
from livecut.pipeline.options import PipelineOptions
from livecut.pipeline.prefetch import Prefetcher
from livecut.pipeline.words import require_words
from livecut.pipeline.worker import STARTING, Worker
from livecut.processors import open_processor
from livecut.processors.base import FrameProcessor, ProcessorFactory
from livecut.sinks import open_sink
from livecut.sinks.base import Sink
from livecut.slot import Slot
from livecut.sources import open_source
from livecut.sources.base import Source
from livecut.stats import Stats

LOG = logging.getLogger("livecut")

STALL = 1.0
"""Seconds without a new picture after which a live output changes to a placeholder."""
REPEAT = 0.1
"""Seconds between repetitions of a placeholder, so that a reader of the output does not hang."""
CYCLE = ("blur", "#00b140", "#000000")
"""Backgrounds that the key for the next one goes through, after the one given."""


class Pipeline:
    """One source, one background, any number of sinks.

    >>> Pipeline("clip.mp4", "blur", ["out.mp4"]).run()   # doctest: +SKIP

    `source` and each of `sinks` (one alone may stand without a list) are as for `open_source` and
    `open_sink`, or already open; whatever the pipeline opens itself, it closes. `mirror` flips left
    and right. `max_frames` ends the run after so many composited frames. `model`, `device`,
    `engine` and `threads` go to the Segmenter; `precision` (auto, float32, float16, bfloat16) is
    for a GPU on which PyTorch does all of it. A SharedEngine or an open Engine as `engine` is in
    place of all five. `title` is that of its window. Files that are there already are replaced with
    `overwrite` alone, and one that is read never. A video of a video file gets its sound,
    except with `no_sound`. `in_flight` is how many frames of a file are
    worked on at once: 1 for the least delay, 2 for the highest rate, 0 for 2 where the file's
    length is known, else 1; of a live source only the newest is. `progress` is called after each
    composited frame, `notice` with a line when the picture fails or comes back; without it the
    logger "livecut" has that line. `clock` is that of the source's time stamps. Raises
    LivecutError.
    """

    def __init__(
        self,
        source: str | Source,
        background: str = PipelineOptions.background,
        sinks: str | Sink | Sequence[str | Sink] = "null",
        *,
        mirror: bool = PipelineOptions.mirror,
        max_frames: int | None = PipelineOptions.max_frames,
        model: str | Path = PipelineOptions.model,
        device: str = PipelineOptions.device,
        engine: str | Engine | ProcessorFactory = PipelineOptions.engine,
        threads: int = PipelineOptions.threads,
        precision: str = PipelineOptions.precision,
        in_flight: int = PipelineOptions.in_flight,
        title: str = PipelineOptions.title,
        overwrite: bool = PipelineOptions.overwrite,
        no_sound: bool = PipelineOptions.no_sound,
        progress: Callable[[], None] = lambda: None,
        notice: Callable[[str], None] | None = None,
        clock: Clock = CLOCK,
    ) -> None:
        self.stats = Stats()
        self.description = ""
        """Engine and device of the network, for people; empty before it is loaded."""
        self.mirror = mirror
        self._progress, self._notice, self._max_frames = progress, notice, max_frames
        self._trouble, self._clock = "", clock
        self._stopping = threading.Event()
        self._interruptible = False
        self._processor: FrameProcessor | None = None
        self._frozen = False
        self._choice = 0
        self._cycle = (background, *(b for b in CYCLE if b != background))
        sinks = [sinks] if isinstance(sinks, str | Sink) else sinks
        require_words(
            [source if isinstance(source, str) else source.path or ""],
            background,
            [sink for sink in sinks if isinstance(sink, str)],
            overwrite=overwrite,
        )
        with ExitStack() as opened:
            if isinstance(source, str):
                source = opened.enter_context(open_source(source))
            self.source = source
            if source.realtime and in_flight > 1:
                raise ConfigError(f"{in_flight} frames in flight, of a live source; it has only 1")
            several = not source.realtime and (source.frames or 1) > 1
            self.stats.in_flight = in_flight = in_flight or 1 + several
            if not source.realtime and in_flight == 1:
                threads = threads or min(4, os.cpu_count() or 1)
            self._background = open_background(background, source.size)
            self._transparent = self._background.transparent
            opener = (
                engine.open_processor
                if isinstance(engine, ProcessorFactory)
                else partial(
                    open_processor,
                    Target.parse(model, device, engine) if isinstance(engine, str) else engine,
                    threads=threads,
                    precision=precision,
                )
            )
            self._load = partial(
                opener,
                temporal=source.frames != 1,
                in_flight=in_flight,
                stats=self.stats,
            )
            self.sinks: list[Sink] = []
            for sink in sinks:
                if isinstance(sink, str):
                    sink = open_sink(
                        sink,
                        size=source.size,
                        fps=source.fps,
                        transparent=self._transparent,
                        realtime=source.realtime,
                        title=title,
                        overwrite=overwrite,
                        sound=None if no_sound else source.sound,
                    )
                    opened.enter_context(sink)
                sink.status = self._status
                self.sinks.append(sink)
            self._opened = opened.pop_all()
        self.pixel_format = BGRA if self._transparent else BGR
        """Format of the composites: what all sinks prefer, where the processor makes it."""
        self._placeholder = Placeholder(source.size, self.pixel_format, clock)
        self._flipped = [Buffer(np.empty(0, np.uint8))] * in_flight

    def run(self) -> Stats:
        """Run until the source ends, `max_frames` are done or `stop` is called.

        Call it once, and on the main thread where a window is among the sinks. For several at once
        see `livecut.run_all`. Raises LivecutError.
        """
        with self._opened:
            for sink in self.sinks:
                for hint in sink.hints:
                    self._tell(hint)
            if self.source.realtime:
                self._run_realtime()
            else:
                self._run_file()
        return self.stats

    def stop(self) -> None:
        """End the run after the frame at hand. May be called from a signal handler."""
        self._stopping.set()
        if self._interruptible:
            raise KeyboardInterrupt

    @property
    def stopping(self) -> bool:
        """Whether it was told to end."""
        return self._stopping.is_set()

    def close(self) -> None:
        """Close what was opened; for a pipeline that is not run after all."""
        self._opened.close()

    def next_background(self) -> None:
        """Change to the next of the given background, blur, green and black.

        Where it cannot be opened any more, a notice says why and the one before stays.
        """
        if not self._transparent:
            self._choice = (self._choice + 1) % len(self._cycle)
            try:
                self._change(open_background(self._cycle[self._choice], self.source.size))
            except LivecutError as error:
                self._tell(str(error), logging.WARNING)

    def change_blur(self, by: float) -> None:
        """Make a blurred background stronger or weaker by this much of 0..1."""
        background = self._background
        if isinstance(background, Blur):
            self._change(Blur(self.source.size, background.strength + by))

    def _change(self, background: Background) -> None:
        """Put another background behind the frames to come."""
        self._background = background
        if self._processor is not None:
            self._processor.background = background

    def _tell(self, text: str, level: int = logging.INFO) -> None:
        """Give a line to `notice`, or to the log."""
        if self._notice is not None:
            self._notice(text)
        else:
            LOG.log(level, "%s", text)

    def _status(self) -> list[str]:
        return [*self.stats.status(), self._background.name, self.description]

    # what happens to a frame

    def _guard(
        self, processor: FrameProcessor, segment: Callable[[Frame, Buffer], Cutout]
    ) -> Guard:
        return Guard(
            self.source.size,
            segment=segment,
            compose=processor.compose,
            pixel_format=self.pixel_format,
            realtime=self.source.realtime,
            clock=self._clock,
        )

    def _prepare(self, capture: Capture, outputs: Slot[Output]) -> tuple[FrameProcessor, Guard]:
        """The processor of a live run, warmed up, and its guard.

        `outputs` and the source use its buffers from then on, and the source gives its native
        format where the processor takes it.
        """
        processor = self._opened_processor()
        buffers = processor.outputs(self.pixel_format, self.source.size, 3)
        outputs.use(buffers)
        native = self.source.native
        native = native if native in processor.takes else None
        capture.ask(native, processor.frames)
        self._warm_up(processor, buffers[0], native or BGR)
        return processor, self._guard(processor, processor.cut)

    def _opened_processor(self) -> FrameProcessor:
        """The processor, with composites in the format that all sinks prefer, if there is one."""
        self._processor = processor = self._load(background=self._background)
        processor.background = self._background  # which may have changed while the network loaded
        wanted = {sink.pixel_format or self.pixel_format for sink in self.sinks}
        pixel_format = wanted.pop() if len(wanted) == 1 else self.pixel_format
        self.pixel_format = processor.deliver(
            pixel_format if pixel_format.transparent == self._transparent else self.pixel_format
        )
        self.description = processor.description
        LOG.debug("network: %s, composites in %s", self.description, self.pixel_format.name)
        self._frames = processor.frames
        return processor

    def _warm_up(
        self, processor: FrameProcessor, out: Buffer, pixel_format: PixelFormat = BGR
    ) -> None:
        """Do everything once, shown nowhere: no frame shall wait for compilers or allocations."""
        image = np.zeros(pixel_format.shape(self.source.size), np.uint8)
        blank = Frame(image, -1, 0.0, 0.0, pixel_format)
        for _ in range(2):  # only the second has one before it to be smoothed by
            processor.compose(processor.cut(blank, out), out)
        processor.reset()
        self.stats.restart()

    def _prepared(self, frame: Frame) -> Frame:
        if not self.mirror:
            return frame
        place = frame.index % len(self._flipped)
        if self._flipped[place].picture.shape != frame.image.shape:
            [self._flipped[place]] = self._frames(frame.pixel_format, self.source.size, 1)
        flip(frame.image, frame.pixel_format, self._flipped[place].picture)
        return self._flipped[place].frame(frame.index, frame.timestamp, frame.position)

    def _hand_over(self, output: Output) -> None:
        with self.stats.timed("sink"):
            for sink in self.sinks:
                try:
                    sink.write(output)
                except SinkError:
                    sink.abort()
                    raise
        if output.reason != self._trouble:
            self._trouble = output.reason
            if output.reason:
                self._tell(output.reason, logging.WARNING)
            else:
                self._tell("the picture is back")
        if output.reason:
            self.stats.placeholders += 1
        else:
            self.stats.handed_over(output.timestamp, self._clock.now())
            if self.source.realtime:
                self.stats.judge(output.index, output.timestamp, 1 / self.source.fps)
            self._progress()
            if self._max_frames and self.stats.frames >= self._max_frames:
                self._stopping.set()

    def _act(self) -> None:
        for sink in self.sinks:
            for key in sink.pressed():
                if key == "quit":
                    self._stopping.set()
                elif key == "background":
                    self.next_background()
                elif key in ("blur+", "blur-"):
                    self.change_blur(0.1 if key == "blur+" else -0.1)
                elif key == "mirror":
                    self.mirror = not self.mirror
                elif key == "freeze":
                    self._frozen = not self._frozen

    # files

    def _run_file(self) -> None:
        source = self.source
        processor = self._opened_processor()
        paced = any(sink.paced for sink in self.sinks)
        [out] = processor.outputs(self.pixel_format, source.size, 1)
        self._warm_up(processor, out)
        buffers = processor.frames(BGR, source.size, len(self._flipped))
        due = self._clock.now()
        with Prefetcher(self._next, processor, buffers) as prefetcher:
            guard = self._guard(processor, prefetcher.cut)
            while not self._stopping.is_set():
                frame = prefetcher.next()
                if frame is None:
                    for sink in self.sinks:
                        sink.whole = not self._stopping.is_set()
                    break
                output = guard.process(frame, out)
                self._hand_over(output)
                self._act()
                if paced:
                    due = max(due + 1 / source.fps, self._clock.now() - 1 / source.fps)
                    self._hold(output, due)

    def _next(self, index: int, buffer: Buffer) -> Frame | None:
        """The source's next frame, number `index`, read into `buffer`; None at the end."""
        begun = self._clock.now()
        timestamp = self._read(buffer.picture)
        if timestamp is None:
            return None
        self.stats.add("read", timestamp - begun)
        position = self.source.position
        position = index / self.source.fps if position is None else position
        return self._prepared(buffer.frame(index, timestamp, position))

    def _read(self, image: Image) -> float | None:
        """Read as the source does; None also where `stop` cuts a read short that waits for a pipe.

        Only a read on the main thread can be cut short.
        """
        self._interruptible = threading.current_thread() is threading.main_thread()
        try:
            return self.source.read(image)
        except KeyboardInterrupt:
            return None
        finally:
            self._interruptible = False

    def _hold(self, output: Output, due: float) -> None:
        """Keep a picture up until the next is due, while frozen, or a still until the quit key."""
        while not self._stopping.is_set():
            again = self._frozen or self.source.frames == 1
            left = due - self._clock.now()
            if left <= 0 and not again:
                break
            self._clock.sleep(REPEAT / 3 if again else min(left, 0.01))
            if again:
                self._show_if_paced(output)
            self._act()

    # cameras and streams

    def _run_realtime(self) -> None:
        drop, clock = self.stats.drop, self._clock
        capture = Capture(self.source, partial(drop, "a newer frame came"), clock)
        outputs = Slot[Output](on_drop=partial(drop, "the output was busy"), clock=clock)
        worker = Worker(
            capture,
            outputs,
            prepare=partial(self._prepare, capture, outputs),
            seen=self._prepared,
            stats=self.stats,
            clock=clock,
        )
        capture.start()
        worker.start()
        self._show_if_paced(self._placeholder_for(STARTING))
        last, shown, fault = clock.now(), None, ""
        try:
            while not self._stopping.is_set():
                if self._frozen and shown is not None:
                    self._show_if_paced(shown)
                    self._act()
                    clock.sleep(0.03)
                    last = clock.now()
                    continue
                output = outputs.get(timeout=REPEAT)
                now = clock.now()
                if output is not None:
                    last, shown = now, output
                    self._hand_over(output)
                elif outputs.closed:
                    break
                elif now - last > STALL:
                    self._hand_over(self._placeholder_for(worker.stuck()))
                elif shown is None:
                    self._show_if_paced(self._placeholder_for(STARTING))
                if capture.fault != fault:
                    fault = capture.fault
                    self._tell(fault, logging.WARNING)
                self._act()
        finally:
            capture.stop()
            worker.stop()
            self.stats.source_fps = 1 / capture.interval if capture.interval else 0.0

    def _placeholder_for(self, reason: str) -> Output:
        """A placeholder in the format that composites have by now."""
        if self._placeholder.pixel_format != self.pixel_format:
            self._placeholder = Placeholder(self.source.size, self.pixel_format, self._clock)
        return self._placeholder(reason)

    def _show_if_paced(self, output: Output) -> None:
        for sink in self.sinks:
            if sink.paced:
                sink.write(output)
