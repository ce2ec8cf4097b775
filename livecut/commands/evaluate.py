"""The command that measures networks: eval."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from livecut.commands.terminal import model_options, progress_bar

if TYPE_CHECKING:
    from rich.table import Table

    from livecut.evaluation.dataset import Pair
    from livecut.evaluation.external import External
    from livecut.segmenter import Segmenter


@click.command("eval")
@click.option("--images", type=click.Path(path_type=Path), help="Folder of pictures.")
@click.option(
    "--masks",
    type=click.Path(path_type=Path),
    help="Folder of their masks, of the same names and sizes; 255 = person.",
)
@click.option(
    "--index",
    type=click.Path(path_type=Path),
    help="Table of split, name, webcam_like, source, by tabs; default: IMAGES/../../index.tsv, if there.",
)
@click.option(
    "--sequences",
    type=click.Path(path_type=Path),
    help="In place of --images and --masks: a folder as for livecut train, of whose validation pictures and rooms moving sequences are made.",
)
@click.option(
    "--count",
    default=20,
    show_default=True,
    type=click.IntRange(min=1),
    help="How many sequences; every second has a cut in it.",
)
@model_options
@click.option(
    "--adapter",
    type=click.Path(path_type=Path),
    help="TOML that describes an .onnx or .tflite file of others; default: NAME.adapter.toml beside it, if there.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object in place of the table."
)
@click.option(
    "--nobody",
    is_flag=True,
    help="Of pictures: take what is beside their persons, where nobody is; leak is what is kept of it.",
)
@click.option(
    "--worst",
    type=click.Path(path_type=Path),
    metavar="FILE.png",
    help="Write a contact sheet of the 16 worst: picture, alpha on green, true mask on green.",
)
def evaluate(
    images: Path | None,
    masks: Path | None,
    index: Path | None,
    sequences: Path | None,
    count: int,
    model: str,
    device: str,
    engine: str,
    adapter: Path | None,
    as_json: bool,
    nobody: bool,
    worst: Path | None,
) -> None:
    """Measure a model on labelled pictures, each at its own size, not steadied over time; or, with
    --sequences, on moving ones.

    Of pictures, in percent, means over them: IoU at one half (also the median, and the mean of the
    worst tenth); F1 of the boundary within 1 % of the diagonal; MAD and MSE of alpha; leak, the
    background that is kept; miss, the person that is lost. Grad is the gradient error (Rhemann et al.
    2009), a picture's sum in thousands; p50 the median time per picture. By source, which is the name
    before its last _NUMBER or the index's.

    Of sequences: IoU of all frames, of those that move (alpha changes by 0.5 % of the picture or more), and of the first
    three after a cut; the worst frame's leak; dtSSD (Erofeev et al. 2015); flicker, the change of alpha
    where the true one stays; both also of the calm frames, which do not move. Three rows: alpha steadied
    by the frames before, each frame single, and a plain exponential average of the latter.

    --model torchvision:NAME, one of those that livecut train takes, has torchvision's own weights,
    downloaded; --adapter describes a network of others.

    The JSON object has "model" and "network" as given and found. Of pictures, "images" as given;
    "sources", an object by name; "webcam_like", null without an index; and "overall". Each of the latter
    holds the numbers pictures, iou, iou_median, iou_worst_tenth, boundary_f1, mad, mse, grad, leak, miss
    and ms_p50. Of sequences, "sequences" and "count" as given; "steadied", "single" and "average", each
    with iou, iou_moving, iou_after_cut, leak_worst, dtssd, dtssd_calm, flicker and flicker_calm, null
    where no frame is of that kind.
    """
    from livecut.evaluation.external import open_network

    if sequences and (images or masks or index or worst or nobody):
        raise click.UsageError(
            "--sequences goes without --images, --masks, --index, --nobody and --worst"
        )
    network = partial(open_network, model, adapter, engine=engine, device=device)
    if sequences:
        evaluate_sequences(sequences, count, model, network, as_json)
    elif images and masks:
        from livecut.evaluation.pictures import find_pairs
        from livecut.pictures import require_picture

        if worst:
            require_picture(worst)
        pairs = find_pairs(images, masks, index, nobody)
        evaluate_pictures(images, pairs, model, network, as_json, worst)
    else:
        raise click.UsageError("give --images and --masks, or --sequences")


def evaluate_pictures(
    images: Path,
    pairs: list[Pair],
    model: str,
    network: Callable[[], Segmenter | External],
    as_json: bool,
    worst: Path | None,
) -> None:
    """`livecut eval` of stills."""
    from livecut.evaluation.pictures import contact_sheet, report, score, table
    from livecut.pictures import save_picture

    matting = network()
    with progress_bar() as bar:
        scores = [score(pair, matting) for pair in bar.track(pairs, description="pictures")]
    found = report(scores)
    facts: dict[str, Any] = {"model": model, "network": matting.description, "images": str(images)}
    show(facts | asdict(found) if as_json else table(found))
    if worst:
        save_picture(worst, contact_sheet(scores, matting))


def evaluate_sequences(
    folder: Path,
    count: int,
    model: str,
    network: Callable[..., Segmenter | External],
    as_json: bool,
) -> None:
    """`livecut eval --sequences`."""
    from livecut.evaluation.dataset import read_folder
    from livecut.evaluation.sequences import make_sequences
    from livecut.evaluation.temporal import follow, summarise, table

    data = read_folder(folder)
    steadied, single = network(temporal=True), network()
    made = make_sequences(data.val, data.rooms, count)
    with progress_bar() as bar:
        followed = [
            follow(sequence, steadied, single)
            for sequence in bar.track(made, total=count, description="sequences")
        ]
    found = {way: summarise(chain(*(each[way] for each in followed))) for way in followed[0]}
    facts: dict[str, Any] = {"model": model, "network": single.description}
    facts |= {"sequences": str(folder), "count": count}
    rows = {way: asdict(row) for way, row in found.items()}
    show(facts | rows if as_json else table(found))


def show(result: dict[str, Any] | Table) -> None:
    """A table for people, or one line of JSON."""
    from rich.console import Console

    if isinstance(result, dict):
        click.echo(json.dumps(result))
    else:
        Console().print(result)
