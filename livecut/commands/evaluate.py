"""`livecut eval`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from livecut.commands.options import common, takes
from livecut.commands.terminal import progress_bar, showing
from livecut.evaluation.options import EvalOptions
from livecut.options import NetworkOptions, values_of

if TYPE_CHECKING:
    from rich.table import Table

    from livecut.evaluation.external import External
    from livecut.segmenter import Segmenter


@click.command("eval")
@takes(EvalOptions)
@common
def evaluate(options: EvalOptions) -> None:
    """Measure a model on labelled pictures, with --sequences on moving ones, with --ghosts on
    clips.

    Pictures are measured at their own size, each by itself. In percent, means over them: IoU at one
    half (also the median, and the mean of the worst tenth); F1 of the boundary within 1 % of the
    diagonal; MAD and MSE of alpha; leak, the background that is kept; miss, the person that is
    lost. Grad is the gradient error (Rhemann et al. 2009), a picture's sum in thousands; p50 the
    median time per picture. By source, which is the name before its last _NUMBER or the index's.

    Of sequences: IoU of all frames, of those that move (alpha changes by 0.5 % of the picture or
    more), and of the first three after a cut; the worst frame's leak; dtSSD (Erofeev et al. 2015);
    flicker, the change of alpha where the true one stays; both also of the calm frames, which do
    not move. Three rows: alpha steadied by the frames before, each frame single, and a plain
    exponential average of the latter.

    Of clips, without labels and played as livecut run plays them: ghosts, the area in percent of
    alpha of 0.1 and more that lies further than 1/20 of the height from the person (alpha over one
    half), the mean and the worst frame; readability, the correlation of the output's detail with
    the frame's away from the person, in the square of 1/20 of the shorter side where it is highest;
    and the share of frames where that is one half or more.

    --model torchvision:NAME, one of those that livecut train takes, has torchvision's own weights,
    downloaded; --adapter describes a network of others.

    The JSON object has "model" and "network" as given and found. Of pictures, "images" as given;
    "sources", an object by name; "webcam_like", null without an index; and "overall". Each of the
    latter holds the numbers pictures, iou, iou_median, iou_worst_tenth, boundary_f1, mad, mse,
    grad, leak, miss and ms_p50. Of sequences, "sequences" and "count" as given; "steadied",
    "single" and "average", each with iou, iou_moving, iou_after_cut, leak_worst, dtssd, dtssd_calm,
    flicker and flicker_calm, null where no frame is of that kind. Of clips, "clips", an object by
    name of frames, area, area_worst, readability and readable.
    """
    from livecut.evaluation.external import open_network

    of_pictures = (options.images, options.masks, options.index, options.worst, options.nobody)
    if (options.sequences or options.ghosts) and any(of_pictures):
        raise click.UsageError(
            "--sequences and --ghosts go without --images, --masks, --index, --nobody and --worst"
        )
    if options.sequences and options.ghosts:
        raise click.UsageError("give either --sequences or --ghosts")
    network = partial(open_network, adapter=options.adapter, **values_of(options, NetworkOptions))
    if options.sequences:
        evaluate_sequences(options, options.sequences, network)
    elif options.ghosts:
        evaluate_ghosts(options, options.ghosts, network)
    elif options.images and options.masks:
        evaluate_pictures(options, options.images, options.masks, network)
    else:
        raise click.UsageError("give --images and --masks, or --sequences, or --ghosts")


def evaluate_pictures(
    options: EvalOptions, images: Path, masks: Path, network: Callable[[], Segmenter | External]
) -> None:
    """`livecut eval` of stills."""
    from livecut.evaluation.pictures import contact_sheet, find_pairs, report, score, table
    from livecut.pictures import require_picture, save_picture

    if options.worst:
        require_picture(options.worst)
    pairs = find_pairs(images, masks, options.index, options.nobody)
    matting = network()
    with showing(progress_bar()) as bar:
        scores = [score(pair, matting) for pair in bar.track(pairs, description="pictures")]
    found = report(scores)
    facts = {"model": options.model, "network": matting.description, "images": str(images)}
    show(facts | asdict(found) if options.json else table(found))
    if options.worst:
        save_picture(options.worst, contact_sheet(scores, matting), overwrite=True)


def evaluate_sequences(
    options: EvalOptions, folder: Path, network: Callable[..., Segmenter | External]
) -> None:
    """`livecut eval --sequences`."""
    from livecut.evaluation.dataset import read_folder
    from livecut.evaluation.sequences import make_sequences
    from livecut.evaluation.temporal import follow, summarise, table

    data = read_folder(folder)
    steadied, single = network(temporal=True), network()
    made = make_sequences(data.val, data.rooms, options.count)
    with showing(progress_bar()) as bar:
        followed = [
            follow(sequence, steadied, single)
            for sequence in bar.track(made, total=options.count, description="sequences")
        ]
    found = {way: summarise(chain(*(each[way] for each in followed))) for way in followed[0]}
    facts: dict[str, Any] = {"model": options.model, "network": single.description}
    facts |= {"sequences": str(folder), "count": options.count}
    rows = {way: asdict(row) for way, row in found.items()}
    show(facts | rows if options.json else table(found))


def evaluate_ghosts(
    options: EvalOptions, path: Path, network: Callable[..., Segmenter | External]
) -> None:
    """`livecut eval` of clips without labels."""
    from livecut.evaluation.ghosts import find_clips, frames_of, measure, table

    clips = find_clips(path)
    matting = network(temporal=True)
    with showing(progress_bar()) as bar:
        found = {
            clip.name: measure(frames_of(clip), matting, options.background)
            for clip in bar.track(clips, description="clips")
        }
    facts: dict[str, Any] = {"model": options.model, "network": matting.description}
    rows = {"clips": {name: asdict(row) for name, row in found.items()}}
    show(facts | rows if options.json else table(found))


def show(result: dict[str, Any] | Table) -> None:
    """A table for people, or one line of JSON."""
    from rich.console import Console

    if isinstance(result, dict):
        click.echo(json.dumps(result))
    else:
        Console().print(result)
