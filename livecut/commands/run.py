"""`livecut run`."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace

import click
from click.core import ParameterSource

from livecut.commands.options import common, takes
from livecut.commands.streams import run_streams
from livecut.commands.terminal import INTERRUPTED, min_known, progress_bar, say, showing, summarise
from livecut.commands.usage import UsageCommand
from livecut.errors import ConfigError
from livecut.options import TargetOptions, values_of
from livecut.pipeline.options import PipelineOptions, RunOptions, SourceOptions
from livecut.urls import public_url


class Interrupt:
    """Ctrl-C and SIGTERM, which stop a run after the frame at hand."""

    def __init__(self) -> None:
        self.came = False

    def stops(self, stop: Callable[[], None]) -> None:
        """Call `stop` when one comes."""

        def handle(*_: object) -> None:
            self.came = True
            stop()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, handle)


@click.command(cls=UsageCommand)
@click.argument("first", metavar="[SOURCE]", required=False)
@takes(RunOptions)
@common
def run(options: RunOptions, first: str | None) -> None:
    """Segment SOURCE, replace its background, and show or write the result.

    Sources, backgrounds and outputs are listed at the end.

    Keys in the window: q quit, b next background, + and - blur, m mask, h mirror, f statistics,
    s save a picture, space freeze, ? help.
    """
    from livecut.models import Target

    Target.parse(**values_of(options, TargetOptions)).file()
    if first is not None:
        given = click.get_current_context().get_parameter_source("source")
        if given == ParameterSource.COMMANDLINE:
            raise ConfigError(
                f"both SOURCE ({public_url(first)}) and --source were given; give --source for each"
            )
        options = replace(options, source=(first,))
    interrupt = Interrupt()
    run_some = run_streams if len(options.source) > 1 else run_one
    realtime = run_some(options, interrupt.stops)
    if interrupt.came and not realtime:
        raise SystemExit(INTERRUPTED)


def run_one(options: RunOptions, until: Callable[[Callable[[], None]], None]) -> bool:
    """Run one source; whether it was realtime. `until` gets what ends it. Raises LivecutError."""
    from livecut.pipeline.pipeline import Pipeline
    from livecut.pipeline.words import require_words
    from livecut.sources import open_source

    [uri] = options.source
    require_words(options.source, options.background, options.output, overwrite=options.overwrite)
    with open_source(uri, **values_of(options, SourceOptions)) as source:
        say(f"source: {source.name}, {source.description}")
        bar = progress_bar()
        task = bar.add_task("frames", total=min_known(source.frames, options.max_frames))
        pipeline = Pipeline(
            source,
            sinks=options.output,
            **values_of(options, PipelineOptions),
            progress=lambda: bar.advance(task),
        )
        until(pipeline.stop)
        try:
            with showing(bar):
                pipeline.run()
        finally:
            summarise(pipeline)
    return source.realtime
