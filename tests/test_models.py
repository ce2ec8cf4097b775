"""The shipped models: each has a card, and the card names the very files."""

from __future__ import annotations

import hashlib

import pytest

from livecut.models import model_names, models_dir


@pytest.mark.parametrize("name", model_names())
def test_card_names_the_very_files(name: str) -> None:
    card = (models_dir() / f"{name}.md").read_text(encoding="utf-8")
    for path in sorted(models_dir().glob(f"{name}.*")):
        if path.suffix not in (".onnx", ".safetensors"):
            continue
        sha = hashlib.sha256(path.read_bytes()).hexdigest()
        assert f"| {path.name} | `{sha}` |" in card
