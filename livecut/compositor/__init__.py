"""Putting frame, alpha and background together, and how its kernels are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile a function with numba: at its first call, without the GIL, cached on disk.

    The cache lies beside the function's file, or in the user's where that cannot be written.
    """
    compiled: F = njit(nogil=True, cache=True)(function)
    return compiled
