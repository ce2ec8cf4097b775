"""The options of `livecut run`, of `Pipeline` and of `livecut image`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from livecut.options import TITLE, NetworkOptions, Option, ProcessorOptions


@dataclass(frozen=True, kw_only=True)
class PipelineOptions(ProcessorOptions):
    """The keyword arguments of `Pipeline` that a person may choose."""

    background: Annotated[
        str,
        Option(
            "What stands behind the person, as listed below.",
            short="-b",
        ),
    ] = "blur"
    mirror: Annotated[bool, Option("Flip left and right.")] = False
    in_flight: Annotated[
        int,
        Option(
            "Frames of a file that are worked on at once: 1 for the least delay, more for the "
            "highest rate; 0: 2 of a file, 1 of a stream.",
            at_least=0,
            at_most=3,
        ),
    ] = 0
    max_frames: Annotated[int | None, Option("End after so many frames.", at_least=1)] = None
    title: Annotated[str, Option("Title of the window.")] = TITLE
    overwrite: Annotated[bool, Option("Replace files that are there already.")] = False
    no_sound: Annotated[
        bool, Option("Leave out the sound, which goes from a video file into a video.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """The keyword arguments of `open_source`."""

    size: Annotated[
        tuple[int, int] | None, Option("Ask the camera for this size; scale a file to it.")
    ] = None
    fps: Annotated[
        float | None,
        Option("Ask the camera for this rate; bring a video file to it.", at_least=1, at_most=1000),
    ] = None
    fourcc: Annotated[str | None, Option("Ask the camera for this pixel format, as in MJPG.")] = (
        None
    )


@dataclass(frozen=True, kw_only=True)
class RunOptions(SourceOptions, PipelineOptions):
    """Everything that `livecut run` may be told."""

    source: Annotated[
        tuple[str, ...],
        Option("In place of SOURCE; given again, several run at once on one network."),
    ] = ("0",)
    output: Annotated[
        tuple[str, ...],
        Option(
            "Where the result goes, as listed below; may be given again. Of several sources each "
            "gets one of its own, in order, or one for all with {n} or {name} in its name.",
            short="-o",
        ),
    ] = ("window",)


@dataclass(frozen=True, kw_only=True)
class StillOptions:
    """The result wanted of each picture."""

    kind: Annotated[
        str,
        Option(
            "composite, or as the flags say.",
            flags={
                "alpha": "Write the soft matte, 0 to 255.",
                "mask": "Write the binary mask, 0 or 255.",
                "cutout": "Write the person alone, RGBA PNG.",
            },
        ),
    ] = "composite"
    background: Annotated[str, Option("As for livecut run.", short="-b")] = (
        PipelineOptions.background
    )
    threshold: Annotated[
        float, Option("Least alpha / 255 of the person, for --mask.", at_least=0, at_most=1)
    ] = 0.5
    overwrite: Annotated[bool, Option("Replace files that are there already.")] = False


@dataclass(frozen=True, kw_only=True)
class ImageOptions(StillOptions, NetworkOptions):
    """Everything that `livecut image` may be told."""

    inputs: Annotated[
        tuple[Path, ...], Option("Pictures, and folders of them.", metavar="IN", positional=True)
    ]
    output: Annotated[
        Path,
        Option(
            "A picture for one input; else a folder, made if absent: names kept, .png.", short="-o"
        ),
    ]
