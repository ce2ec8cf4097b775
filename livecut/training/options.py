"""The options of `livecut export`."""

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
