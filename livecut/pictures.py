"""Reading and writing of picture files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from livecut.errors import SinkError, SourceError
from livecut.files import atomic_write, require_folder, require_free
from livecut.frame import Image, as_image

# OpenCV prints what is raised here as one line, and printing is the program's affair.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

READABLE = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jp2", ".webp", ".avif", ".bmp", ".dib", ".tif", ".tiff"}
    | {".ppm", ".pgm", ".pbm", ".pnm"}
)
"""Endings, in lower case, of the files that are opened as pictures."""


def read_picture(path: Path) -> Image:
    """The picture in a file, as uint8 BGR (H, W, 3), turned as its EXIF data says.

    Grey pictures become BGR, 16 bits become 8, an alpha channel is left out. Raises SourceError.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    if not data.size:
        raise SourceError(f"{path} is empty (0 bytes); give a picture")
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise SourceError(f"{path} is a picture that cannot be decoded: {error.err}") from error
    if image is None:
        raise SourceError(f"{path} is not a picture, or is damaged; give PNG, JPEG, WebP or TIFF")
    return as_image(image)


WRITABLE = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
"""Endings, in lower case, of the files that are written as pictures."""


def save_picture(path: Path, image: Image, *, overwrite: bool = False) -> None:
    """Save a BGR or BGRA picture in the format of its suffix, at once or not at all.

    Raises SinkError, also where the file is there already and `overwrite` is not set.
    """
    require_free([path], overwrite=overwrite)
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
        with atomic_write(path) as part:
            part.write_bytes(data.data)
    except (OSError, cv2.error) as e:
        reason = e.strerror if isinstance(e, OSError) else "it cannot hold a picture of this size"
        raise SinkError(f"cannot write {path}: {reason}") from e


def require_picture(path: Path) -> None:
    """Raise SinkError where `save_picture` could not write `path`."""
    if path.suffix.lower() not in WRITABLE:
        raise SinkError(f"cannot write {path}; expected a picture: {', '.join(WRITABLE)}")
    require_folder(path)


def pictures(folder: Path) -> list[Path]:
    """The pictures in a folder, sorted by name; none where there is no such folder."""
    paths = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in paths if path.suffix.lower() in READABLE)
