"""Queues of work on a device, the events between them, and the memory that copies go to and from.

On an NVIDIA GPU the streams are CUDA streams, the host's memory is pinned, and a job that is run
again and again is a CUDA graph. On the CPU everything is done at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

WARM_UP = 3
"""Runs before a capture, in which libraries choose their algorithms and allocate."""

Job = Callable[[], object]


class Event(Protocol):
    """A point in a queue."""

    def synchronize(self) -> None:
        """Wait until what was queued before it is done."""


class Stream(Protocol):
    """Work that is done in its order, beside other streams."""

    def run(self, job: Job) -> None:
        """Queue the job's work."""

    def record(self, event: Event) -> None:
        """Put the event after what is queued."""

    def wait(self, event: Event) -> None:
        """Let the event come before the work that is queued from now on."""


class Device(Protocol):
    """A device as this module sees it."""

    device: torch.device
    name: str
    dtype: torch.dtype
    """Type of the planes of the frame's size."""

    def stream(self) -> Stream: ...

    def event(self) -> Event: ...

    def host(self, count: int) -> Tensor:
        """Memory of the host, uint8 (count,), that copies go to and from without waiting."""

    def capture(self, job: Job) -> Job:
        """Warm the job up, and give what does the same from now on."""

    def synchronize_all(self) -> None:
        """Wait for everything: before what is in use is given up."""


class CpuDevice:
    """The CPU as a device: everything is done at once. Its one queue and event are itself."""

    device, name, dtype = torch.device("cpu"), "the CPU", torch.float32

    def stream(self) -> Stream:
        return self

    def event(self) -> Event:
        return self

    def host(self, count: int) -> Tensor:
        return torch.zeros(count, dtype=torch.uint8)

    def capture(self, job: Job) -> Job:
        return job

    def synchronize_all(self) -> None:
        return

    def run(self, job: Job) -> None:
        job()

    def record(self, event: Event) -> None:
        return

    def wait(self, event: Event) -> None:
        return

    def synchronize(self) -> None:
        return


class CudaStream:
    """A CUDA stream."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def run(self, job: Job) -> None:
        with torch.cuda.stream(self._stream):
            job()

    def record(self, event: Event) -> None:
        assert isinstance(event, torch.cuda.Event)
        self._stream.record_event(event)

    def wait(self, event: Event) -> None:
        assert isinstance(event, torch.cuda.Event)
        self._stream.wait_event(event)


class CudaDevice:
    """An NVIDIA GPU.

    Without `graph` the kernels are launched one by one, for finding faults; without `streams` all
    its streams are one.
    """

    dtype = torch.float16

    def __init__(self, device: torch.device, *, graph: bool = True, streams: bool = True) -> None:
        self.device, self._graph = device, graph
        self._only = None if streams else CudaStream(device)
        how = ", CUDA graph" if graph else ", CUDA without a graph"
        self.name = torch.cuda.get_device_name(device) + how

    def stream(self) -> Stream:
        return self._only or CudaStream(self.device)

    def event(self) -> Event:
        return torch.cuda.Event()  # type: ignore[no-untyped-call]

    def host(self, count: int) -> Tensor:
        return torch.zeros(count, dtype=torch.uint8, pin_memory=True)

    def capture(self, job: Job) -> Job:
        self.synchronize_all()
        aside = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                job()
        self.synchronize_all()
        if not self._graph:
            return job
        graph = torch.cuda.CUDAGraph()
        # Only this thread's calls are restricted: another one may be waiting for a frame's event.
        with torch.cuda.graph(graph, stream=aside, capture_error_mode="thread_local"):
            job()
        return graph.replay

    def synchronize_all(self) -> None:
        torch.cuda.synchronize(self.device)
