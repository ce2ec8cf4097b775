"""Checks of what a run was told, before anything is opened."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from livecut.backgrounds import find_background
from livecut.errors import SinkError
from livecut.files import require_free
from livecut.sinks import find_sink


def require_words(
    sources: Sequence[str | Path], background: str, outputs: Sequence[str], *, overwrite: bool
) -> None:
    """Raise an error for a background or an output that no class takes, or that would lose a file.

    Nothing is opened, so that a mistake is told before a camera's light goes on. A file that is
    there already is an error without `overwrite`; one that is read, or that two outputs would
    write, is one always. Raises ConfigError and SinkError.
    """
    transparent = find_background(background).transparent
    targets = dict[str, Path]()
    for word in outputs:
        target = find_sink(word, transparent=transparent).target(word)
        if target is None:
            continue
        place = os.path.normcase(os.path.realpath(target))
        if place in targets:
            raise SinkError(f"two outputs would write {target}; give them different names")
        targets[place] = target
    require_free(targets.values(), overwrite=overwrite, inputs=[*sources, background])
