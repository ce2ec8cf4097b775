"""Several pipelines at once: each on threads of its own, their windows on the main thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from livecut.clock import CLOCK, Clock
from livecut.errors import LivecutError, SinkError
from livecut.pipeline.pipeline import Pipeline

LEFT_BEHIND = 8.0
"""Seconds after the order to end until a pipeline that hangs is left behind."""
Failed = Callable[[Pipeline, LivecutError], None]


class MainThread:
    """Does the jobs of other threads on the thread that made it, when that calls `serve`."""

    def __init__(self) -> None:
        self._thread = threading.current_thread()
        self._jobs = SimpleQueue[tuple[Callable[[], Any], Future[Any]]]()

    def __call__(self, job: Callable[[], Any]) -> Any:
        """Have a job done, and wait for its result; raises what it raises."""
        if threading.current_thread() is self._thread:
            return job()
        return self.later(job).result()

    def later(self, job: Callable[[], Any]) -> Future[Any]:
        """Have a job done."""
        result = Future[Any]()
        self._jobs.put((job, result))
        return result

    def serve(self, seconds: float) -> bool:
        """Do the next job, and say whether there was one; wait for it no longer than this."""
        try:
            job, result = self._jobs.get(timeout=seconds)
        except Empty:
            return False
        try:
            result.set_result(job())
        except BaseException as error:
            result.set_exception(error)
            if not isinstance(error, Exception):
                raise
        return True


def run_all(
    pipelines: Sequence[Pipeline], *, failed: Failed | None = None, clock: Clock = CLOCK
) -> None:
    """Run all of them until each has ended; to be called on the main thread where one has a window.

    `failed` is called here when one fails, with its error, and the others go on. Without it the
    others are told to stop, and the error is raised once they have ended.
    """
    main, errors = MainThread(), list[BaseException]()

    def end(error: BaseException) -> None:
        errors.append(error)
        for pipeline in pipelines:
            pipeline.stop()

    def run(pipeline: Pipeline) -> None:
        try:
            pipeline.run()
        except LivecutError as error:
            main.later(partial(failed, pipeline, error) if failed else partial(end, error))
        except BaseException as error:
            main.later(partial(end, error))

    threads = [threading.Thread(target=run, args=(p,), daemon=True) for p in pipelines]
    for pipeline, thread in zip(pipelines, threads, strict=True):
        for sink in pipeline.sinks:
            sink.on_main = main
        thread.start()

    def wait() -> list[Pipeline]:
        """Serve until all have ended; those that are left behind."""
        told = 0.0
        while running := [p for p, t in zip(pipelines, threads, strict=True) if t.is_alive()]:
            main.serve(0.05)
            if all(pipeline.stopping for pipeline in running):
                told = told or clock.now()
                if clock.now() - told > LEFT_BEHIND:
                    break
        while main.serve(0):
            pass
        return running

    try:
        left = wait()
    except KeyboardInterrupt as error:
        end(error)
        left = wait()
    for pipeline in left:
        for sink in pipeline.sinks:
            with suppress(SinkError):
                sink.close()
    if errors:
        raise errors[0]
