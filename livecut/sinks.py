"""Where pictures go: the sinks, and `open_sink`, which makes one from a word of the command line.

A file is finished or absent: it is written beside its place under the name NAME.part and moved
there by `close`. What is wrong with an output is a SinkError of one line; a picture of the wrong
shape or type is a mistake in the program and raises ValueError or TypeError. FFmpeg is loaded by
those who need it alone: a camera and a window do not.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from livecut.errors import SinkError
from livecut.files import whole
from livecut.form import BGR, Form
from livecut.frame import Image, Output

WRITABLE = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
VIDEOS = (".mp4", ".mov", ".mkv", ".webm")
_ALPHA_PICTURES = (".png", ".webp")
_ALPHA_VIDEOS = (".webm", ".mov")


class Sink(ABC):
    """An output. `with` closes it; a half-written file is never left, whatever happens."""

    name: str
    """For people: "out.mp4", "/dev/video10 (livecut)"."""
    paced = False
    """Shown in real time, so that a file is to be played at its own rate."""
    duplicated = 0
    """Pictures that were repeated to keep a constant rate."""
    hints: tuple[str, ...] = ()
    """Lines for the person who opens it: where to look, what to beware of."""
    form: Form | None = None
    """The form in which it takes pictures best; BGR, or BGRA where transparent, it takes in any case."""

    def __init__(self, name: str, size: tuple[int, int], channels: Sequence[int] = (3,)) -> None:
        """`size` is (width, height) of the pictures to come; `channels` how many they may have."""
        self.name, self._size = name, size
        self._shapes = [(size[1], size[0], c) for c in channels]

    @abstractmethod
    def write(self, output: Output) -> None:
        """Takes one picture, and keeps no reference to it. Raises SinkError."""

    def close(self) -> None:
        """Finishes the file and releases the device; may be called again. Raises SinkError."""
        return

    def abort(self) -> None:
        """After a failure of this sink: releases all it holds and leaves nothing half-written."""
        self.close()

    def pressed(self) -> list[str]:
        """The names of the keys pressed since the last call; only a window has any."""
        return []

    def _check(self, image: Image, form: Form = BGR) -> None:
        """Raises TypeError or ValueError where it is not a picture that was announced."""
        own = self.form is not None and form == self.form
        shapes = [form.shape(self._size)] if own else self._shapes
        if image.dtype != np.uint8:
            raise TypeError(f"{self.name}: got a picture of {image.dtype}, expected uint8")
        if image.shape not in shapes:
            expected = " or ".join(map(str, shapes))
            raise ValueError(f"{self.name}: got a picture of {image.shape}, expected {expected}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def open_sink(
    uri: str,
    *,
    size: tuple[int, int],
    fps: float,
    transparent: bool = False,
    live: bool = False,
    title: str = "livecut",
) -> Sink:
    """Opens the output that `uri` names.

    "window", "virtual", "/dev/videoN", "http" or "http://HOST:PORT", a video or picture file, a
    folder (one that exists, or a name that ends in "/"), "-" (YUV4MPEG2 on standard output),
    "null". `size` is (width, height) and `fps` the rate of the pictures to come, which are BGRA
    where `transparent`, else BGR. With `live` they come at their own pace and their time stamps
    count. `title` is a window's, and no other window may have it. Raises SinkError.
    """
    if uri == "null":
        return Null(size)
    if uri == "window":
        from livecut.window import Window

        return Window(size, transparent=transparent, title=title)
    path = Path(uri)
    suffix = path.suffix.lower()
    web = uri.startswith(("http:", "https:")) or uri == "http"
    device = uri == "virtual" or (uri.startswith("/dev/") and path.name.startswith("video"))
    folder = not web and (uri.endswith(("/", os.sep)) or path.is_dir())
    holds_alpha = folder or (not web and suffix in (*_ALPHA_PICTURES, *_ALPHA_VIDEOS))
    if transparent and not holds_alpha:
        raise SinkError(
            f"output '{uri}' cannot hold transparency; those that can are "
            f"{', '.join((*_ALPHA_VIDEOS, *_ALPHA_PICTURES))}, a folder of PNGs and the window"
        )
    if web:
        from livecut.preview import Preview

        return Preview(uri, size)
    if device:
        from livecut.virtual import open_virtual

        return open_virtual(uri, size=size, fps=fps)
    if uri == "-":
        from livecut.writers import Pipe

        return Pipe(size, fps, live=live)
    if folder:
        return PictureFolder(path, size, transparent=transparent)
    if suffix in VIDEOS:
        from livecut.writers import VideoWriter

        return VideoWriter(path, size, fps, transparent=transparent, live=live)
    if suffix in WRITABLE:
        return PictureFile(path, size, transparent=transparent)
    raise SinkError(
        f"unknown output '{uri}'; known are window, virtual, /dev/videoN, http, a file ending in "
        f"{', '.join((*VIDEOS, *WRITABLE))}, a folder (ending in /), - (standard output) and null"
    )


class Null(Sink):
    """Takes every picture and drops it: for measuring; best in `form`."""

    def __init__(self, size: tuple[int, int], form: Form | None = None) -> None:
        super().__init__("null", size, (3, 4))
        self.form = form

    def write(self, output: Output) -> None:
        self._check(output.image, output.form)


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


def save_picture(path: Path, image: Image) -> None:
    """Saves a BGR or BGRA picture in the form of its suffix, at once or not at all.

    Raises SinkError.
    """
    suffix = path.suffix.lower()
    options: list[int] = []
    if suffix == ".png":
        options = [cv2.IMWRITE_PNG_COMPRESSION, 1]
        if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # twice as fast as what newer OpenCV chooses
            options += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
    elif suffix in (".jpg", ".jpeg", ".webp"):
        options = [cv2.IMWRITE_WEBP_QUALITY if suffix == ".webp" else cv2.IMWRITE_JPEG_QUALITY, 95]
    try:
        _, data = cv2.imencode(suffix, image, options)
        with whole(path) as part:
            part.write_bytes(data.data)
    except (OSError, cv2.error) as e:
        reason = e.strerror if isinstance(e, OSError) else "it cannot hold a picture of this size"
        raise SinkError(f"cannot write {path}: {reason}") from e


def require_picture(path: Path) -> None:
    """Raises SinkError where `save_picture` could not write `path`."""
    if path.suffix.lower() not in WRITABLE:
        raise SinkError(f"cannot write {path}; expected a picture: {', '.join(WRITABLE)}")
    require_folder(path)


def require_folder(path: Path) -> None:
    """Raises SinkError where nothing can be made in the folder that `path` is to stand in."""
    parent = path.parent
    if not parent.is_dir():
        raise SinkError(f"cannot write {path}: there is no folder {parent}; make it first")
    if not os.access(parent, os.W_OK):
        raise SinkError(f"cannot write {path}: no permission to write in the folder {parent}")
