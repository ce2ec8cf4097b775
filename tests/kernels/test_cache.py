"""The kernels' cache on disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
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


def test_says_that_kernels_are_compiled_the_first_time_alone(tmp_path: Path) -> None:
    code = "import numpy as np; from livecut.kernels.guided_filter import to_levels; "
    code += "to_levels(np.ones((1, 1), np.float32), np.ones((1, 1), np.uint8))"
    said = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        ).stderr
        for _ in range(2)
    ]
    assert said[0].count("compiling for this processor") == 1
    assert said[1] == ""
