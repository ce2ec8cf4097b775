"""One network for many streams: pictures that are due at once go through it together.

No picture waits for others. A stream that finds the network free takes its picture through at once;
the pictures that become due meanwhile go next, together, in the order in which they came. So they
gather for as long as the network is busy, and not at all while it is free. The thread of the first
of them runs the network for all; there is no thread in between.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from itertools import count

import numpy as np
from numpy.typing import NDArray

from livecut.engines.base import Batch, Engine
from livecut.errors import EngineError, LivecutError
from livecut.frame import Image, Size
from livecut.options import NetworkOptions


class Batcher:
    """Takes the pictures of many ports through one engine, up to its `max_batch` at once.

    A GPU takes 1, 2, 4, … pictures of one size as one batch. On a CPU, where a batch saves nothing,
    `threads` pictures (0: as many as there are cores) go through side by side, each on its stream's
    own thread.
    """

    def __init__(self, engine: Engine, threads: int = NetworkOptions.threads) -> None:
        self.engine = engine
        self._most = engine.max_batch
        self._lanes = self._free = 1 if self._most > 1 else threads or os.cpu_count() or 1
        self.tickets = count(1)
        self._due = deque[Port]()
        self._changing = threading.Lock()
        """Held for whatever is done to `_due`, `_free` and `_spare`."""
        self._preparing = threading.Lock()
        self._spare = dict[tuple[int, int, int], list[Batch]]()
        """Batches that are not in use just now, by number of pictures, width and height."""
        self._shapes = dict[Size, tuple[Image, NDArray[np.float32]]]()

    @property
    def description(self) -> str:
        """The engine's description, and how many pictures go through at once."""
        at_once = max(self._lanes, self._most)
        return self.engine.description + (f", {at_once} pictures at once" if at_once > 1 else "")

    def prepare(self, size: Size) -> tuple[Image, NDArray[np.float32]]:
        """Allocate all batches for pictures of `size` = (width, height), and run each kind once.

        The arrays that it returns are shaped as a picture and as its alpha. Raises EngineError.
        """
        with self._preparing:
            if size not in self._shapes:
                number, made = 1, dict[tuple[int, int, int], list[Batch]]()
                while number <= self._most:
                    key = (number, *size)
                    made[key] = [self.engine.batch(*key) for _ in range(self._lanes)]
                    made[key][0].run()
                    number *= 2
                self._spare.update(made)
                [single, *_] = made[1, *size]
                self._shapes[size] = single.input[0], single.output[0]
            return self._shapes[size]

    def serve(self, port: Port) -> None:
        """Wait until the port has its alpha, or its fault."""
        with self._changing:
            leads = self._free > 0  # and then no other is due
            if leads:
                self._free -= 1
            else:
                self._due.append(port)
        if not leads:
            port.woken.acquire()
            leads = not port.served
        if leads:
            self._lead(port)

    def _lead(self, first: Port) -> None:
        """Run the network for a port and others of its size that are due; let the next one lead."""
        with self._changing:
            alike = [first, *(port for port in self._due if port.size == first.size)][: self._most]
            ports = alike[: 1 << (len(alike).bit_length() - 1)]
            for port in ports[1:]:
                self._due.remove(port)
            spare = self._spare[len(ports), *first.size]
            batch = spare.pop()
        fault = "the network was interrupted"
        try:
            tickets = fill(batch, ports)
            batch.run()
            hand_out(batch, ports, tickets)
            fault = ""
        except LivecutError as error:
            fault = str(error)
        except Exception as error:
            fault = f"the network failed: {type(error).__name__}: {error}"
        finally:
            with self._changing:
                spare.append(batch)
                heirs = [self._due.popleft()] if self._due else []
                self._free += not heirs
            for port in ports:
                port.fault, port.served = fault, True
            for port in [*ports[1:], *heirs]:
                port.woken.release()


def fill(batch: Batch, ports: list[Port]) -> list[int]:
    """Put the ports' pictures into the rows of a batch, and return their tickets."""
    for row, port in zip(batch.input, ports, strict=True):
        np.copyto(row, port.input)
    batch.output.fill(np.nan)  # what the network does not write is no alpha
    return [port.ticket for port in ports]


def hand_out(batch: Batch, ports: list[Port], tickets: list[int]) -> None:
    """Give each row's alpha, and the ticket that went in with its picture, to its port."""
    for row, port, ticket in zip(batch.output, ports, tickets, strict=True):
        np.copyto(port.output, row)
        port.receipt = ticket


class Port(Engine):
    """One stream's way into a shared network, for one thread at a time."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher
        self.description = batcher.description
        self.area, self.stride = batcher.engine.area, batcher.engine.stride
        self.ticket = self.receipt = 0
        """Numbers that the picture was sent with, and that its alpha came with."""
        self.fault, self.served = "", False
        self.woken = threading.Semaphore(0)
        """Released once the picture is served, or once its thread has to run the network."""

    def batch(self, count: int, width: int, height: int) -> Batch:
        """Buffers of the engine itself, see `Engine.batch`. Raises EngineError."""
        return self._batcher.engine.batch(count, width, height)

    def resize(self, width: int, height: int) -> None:
        """Allocate the buffers for an input of this size. Raises EngineError."""
        self.size = (width, height)
        picture, alpha = self._batcher.prepare(self.size)
        self.input, self.output = np.zeros_like(picture), np.zeros_like(alpha)

    def run(self) -> None:
        """Compute `output` from `input`, with those of other streams. Raises EngineError."""
        self.ticket, self.served = next(self._batcher.tickets), False
        self._batcher.serve(self)
        if self.fault:
            raise EngineError(self.fault)
        if self.receipt != self.ticket:
            raise EngineError(f"the alpha of picture {self.receipt} came for {self.ticket}")
