"""The options of `livecut export` and `livecut relabel`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from livecut.options import Option


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Everything that `livecut export` may be told."""

    checkpoints: Annotated[
        tuple[Path, ...],
        Option("Checkpoints of livecut train.", metavar="CHECKPOINT", positional=True),
    ]
    output: Annotated[
        Path,
        Option(
            "The .onnx file, the .safetensors is written beside it; or that one alone.", short="-o"
        ),
    ]
    int8: Annotated[
        Path | None,
        Option(
            "Write NAME.int8.onnx too, calibrated on DATA's training pictures, if it is nearly as "
            "good on the others.",
            metavar="DATA",
        ),
    ] = None
    float16: Annotated[
        bool,
        Option(
            "Write NAME.float16.onnx too, in half precision for ONNX Runtime on a GPU, if its "
            "alpha is nearly the same."
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class RelabelOptions:
    """Everything that `livecut relabel` may be told."""

    data: Annotated[Path, Option("Folder of train/images and train/masks, as for livecut train.")]
    teachers: Annotated[
        Path,
        Option(
            "Folder of the teachers' alpha of the training pictures, NAME.png, and agreement.tsv."
        ),
    ]
    output: Annotated[
        Path, Option("Folder to make: the same as DATA, with other training masks.", short="-o")
    ]
    join: Annotated[
        tuple[str, ...],
        Option(
            "A source whose masks leave out parts of people: mask and teachers together; "
            "repeatable.",
            metavar="SOURCE",
        ),
    ] = ()
    drop: Annotated[
        bool,
        Option(
            "Leave out the pictures on which the teachers cannot be believed, in place of keeping "
            "their masks."
        ),
    ] = False
