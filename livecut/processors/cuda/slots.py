"""A place for one frame on its way to the device and back."""

from __future__ import annotations

import torch

from livecut.frame import BGR, BGRA, Size
from livecut.processors.cuda import buffers as packets
from livecut.processors.cuda.buffers import HEADER, PinnedBuffer
from livecut.processors.cuda.compositor import INVALID
from livecut.processors.cuda.streams import Device


def packet(device: Device, count: int) -> PinnedBuffer:
    """Pinned memory for so many bytes after a header."""
    memory = device.host(HEADER + count)
    return PinnedBuffer(memory, memory.numpy())


class Slot(packets.Slot):
    """A place for one frame in flight: its bytes on both sides, and three points on its way."""

    def __init__(self, device: Device, size: Size) -> None:
        """For frames of `size`, and results of any form."""
        up, down = BGR.count(size), size[0] * size[1] + BGRA.count(size)
        super().__init__(size, packet(device, up), packet(device, down))
        self.device_in, self.device_out = (
            torch.zeros(HEADER + n, dtype=torch.uint8, device=device.device) for n in (up, down)
        )
        self.arrived, self.made, self.landed = device.event(), device.event(), device.event()

    def forget(self) -> None:
        """What has come down is no more: until another has, there is no receipt."""
        self.down.header[0] = INVALID

    def wait(self) -> None:
        """Wait until what was sent last has come down."""
        self.landed.synchronize()

    def receipt(self) -> int | None:
        """The index of the frame whose alpha has come down; None where that is not valid."""
        index = int(self.down.header[0])
        return None if index == INVALID else index
