"""`livecut relabel`."""

from __future__ import annotations

import click

from livecut.commands.options import common, takes
from livecut.commands.terminal import progress_bar, say, showing
from livecut.training.options import RelabelOptions


@click.command()
@takes(RelabelOptions)
@common
def relabel(options: RelabelOptions) -> None:
    """Put teachers' soft masks in the place of training masks, where there is reason to.

    agreement.tsv has the columns name and agree, by tabs: the IoU, 0..1, between two of the
    teachers. From 0.85 on theirs is taken. Below, it is taken if it has an IoU of 0.9 or more with
    the mask; else the mask is kept. What became of the masks is printed by source.
    """
    from rich.console import Console
    from rich.table import Table

    from livecut.evaluation.dataset import read_folder
    from livecut.training.relabel import VERDICTS, relabel_folder

    pairs = read_folder(options.data).train
    with showing(progress_bar()) as bar:
        found = relabel_folder(
            bar.track(pairs, description="masks"),
            options.teachers,
            options.data,
            options.output,
            joined=options.join,
            drop=options.drop,
        )
    table = Table(box=None, header_style="", padding=(0, 1, 0, 0))
    table.add_column("source", overflow="fold")
    for verdict in VERDICTS:
        table.add_column(verdict, justify="right")
    for source, counts in sorted(found.items()):
        table.add_row(source, *(str(counts[verdict]) for verdict in VERDICTS))
    Console().print(table)
    say(f"wrote {options.output}; train with: livecut train --data {options.output}")
