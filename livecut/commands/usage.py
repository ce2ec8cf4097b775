"""The words that livecut takes, from the tables of their classes, for help and documentation."""

from __future__ import annotations

import sys
from typing import Any

import click

from livecut.registry import Registry, shorten

WIDEST = 34
"""Columns of the words in `--help`."""


def tables() -> dict[str, Registry[Any]]:
    """The tables of words by where on the command line they stand."""
    from livecut.backgrounds import BACKGROUNDS
    from livecut.sinks import SINKS
    from livecut.sources import SOURCES

    return {"source": SOURCES, "-b": BACKGROUNDS, "-o": SINKS}


class UsageCommand(click.Command):
    """A command whose help ends with all sources, backgrounds, outputs and engines."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the lists; only now the classes are imported."""
        from livecut.engines import ENGINES

        for place, registry in tables().items():
            title = f"{registry.kind}s" + f" ({place})" * place.startswith("-")
            with formatter.section(title.capitalize()):
                lines = [(usage.shown, usage.help) for usage in registry.usages()]
                lines += [(fault, "") for fault in registry.faults]
                formatter.write_dl(lines, col_max=WIDEST)
        with formatter.section("Engines (--engine)"):
            formatter.write_text(", ".join(("auto", *ENGINES.names())))


def markdown_table() -> str:
    """The table of livecut's own sources, backgrounds and outputs, in Markdown."""
    rows = ["| | you write | what it is |", "|---|---|---|"]
    for place, registry in tables().items():
        head = f" `{place}`" if place.startswith("-") else f" {place}"
        for usage in registry.usages(others=False):
            words = ", ".join(f"`{form}`" for form in shorten(usage.forms))
            rows.append(f"|{head} | {words} | {usage.help} |")
            head = ""
    return "\n".join(rows)


if __name__ == "__main__":
    sys.stdout.write(markdown_table() + "\n")
