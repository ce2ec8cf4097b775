"""The commands. The only place where an error becomes a message and an exit status."""

from __future__ import annotations

import os
import sys

import click

import livecut
from livecut.commands.bench import bench
from livecut.commands.evaluate import evaluate
from livecut.commands.export import export
from livecut.commands.image import image
from livecut.commands.run import run
from livecut.commands.terminal import INTERRUPTED, listen, say_error
from livecut.commands.train import train
from livecut.errors import LivecutError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(livecut.__version__, prog_name="livecut")
def cli() -> None:
    """Cut a person out of a live picture, and blur or replace what is behind them.

    On any failure the output is a notice that says what is wrong, never the room.
    """
    listen()


@cli.command()
def doctor() -> None:
    """Say what livecut has on this machine, what it would run on, and what is missing.

    Exit status 1 where not even the CPU can do it.
    """
    from livecut.commands.doctor import examine

    broken = False
    for finding in examine():
        click.echo(f"{finding.what:<20} {finding.found}")
        if finding.advice:
            click.echo(f"{'':<20} -> {finding.advice}")
        broken = broken or finding.broken
    if broken:
        raise SystemExit(1)


for command in (run, image, train, export, evaluate, bench):
    cli.add_command(command)


def main() -> None:
    """The console script: errors become one line and an exit status."""
    listen()
    try:
        status = cli.main(prog_name="livecut", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        status = error.exit_code
    except click.ClickException as error:
        say_error(error.format_message())
        status = error.exit_code
    except LivecutError as error:
        say_error(str(error))
        status = 1
    except ImportError as error:
        from livecut.commands.doctor import import_fault

        say_error(import_fault(error))
        status = 1
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        say_error(f"{what}{error.strerror or error}")
        status = 1
    except (KeyboardInterrupt, click.Abort):
        status = INTERRUPTED
    except SystemExit as stop:
        status = stop.code
    try:
        sys.stdout.flush()
    except OSError:
        # The reader has gone: keep the interpreter from complaining of it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)
