"""ONNX Runtime reports nothing: what its reporter keeps at home is never made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")
RUN = """
from livecut.engines.onnx import OnnxEngine
from livecut.models import find_model

engine = OnnxEngine(find_model("fast"), threads=1)
engine.resize(208, 112)
engine.run()
"""


def test_no_identifier_of_the_device_is_made(tmp_path: Path) -> None:
    """Without livecut's word before the import it stands in the home folder a moment later."""
    env = {
        k: v for k, v in os.environ.items() if k not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        env=env | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert not [*tmp_path.rglob("deviceid"), *tmp_path.rglob("onnxruntime.db")]
