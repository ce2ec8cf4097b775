"""Files that are whole or absent, and the folder for what can be made again."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from livecut.errors import SinkError


def require_folder(path: Path) -> None:
    """Raise SinkError where no file can be made in the folder of `path`."""
    parent = path.parent
    if not parent.is_dir():
        raise SinkError(f"cannot write {path}: there is no folder {parent}; make it first")
    if not os.access(parent, os.W_OK):
        raise SinkError(f"cannot write {path}: no permission to write in the folder {parent}")


def part_of(path: Path) -> Path:
    """Path of a file while it is written: beside its place, as NAME.part."""
    return path.with_name(f"{path.name}.part")


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file whole or not at all: the body writes `part_of` it, which then takes its place.

    Where the body or the move fails, the part is deleted and the file that was there before stays.
    Raises OSError.
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
