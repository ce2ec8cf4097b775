"""Putting frame, alpha and background together, and how its kernels are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile a function with numba: at its first call, without the GIL, cached on disk.

    A division by zero gives infinity: the test for it would keep loops from being vectorised. The cache lies beside the function's file, or in the user's where that cannot be written.
    """
    compiled: F = njit(nogil=True, cache=True, error_model="numpy")(function)
    return compiled
