"""Files that are there whole or not at all, and the folder for what can be made again."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def part_of(path: Path) -> Path:
    """Where a file stands while it is written: beside its place, as NAME.part."""
    return path.with_name(f"{path.name}.part")


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Gives `part_of` a file, to be written by the body; it takes the file's place after that.

    Where the body or the move fails, what was written is gone, and what was there before stays.
    """
    part = part_of(path)
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def cache_folder() -> Path:
    """The folder where livecut keeps for this user what can be made again."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "livecut"
