"""What a GPU's figure could be at best: the bytes that a frame moves, at the rates that copies have there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from livecut.bench.measure import Result

Times = NDArray[np.float64]
BUSES = ("up", "device", "down")
STAGES = ("upload", "preprocess", "network", "refine", "background", "composite", "download")
"""On the device, in the order of the flow."""


@dataclass(frozen=True)
class Card:
    """A GPU, and the bytes per second of large copies there."""

    name: str
    up: float
    """From pinned memory of the host."""
    down: float
    """To it."""
    device: float
    """Within the device's own memory, read and written, each counted."""


@dataclass(frozen=True)
class Traffic:
    """What one frame moves."""

    up: int
    """Bytes over the bus to the device."""
    down: int
    device: int
    """Bytes of device memory that the steps read and write, each step by itself."""
    launches: int
    """Steps that move any."""
    convolved: int = 0
    """Those of `device` that convolutions move."""

    def seconds(self, card: Card) -> dict[str, float]:
        """The least time on each of `BUSES`."""
        return {bus: getattr(self, bus) / getattr(card, bus) for bus in BUSES}


@dataclass(frozen=True)
class Profile:
    """Milliseconds of each frame by the device's own clock, in a round apart with one frame in flight."""

    stages: dict[str, Times]
    """By those of `STAGES` that there are."""
    compute: Times
    """All between upload and download."""
    enqueue: Times
    """What the processor needed to queue it all."""
    wall: Times
    """From the frame in memory to its composite there, by the processor's clock."""


@dataclass(frozen=True)
class Roofline:
    """A case's floor, and where its time goes."""

    card: Card
    traffic: Traffic
    profile: Profile
    overlapped: bool
    """Whether frames overlap: then the busiest of `BUSES` is the floor, else their sum."""

    @property
    def floors(self) -> dict[str, float]:
        """Milliseconds a frame on each of `BUSES`."""
        return {bus: 1e3 * s for bus, s in self.traffic.seconds(self.card).items()}

    @property
    def floor(self) -> float:
        """Milliseconds a frame."""
        floors = self.floors.values()
        return max(floors) if self.overlapped else sum(floors)

    def warnings(self) -> list[str]:
        """What other than computing the figure is bound by."""
        p50 = {name: float(np.median(times)) for name, times in self.profile.stages.items()}
        copies = max(p50["upload"], p50["download"])
        compute, enqueue, wall = (
            float(np.median(t))
            for t in (self.profile.compute, self.profile.enqueue, self.profile.wall)
        )
        busy = p50["upload"] + compute + p50["download"]
        said = []
        if copies > compute:
            said.append(
                f"transfer-bound: a copy over the bus takes {copies:.2f} ms, computing {compute:.2f} ms"
            )
        if enqueue > compute:
            said.append(
                f"enqueue-bound: queueing a frame takes the processor {enqueue:.2f} ms, the device "
                f"computes {compute:.2f} ms and is busy for {100 * busy / wall:.0f} % of the time"
            )
        return said


def examine(results: Sequence[Result]) -> None:
    """Give those results of which a GPU did all their roofline; imports torch for them alone.

    Raises LivecutError.
    """
    from livecut.processors import gpu_weights

    found = [(r, gpu_weights(r.case.model, r.case.device, r.case.engine)) for r in results]
    if any(weights for _, weights in found):
        from livecut.bench.card import examine_on_gpu

        for result, weights in found:
            if weights:
                result.roofline = examine_on_gpu(result.case, result.rounds[-1].form, weights)
