"""A place for one frame on its way to the device and back."""

from __future__ import annotations

import numpy as np
import torch

from livecut.backgrounds import Background
from livecut.compositor.device import HEADER, INVALID
from livecut.compositor.queues import Machine
from livecut.form import BGR, BGRA, Form, Size
from livecut.frame import Frame, Image


class Slot:
    """A place for one frame in flight: its bytes on both sides, and three points on its way."""

    def __init__(self, machine: Machine, size: Size) -> None:
        """For frames of `size`, and results of any form."""
        width, height = size
        pixels = width * height
        count_in, count_out = HEADER + BGR.count(size), HEADER + pixels + BGRA.count(size)
        self._size = size
        self.host_in, self.host_out = machine.host(count_in), machine.host(count_out)
        self.device_in = torch.zeros(count_in, dtype=torch.uint8, device=machine.device)
        self.device_out = torch.zeros(count_out, dtype=torch.uint8, device=machine.device)
        self.arrived, self.made, self.landed = machine.event(), machine.event(), machine.event()
        sent, got = self.host_in.numpy(), self.host_out.numpy()
        self.header = sent[:HEADER].view(np.int64)
        self._sent: Image = sent[HEADER:]
        self._receipt = got[:8].view(np.int64)
        self.alpha: Image = got[HEADER : HEADER + pixels].reshape(height, width)
        self._got: Image = got[HEADER + pixels :]
        self.frame: Frame | None = None
        """The frame that is in flight here."""
        self.background: Background | None = None
        """What the frame is composited over; None where only its alpha is made."""
        self.form = BGR
        """Of the composite."""

    def image(self, form: Form) -> Image:
        """Where the frame lies that goes up."""
        return self._sent[: form.count(self._size)].reshape(form.shape(self._size))

    def picture(self) -> Image:
        """The composite that has come down."""
        return self._got[: self.form.count(self._size)].reshape(self.form.shape(self._size))

    def forget(self) -> None:
        """What has come down is no more: until another has, there is no receipt."""
        self._receipt[0] = INVALID

    def wait(self) -> None:
        """Wait until what was sent last has come down."""
        self.landed.synchronize()

    def receipt(self) -> int | None:
        """The index of the frame whose alpha has come down; None where that is not valid."""
        index = int(self._receipt[0])
        return None if index == INVALID else index
