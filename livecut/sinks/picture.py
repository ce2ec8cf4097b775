"""Pictures on disk as outputs: one file, or a folder of PNGs."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from livecut.errors import SinkError
from livecut.files import require_folder
from livecut.frame import Output
from livecut.pictures import save_picture
from livecut.sinks.base import Sink


class PictureFile(Sink):
    """One picture: the last that was written, saved by `close`. Of none, there is no file."""

    def __init__(self, path: Path, size: tuple[int, int], *, transparent: bool = False) -> None:
        """Raises SinkError where its folder cannot be written."""
        channels = 4 if transparent else 3
        super().__init__(str(path), size, (channels,))
        require_folder(path)
        self._path = path
        self._image = np.empty((size[1], size[0], channels), np.uint8)
        self._written = False

    def write(self, output: Output) -> None:
        self._check(output.image)
        np.copyto(self._image, output.image)
        self._written = True

    def close(self) -> None:
        if self._written:
            self._written = False
            save_picture(self._path, self._image)

    def abort(self) -> None:
        self._written = False


class PictureFolder(Sink):
    """A folder of PNGs: 000000.png and so on, in the order of writing."""

    def __init__(self, path: Path, size: tuple[int, int], *, transparent: bool = False) -> None:
        """Makes the folder where there is none. Raises SinkError, without its parent for instance."""
        super().__init__(f"{path}{os.sep}", size, (4 if transparent else 3,))
        self._path, self._count = path, 0
        require_folder(path)
        try:
            path.mkdir(exist_ok=True)
        except OSError as e:
            raise SinkError(f"cannot make the folder {path}: {e.strerror}") from e

    def write(self, output: Output) -> None:
        self._check(output.image)
        save_picture(self._path / f"{self._count:06d}.png", output.image)
        self._count += 1
