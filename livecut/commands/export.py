"""`livecut export`."""

from __future__ import annotations

import click

from livecut.commands.options import common, takes
from livecut.commands.terminal import say
from livecut.training.options import ExportOptions


@click.command()
@takes(ExportOptions)
@common
def export(options: ExportOptions) -> None:
    """Write a checkpoint of livecut train as ONNX and safetensors, if both engines agree.

    Its settings are written beside them as TOML, for livecut train --config. A .safetensors in
    place of the checkpoint gives the ONNX alone. Several checkpoints of one network are averaged:
    the mean of their weights is written, for the first's input size, which is often better than
    each where one began from another's weights.
    """
    from livecut.training.export import export as write

    first, *others = options.checkpoints
    found = write(first, options.output, options.int8, others, float16=options.float16)
    say(
        f"wrote {', '.join(str(path) for path in found.files)}"
        + f"; ONNX Runtime and PyTorch differ by {found.difference or 0:.1e} in alpha at most"
        * (found.difference is not None)
    )
    if found.figures:
        say("on validation pictures: {}; in int8: {}".format(*found.figures))
