"""Pictures on disk as outputs: one file, or a folder of PNGs."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from livecut.errors import SinkError
from livecut.files import require_folder, require_free
from livecut.frame import Output, Size
from livecut.pictures import WRITABLE, save_picture
from livecut.sinks.base import Sink, VideoInfo


class PictureFile(Sink):
    """One picture: the last that was written, saved by `close`. Without one there is no file."""

    forms = tuple(f"out{suffix}" for suffix in WRITABLE)
    help = "a picture, the last of the run"

    def __init__(
        self, path: Path, size: Size, *, transparent: bool = False, overwrite: bool = False
    ) -> None:
        """Check the folder.

        Raises SinkError where it cannot be written, or the file is there and `overwrite` not set.
        """
        channels = 4 if transparent else 3
        super().__init__(str(path), size, (channels,))
        require_folder(path)
        require_free([path], overwrite=overwrite)
        self._path, self._overwrite = path, overwrite
        self._image = np.empty((size[1], size[0], channels), np.uint8)
        self._written = False

    @classmethod
    def accepts(cls, uri: str) -> bool:
        return Path(uri).suffix.lower() in WRITABLE

    @classmethod
    def holds_alpha(cls, uri: str) -> bool:
        return Path(uri).suffix.lower() in (".png", ".webp")

    @classmethod
    def target(cls, uri: str) -> Path:
        return Path(uri)

    @classmethod
    def open(cls, uri: str, video: VideoInfo) -> PictureFile:
        return cls(Path(uri), video.size, transparent=video.transparent, overwrite=video.overwrite)

    def write(self, output: Output) -> None:
        self.check(output.image)
        np.copyto(self._image, output.image)
        self._written = True

    def close(self) -> None:
        if self._written:
            self._written = False
            save_picture(self._path, self._image, overwrite=self._overwrite)

    def abort(self) -> None:
        self._written = False


class PictureFolder(Sink):
    """A folder of PNGs: 000000.png and so on, in the order of writing."""

    forms = ("folder/",)
    help = "a PNG for each frame"

    def __init__(
        self, path: Path, size: Size, *, transparent: bool = False, overwrite: bool = False
    ) -> None:
        """Make the folder if it is absent.

        Raises SinkError without its parent, or where it holds frames and `overwrite` is not set.
        """
        super().__init__(f"{path}{os.sep}", size, (4 if transparent else 3,))
        self._path, self._overwrite, self._count = path, overwrite, 0
        require_folder(path)
        require_free([path], overwrite=overwrite)
        try:
            path.mkdir(exist_ok=True)
        except OSError as e:
            raise SinkError(f"cannot make the folder {path}: {e.strerror}") from e

    @classmethod
    def accepts(cls, uri: str) -> bool:
        return uri.endswith(("/", os.sep)) or Path(uri).is_dir()

    @classmethod
    def holds_alpha(cls, uri: str) -> bool:
        return True

    @classmethod
    def target(cls, uri: str) -> Path:
        return Path(uri)

    @classmethod
    def open(cls, uri: str, video: VideoInfo) -> PictureFolder:
        return cls(Path(uri), video.size, transparent=video.transparent, overwrite=video.overwrite)

    def write(self, output: Output) -> None:
        self.check(output.image)
        path = self._path / f"{self._count:06d}.png"
        save_picture(path, output.image, overwrite=self._overwrite)
        self._count += 1
