"""The thread of a live run that loads the network, then turns frames into outputs."""

from __future__ import annotations

import threading
from collections.abc import Callable

from livecut.clock import CLOCK, Clock
from livecut.frame import Frame, Output
from livecut.pipeline.capture import Capture
from livecut.pipeline.guard import Guard
from livecut.processors.base import FrameProcessor
from livecut.slot import Slot
from livecut.stats import Stats

STARTING = "starting: loading the network"


class Worker:
    """Takes frames from `capture`, and puts outputs into `outputs`.

    `prepare` loads the processor and warms it up; it gives the processor and its guard. `seen`
    turns a frame into what is cut, its mirror image perhaps.
    """

    def __init__(
        self,
        capture: Capture,
        outputs: Slot[Output],
        *,
        prepare: Callable[[], tuple[FrameProcessor, Guard]],
        seen: Callable[[Frame], Frame],
        stats: Stats,
        clock: Clock = CLOCK,
    ) -> None:
        self._capture, self._outputs = capture, outputs
        self._prepare, self._seen, self._stats, self._clock = prepare, seen, stats, clock
        self._ready = self._waiting = False
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end and wait for it; a network that hangs is left behind."""
        self._capture.slot.close()
        self._clock.join(self._thread, 3.0)

    def stuck(self) -> str:
        """Text for the placeholder: who gives nothing at present."""
        if not self._ready:
            return STARTING
        if self._capture.lost:
            return self._capture.lost
        if self._waiting:
            return f"no picture comes from {self._capture.name}"
        return "the network does not answer"

    def _run(self) -> None:
        stats, capture = self._stats, self._capture
        try:
            processor, guard = self._prepare()
            self._ready = True
            lost = ""
            while True:
                self._waiting = True
                frame = capture.slot.get()
                self._waiting = False
                if frame is None:
                    break
                stats.add("capture", self._clock.now() - frame.timestamp)
                if lost != capture.lost:
                    processor.reset()
                    lost = capture.lost
                output = guard.process(self._seen(frame), self._outputs.writable())
                if output.reason:
                    processor.reset()
                    stats.drop("failed: " + output.reason)
                stats.made(frame.index)
                self._outputs.put(output)
            self._outputs.close()
        except BaseException as error:
            self._outputs.close(error)
