"""`livecut train`."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import Any

import click
from click.core import ParameterSource

from livecut.commands.options import by_option, common, takes
from livecut.commands.terminal import progress_bar, say, showing
from livecut.training.settings import OF_THE_MACHINE, TrainSettings, staged


def parse_stages(
    context: click.Context, option: click.Parameter, given: tuple[Any, ...]
) -> list[dict[str, Any]]:
    """The tables [[stage]] of a configuration, with values of the options' types.

    Raises click.BadParameter and ConfigError.
    """
    learnt = {f.name for f in fields(TrainSettings)} - {*OF_THE_MACHINE}
    params = {p.name: p for p in context.command.params if p.name in learnt}
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
@takes(TrainSettings)
@click.option("--resume", is_flag=True, help="Go on from OUTPUT/last.pt.")
@click.option("--stage", hidden=True, multiple=True, type=click.UNPROCESSED, callback=parse_stages)
@common
def train(settings: TrainSettings, resume: bool, stage: list[dict[str, Any]]) -> None:
    """Train a network on labelled pictures: images and masks, matched by name.

    A --config with tables [[stage]] trains in stages, in OUTPUT/1, OUTPUT/2 and so on, each from
    the best of the one before and with options of its own.

    On several GPUs: torchrun --nproc-per-node N --no-python livecut train ...; --batch is shared.
    """
    from livecut.training.train import keep_memory
    from livecut.training.train import train as fit

    keep_memory()
    source = click.get_current_context().get_parameter_source
    for values in stage:
        for name in [n for n in values if source(n) == ParameterSource.COMMANDLINE]:
            del values[name]
    stages = staged(settings, stage) or [settings]
    first = os.environ.get("RANK", "0") == "0"
    with showing(progress_bar(shown=first)) as bar:
        task = bar.add_task("training", total=sum(s.steps for s in stages))

        def report(step: int, loss: float, scores: tuple[float, float] | None) -> None:
            bar.update(task, completed=step, description=f"loss {loss:.4f}")
            if scores:
                say(
                    f"step {step}: loss {loss:.4f}, validation IoU {scores[0]:.2f} %, "
                    f"webcam-like {scores[1]:.2f} %"
                )

        best = fit(*stages, resume=resume, report=report, notice=say)
    if first:
        say(f"best checkpoint: {best}; write it for use with: livecut export {best} -o NAME.onnx")
