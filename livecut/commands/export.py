"""`livecut export`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import click

from livecut.commands.terminal import say
from livecut.errors import ConfigError


@click.command()
@click.argument("checkpoints", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="The .onnx file, the .safetensors is written beside it; or that one alone.",
)
@click.option(
    "--int8",
    type=click.Path(path_type=Path),
    metavar="DATA",
    help="Write NAME.int8.onnx too, calibrated on DATA's training pictures, if it is nearly as good on the others.",
)
def export(checkpoints: tuple[Path, ...], output: Path, int8: Path | None) -> None:
    """Write a checkpoint of livecut train as ONNX and safetensors, if both engines agree.

    Its settings are written beside them as TOML, for livecut train --config. A .safetensors in the
    place of the checkpoint gives the ONNX alone. Of several CHECKPOINTS of one network the mean of the weights is
    written, for the first's input size, which is often better than each where one began from another's weights.
    """
    with needs_torch():
        from livecut.training.export import export as write
    first, *others = checkpoints
    found = write(first, output, int8, others)
    say(
        f"wrote {', '.join(str(path) for path in found.files)}"
        + f"; ONNX Runtime and PyTorch differ by {found.difference or 0:.1e} in alpha at most"
        * (found.difference is not None)
    )
    if found.ious:
        say("mean IoU on validation pictures: {:.2f} %, in int8 {:.2f} %".format(*found.ious))


@contextlib.contextmanager
def needs_torch() -> Iterator[None]:
    """Turn a missing training library into a clear error."""
    try:
        yield
    except ImportError as error:
        raise ConfigError(
            f'this command needs {error.name}; install it with: pip install "livecut[torch]"'
        ) from error
