"""`livecut image`."""

from __future__ import annotations

from pathlib import Path

import click

from livecut.commands.terminal import (
    model_options,
    progress_bar,
    say,
)


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="IN...", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="A picture for one input; else a folder, made if absent: names kept, .png.",
)
@click.option("-b", "--background", default="blur", show_default=True, help="As for livecut run.")
@click.option("--alpha", "kind", flag_value="alpha", help="Write the soft matte, 0 to 255.")
@click.option("--mask", "kind", flag_value="mask", help="Write the binary mask, 0 or 255.")
@click.option("--cutout", "kind", flag_value="cutout", help="Write the person alone, RGBA PNG.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Of --mask: alpha from here on is person.",
)
@model_options
def image(
    inputs: tuple[Path, ...],
    output: Path,
    background: str,
    kind: str | None,
    threshold: float,
    model: str,
    device: str,
    engine: str,
) -> None:
    """Cut the person out of pictures: files, or folders of them."""
    from livecut.pipeline.stills import StillJob, process_stills
    from livecut.segmenter import Segmenter

    job = StillJob(kind=kind or "composite", background=background, threshold=threshold)
    segmenter = Segmenter(model, device=device, engine=engine)
    with progress_bar() as bar:
        failed = process_stills(
            list(inputs),
            output,
            job,
            segmenter,
            track=lambda items: bar.track(items, description="pictures"),
        )
    for error in failed:
        say(f"error: {error}")
    if failed:
        raise SystemExit(1)
