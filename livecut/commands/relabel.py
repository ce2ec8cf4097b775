"""`livecut relabel`."""

from __future__ import annotations

from pathlib import Path

import click

from livecut.commands.export import needs_torch
from livecut.commands.terminal import progress_bar, say


@click.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of train/images and train/masks, as for livecut train.",
)
@click.option(
    "--teachers",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of the teachers' alpha of the training pictures, NAME.png, and agreement.tsv.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder to make: the same as DATA, with other training masks.",
)
@click.option(
    "--join",
    "joined",
    multiple=True,
    metavar="SOURCE",
    help="A source whose masks leave out parts of people: mask and teachers together; repeatable.",
)
@click.option(
    "--drop",
    is_flag=True,
    help="Leave out what the teachers cannot be believed on, in place of keeping its mask.",
)
def relabel(data: Path, teachers: Path, out: Path, joined: tuple[str, ...], drop: bool) -> None:
    """Put teachers' soft masks in the place of training masks, where there is reason to.

    agreement.tsv has the columns name and agree, by tabs: the IoU, 0..1, between two of the teachers. From
    0.85 on theirs is taken. Below, it is taken if it has an IoU of 0.9 or more with the mask; else the mask
    is kept. What became of the masks is printed by source.
    """
    from rich.console import Console
    from rich.table import Table

    with needs_torch():
        from livecut.training.relabel import VERDICTS, relabel_folder
    from livecut.evaluation.dataset import read_folder

    pairs = read_folder(data).train
    with progress_bar() as bar:
        found = relabel_folder(
            bar.track(pairs, description="masks"), teachers, data, out, joined=joined, drop=drop
        )
    table = Table(box=None, header_style="", padding=(0, 1, 0, 0))
    table.add_column("source", overflow="fold")
    for verdict in VERDICTS:
        table.add_column(verdict, justify="right")
    for source, counts in sorted(found.items()):
        table.add_row(source, *(str(counts[verdict]) for verdict in VERDICTS))
    Console().print(table)
    say(f"wrote {out}; train with: livecut train --data {out}")
