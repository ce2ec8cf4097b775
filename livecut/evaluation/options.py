"""The options of `livecut eval`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from livecut.options import NetworkOptions, Option


@dataclass(frozen=True, kw_only=True)
class EvalOptions(NetworkOptions):
    """Everything that `livecut eval` may be told."""

    images: Annotated[Path | None, Option("Folder of pictures.")] = None
    masks: Annotated[
        Path | None, Option("Folder of their masks, of the same names and sizes; 255 = person.")
    ] = None
    index: Annotated[
        Path | None,
        Option(
            "Table of split, name, webcam_like, source, by tabs; default: IMAGES/../../index.tsv, "
            "if there."
        ),
    ] = None
    nobody: Annotated[
        bool,
        Option(
            "Take the parts beside the pictures' persons, where nobody is; leak is what is kept."
        ),
    ] = False
    worst: Annotated[
        Path | None,
        Option(
            "Write a contact sheet of the 16 worst: picture, alpha on green, true mask on green.",
            metavar="FILE.png",
        ),
    ] = None
    sequences: Annotated[
        Path | None,
        Option(
            "In place of --images and --masks: a folder as for livecut train, of whose validation "
            "pictures and rooms moving sequences are made."
        ),
    ] = None
    count: Annotated[
        int, Option("How many sequences; every second has a cut in it.", at_least=1)
    ] = 20
    ghosts: Annotated[
        Path | None,
        Option(
            "In place of --images and --masks: a clip, or a folder of them; measures what is "
            "seen of "
            "the background away from the person.",
            metavar="CLIPS",
        ),
    ] = None
    background: Annotated[
        str, Option("What stands behind the person in clips, as for livecut run.")
    ] = "blur"
    adapter: Annotated[
        Path | None,
        Option(
            "TOML that describes an .onnx or .tflite file of others; default: NAME.adapter.toml "
            "beside it, if there."
        ),
    ] = None
    json: Annotated[bool, Option("Print one JSON object in place of the table.")] = False
