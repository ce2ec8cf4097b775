"""The kernels' cache on disk."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from livecut import kernels
from livecut.kernels import Cache, composite


def test_code_in_the_cache_is_fresh_while_the_constants_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A kernel holds them as compiled: one that changed must not be met in an old cache."""
    compiled: Any = composite.unpremultiply
    compiled(np.ones((2, 2, 4), np.float32), np.empty((2, 2, 3), np.uint8))
    function = compiled.py_func
    assert Cache(function)._cache_file._load_index()
    monkeypatch.setattr(kernels, "CONSTANTS", (("WEIGHT_BITS", 7),))
    assert not Cache(function)._cache_file._load_index()


def test_all_constants_count() -> None:
    names = dict(kernels.CONSTANTS)
    assert names["ALPHA_MARGIN"] == kernels.constants.ALPHA_MARGIN
    assert len(names) > 40
