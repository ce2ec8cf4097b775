"""Stand-ins for a GPU: a device at its worst, and a network of which one knows what it finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor, nn

from livecut.backgrounds import open_background
from livecut.backgrounds.base import Background
from livecut.network.base import Facts
from livecut.processors.cuda import processor as cuda
from livecut.processors.cuda.processor import CudaProcessor, Weights
from livecut.processors.cuda.streams import CpuDevice, Device
from tests.remote import SIZE

torch.set_num_threads(1)  # threads that wait spin, and take the time from others


class Blueness(nn.Module):
    """A network that takes for a person what is blue; `broken` spoils its answer."""

    stride, output_stride = 16, 2
    broken: Callable[[Tensor], object] | None = None

    def forward(self, x: Tensor) -> Tensor:
        logits = (x[:, 2:3, ::2, ::2] - 1.0) * 40
        if self.broken is not None:
            self.broken(logits)
        return logits


class LazyEvent:
    """Its place in a queue when it was recorded last."""

    point: tuple[LazyQueue, int] | None = None

    def synchronize(self) -> None:
        if self.point is not None:
            stream, count = self.point
            stream.drain(count)


class LazyQueue:
    """A GPU at its worst: does nothing before somebody waits, and then no more than it must."""

    def __init__(self) -> None:
        self._jobs: list[Callable[[], object]] = []
        self._done = 0

    def run(self, job: Callable[[], object]) -> None:
        self._jobs.append(job)

    def record(self, event: Any) -> None:
        event.point = self, len(self._jobs)

    def wait(self, event: Any) -> None:
        stream, count = event.point
        self._jobs.append(lambda: stream.drain(count))

    def drain(self, count: int) -> None:
        while self._done < count:
            self._done += 1
            self._jobs[self._done - 1]()


class Lazy(CpuDevice):
    def stream(self) -> Any:
        self.streams = [*getattr(self, "streams", []), LazyQueue()]
        return self.streams[-1]

    def event(self) -> Any:
        return LazyEvent()

    def synchronize_all(self) -> None:
        for stream in self.streams:
            stream.drain(len(stream._jobs))


def load_blueness(monkeypatch: pytest.MonkeyPatch) -> Blueness:
    """The network that every processor loads from now on."""
    made = Blueness()
    facts = Facts("fake", SIZE[0] * SIZE[1])
    monkeypatch.setattr(cuda, "load_weights", lambda path: (made, facts))
    return made


def processor(
    machine: Device | None = None,
    background: str = "#000000",
    precision: str = "auto",
    **more: Any,
) -> CudaProcessor:
    weights = Weights(Path("fake"), machine or Lazy(), precision)
    return CudaProcessor(weights, open_background(background, SIZE), temporal=True, **more)


class OnDevice:
    """Gives each stream a processor on a lazy device of its own."""

    def open_processor(self, *, background: Background, **options: Any) -> CudaProcessor:
        return CudaProcessor(Weights(Path("fake"), Lazy()), background, **options)
