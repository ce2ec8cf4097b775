"""An output that drops everything."""

from __future__ import annotations

from livecut.frame import Form, Output
from livecut.sinks.base import Sink


class Null(Sink):
    """Takes every picture and drops it: for measuring; best in `form`."""

    def __init__(self, size: tuple[int, int], form: Form | None = None) -> None:
        super().__init__("null", size, (3, 4))
        self.form = form

    def write(self, output: Output) -> None:
        self._check(output.image, output.form)
