"""Sources of pictures, and `open_source`, which makes one from a word of the command line."""

from __future__ import annotations

from livecut.errors import SourceError
from livecut.frame import Size
from livecut.registry import WordRegistry, one_line_errors
from livecut.sources.base import Source
from livecut.urls import public_url

SOURCES = WordRegistry[type[Source]](
    Source,
    {
        "camera": "livecut.sources.camera:Camera",
        "picture": "livecut.sources.picture:Picture",
        "demo": "livecut.sources.video:Demo",
        "pipe": "livecut.sources.video:Pipe",
        "stream": "livecut.sources.video:Stream",
        "video": "livecut.sources.video:VideoFile",
    },
    kind="source",
    group="livecut.sources",
)


def open_source(
    uri: str, *, size: Size | None = None, fps: float | None = None, fourcc: str | None = None
) -> Source:
    """Open what `uri` names, one of the forms of the classes in `SOURCES`.

    A camera's `uri` is its number, its device file or (on Linux) its name, as errors list it.
    `size`, (width, height), is asked of a camera; other pictures are scaled to it. `fps` is
    asked of a camera, and a video file is brought to it, a constant rate. `fourcc`, the four
    letters of a pixel format, is asked of a camera; nothing else takes them. Raises SourceError.
    """
    if size is not None and min(size) < 1:
        raise SourceError(f"a size of {size[0]}x{size[1]} holds no picture")
    kind = SOURCES.find(uri)
    if kind is None:
        scheme, separator, _ = uri.partition("://")
        unknown = (
            f"{scheme}:// is not a stream that livecut reads"
            if separator
            else f"there is no file {public_url(uri)!r}"
        )
        raise SourceError(f"{unknown}; give one of: {SOURCES.known()}")
    given = {"size": size, "fps": fps, "fourcc": fourcc}
    asked = {name: value for name, value in given.items() if value is not None}
    for name, value in asked.items():
        if name not in kind.settings:
            raise SourceError(
                f"--{name} {value} can be asked of a camera{' or a video file' * (name == 'fps')} "
                f"only, not of {public_url(uri)}"
            )
    with one_line_errors(kind, f"source '{public_url(uri)}'", SourceError):
        return kind.open(uri, **asked)
