"""Frames of a video at a constant rate."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Generic, TypeVar

T = TypeVar("T")


class ConstantRate(Generic[T]):
    """Chooses for each moment, `1 / rate` seconds apart, the newest frame that is due by then.

    `following` gives the next frame with its seconds, None at the end. A frame is given again where
    the next comes late, and left out where the next is due too. The last one stays for `stay`
    seconds.
    """

    def __init__(
        self, following: Callable[[], tuple[T, float] | None], rate: Fraction, stay: float
    ) -> None:
        self._following, self._rate, self._stay = following, rate, stay
        self._shown, self._coming = following(), following()
        self._count = 0
        self._begin = self._shown[1] if self._shown else 0.0

    def next(self) -> tuple[T, float] | None:
        """The frame and its seconds at the constant rate; None at the end."""
        if self._shown is None:
            return None
        due = self._begin + float(self._count / self._rate)
        while self._coming is not None and self._coming[1] <= due + EPSILON:
            self._shown, self._coming = self._coming, self._following()
        if self._coming is None and due > self._shown[1] + self._stay - EPSILON:
            self._shown = None
            return None
        self._count += 1
        return self._shown[0], due


EPSILON = 1e-4
"""Seconds by which a time may be rounded."""
