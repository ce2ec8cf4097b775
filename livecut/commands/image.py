"""`livecut image`."""

from __future__ import annotations

import click

from livecut.commands.options import common, takes
from livecut.commands.terminal import progress_bar, say_error, showing
from livecut.options import NetworkOptions, values_of
from livecut.pipeline.options import ImageOptions


@click.command()
@takes(ImageOptions)
@common
def image(options: ImageOptions) -> None:
    """Cut the person out of pictures: files, or folders of them."""
    from livecut.pipeline.stills import StillJob, process_stills
    from livecut.segmenter import Segmenter

    job = StillJob(**values_of(options, StillJob))
    segmenter = Segmenter(**values_of(options, NetworkOptions))
    with showing(progress_bar()) as bar:
        failed = process_stills(
            list(options.inputs),
            options.output,
            job,
            segmenter,
            track=lambda items: bar.track(items, description="pictures"),
        )
    for error in failed:
        say_error(str(error))
    if failed:
        raise SystemExit(1)
