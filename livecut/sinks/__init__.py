"""Outputs, and `open_sink`, which makes one from a word of the command line."""

from __future__ import annotations

from pathlib import Path

from livecut.errors import SinkError
from livecut.frame import Size
from livecut.options import TITLE
from livecut.registry import WordRegistry, one_line_errors, shorten
from livecut.sinks.base import Sink, VideoInfo
from livecut.urls import public_url

SINKS = WordRegistry[type[Sink]](
    Sink,
    {
        "window": "livecut.sinks.window:Window",
        "virtual": "livecut.sinks.virtual:VirtualCamera",
        "http": "livecut.sinks.web:Preview",
        "null": "livecut.sinks.null:Null",
        "pipe": "livecut.sinks.pipe:Pipe",
        "folder": "livecut.sinks.picture:PictureFolder",
        "video": "livecut.sinks.video:VideoWriter",
        "picture": "livecut.sinks.picture:PictureFile",
    },
    kind="output",
    group="livecut.sinks",
)


def find_sink(uri: str, *, transparent: bool = False) -> type[Sink]:
    """The class of the output that `uri` names, for pictures that are BGRA where `transparent`.

    Nothing is opened. Raises SinkError for an unknown output, and for one that cannot hold
    transparency and has to.
    """
    kind = SINKS.find(uri)
    if kind is None:
        raise SinkError(f"unknown output '{public_url(uri)}'; known are {SINKS.known()}")
    if transparent and not kind.holds_alpha(uri):
        able = [
            form
            for usage in SINKS.usages()
            for form in usage.forms
            if (named := SINKS.named(usage.name)) and named.holds_alpha(form)
        ]
        raise SinkError(
            f"output '{public_url(uri)}' cannot hold transparency; those that can are "
            f"{', '.join(shorten(able))}"
        )
    return kind


def open_sink(
    uri: str,
    *,
    size: Size,
    fps: float,
    transparent: bool = False,
    realtime: bool = False,
    title: str = TITLE,
    overwrite: bool = False,
    sound: Path | None = None,
) -> Sink:
    """Open the output that `uri` names, one of the forms of the classes in `SINKS`.

    `size` is (width, height) and `fps` the rate of the pictures to come, which are BGRA where
    `transparent`, else BGR. With `realtime` they come at their own pace and their time stamps
    count. `title` is a window's, and no other window may have it. A file that is there already is
    an error without `overwrite`. A video gets the sound of the file `sound` too, at the times that
    `Output.position` has for the pictures. Raises SinkError.
    """
    kind = find_sink(uri, transparent=transparent)
    video = VideoInfo(
        size=size,
        fps=fps,
        transparent=transparent,
        realtime=realtime,
        title=title,
        overwrite=overwrite,
        sound=sound,
    )
    with one_line_errors(kind, f"output '{public_url(uri)}'", SinkError):
        return kind.open(uri, video)
