"""Files: whole or absent, never replaced unasked, and the folder for what can be made again."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from livecut.errors import SinkError

UNFINISHED = ".part"
"""Ending of a file's name while it is written."""
NUMBERED = re.compile(r"\d{6,}\.png")
"""Name of a frame in a folder of them."""


def require_folder(path: Path) -> None:
    """Raise SinkError where no file can be made in the folder of `path`."""
    parent = path.parent
    if not parent.is_dir():
        raise SinkError(f"cannot write {path}: there is no folder {parent}; make it first")
    if not os.access(parent, os.W_OK):
        raise SinkError(f"cannot write {path}: no permission to write in the folder {parent}")


def require_free(
    targets: Iterable[Path], *, overwrite: bool, inputs: Iterable[str | Path] = ()
) -> None:
    """Raise SinkError where an output at one of `targets`, files or folders, would lose a file.

    A file among `inputs` is never written over, by whatever name or link; others are with
    `overwrite` alone. Inputs that are no files are passed over.
    """
    sources: dict[object, str | Path] = {
        key: name for name in inputs if (key := _identity(name)) is not None
    }
    taken = [(target, path) for target in targets for path in _replaced_by(target)]
    for target, path in taken:
        source = sources.get(_identity(path))
        if source is not None:
            raise SinkError(
                f"cannot write {target}: it would replace {source}, which is read; give another "
                "name"
            )
    if taken and not overwrite:
        target, path = taken[0]
        others = len({each for each, _ in taken}) - 1
        more = f", and so {'is 1 other' if others == 1 else f'are {others} others'}" * bool(others)
        if path == part_of(target):
            what = f"{path} is there, which another run writes or left unfinished"
        else:
            what = f"{'it' if path == target else path} is there already"
        raise SinkError(
            f"cannot write {target}: {what}{more}; give --overwrite to replace it, or another name"
        )


def _replaced_by(target: Path) -> list[Path]:
    """The files that an output at `target` would replace: its own, or frames in a folder."""
    if target.is_dir():
        return sorted(path for path in target.iterdir() if NUMBERED.fullmatch(path.name))
    return [path for path in (target, part_of(target)) if os.path.lexists(path)]


def _identity(path: str | Path) -> tuple[int, int] | None:
    """Device and inode of a file, through links; None where there is no such file."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def part_of(path: Path) -> Path:
    """Path of a file while it is written: beside its place, as NAME.part."""
    return path.with_name(path.name + UNFINISHED)


def make_part(path: Path, *, overwrite: bool) -> Path:
    """Make the empty `part_of` a file, which no other run writes to.

    With `overwrite` the part of another run is thrown away. Raises SinkError where there is one, or
    the file itself, without; and OSError.
    """
    require_free([path], overwrite=overwrite)
    part = part_of(path)
    if overwrite:
        part.unlink(missing_ok=True)
    part.open("xb").close()
    return part


def finish_part(path: Path, *, overwrite: bool) -> None:
    """Give the finished `part_of` a file its name.

    Raises SinkError, and leaves the part, where something else took the name meanwhile and
    `overwrite` is not set; and OSError.
    """
    part = part_of(path)
    if not overwrite and os.path.lexists(path):
        raise SinkError(
            f"cannot write {path}: another program made it meanwhile; the whole file is {part}"
        )
    os.replace(part, path)


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
