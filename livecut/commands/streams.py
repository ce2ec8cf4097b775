"""`livecut run` with several sources: each its own pipeline, all of them on one network."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from livecut.commands.terminal import (
    min_known,
    progress_bar,
    say,
    say_error,
    showing,
    summarise_streams,
)
from livecut.errors import ConfigError, LivecutError, SinkError, SourceError
from livecut.options import ProcessorOptions, values_of
from livecut.pipeline.options import PipelineOptions, RunOptions, SourceOptions
from livecut.urls import public_url

if TYPE_CHECKING:
    from livecut.pipeline.pipeline import Pipeline


def assign_outputs(outputs: Sequence[str], sources: Sequence[str]) -> list[list[str]]:
    """Deal the outputs out: a list for each source, in order.

    Every source gets the outputs that are `per_source`, such as a window, and those with {n} or
    {name} in them, which become its number from 1 and its name. Each of the others belongs to one
    source, in order. Raises ConfigError, and SinkError for an unknown output.
    """
    from livecut.sinks import find_sink

    for_all = [o for o in outputs if "{n}" in o or "{name}" in o or find_sink(o).per_source]
    own = [o for o in outputs if o not in for_all]
    if own and len(own) != len(sources):
        raise ConfigError(
            f"{len(sources)} sources, but {len(own)} output{'s' * (len(own) > 1)} "
            f"({', '.join(map(public_url, own))}); give one for each source, in order, or one with "
            "{n} or {name} in it, as in out-{n}.mp4"
        )
    dealt = []
    for number, source in enumerate(sources, 1):
        name = re.sub(r"[^\w.-]+", "-", Path(public_url(source)).stem)
        mine = own[number - 1 : number]
        dealt.append(
            [
                o.replace("{n}", str(number)).replace("{name}", name)
                for o in outputs
                if o not in own or o in mine
            ]
        )
    found = Counter(o for mine in dealt for o in mine if not find_sink(o).per_source)
    twice = next((o for o, count in found.items() if count > 1), None)
    if twice is not None:
        raise ConfigError(f"several sources would write to '{twice}'; put {{n}} into its name")
    return dealt


def run_streams(options: RunOptions, until: Callable[[Callable[[], None]], None]) -> bool:
    """Run a pipeline for each source; whether all were realtime. SystemExit(1) where one failed.

    `until` is given what ends them all. Raises LivecutError.
    """
    from livecut.pipeline.pipeline import Pipeline
    from livecut.pipeline.together import run_all
    from livecut.pipeline.words import require_words
    from livecut.processors.shared import SharedEngine
    from livecut.sources import open_source

    outputs = assign_outputs(options.output, options.source)
    require_words(
        options.source,
        options.background,
        [word for words in outputs for word in words],
        overwrite=options.overwrite,
    )
    if options.source.count("-") > 1:
        raise ConfigError("several sources are '-', and there is one standard input")
    engine = SharedEngine(**values_of(options, ProcessorOptions))
    streams = dict[Pipeline, str]()
    failed = list[LivecutError]()
    bar = progress_bar()

    def fail(pipeline: Pipeline, error: LivecutError) -> None:
        if error not in failed:  # the network's is the same for all
            say_error(f"{streams[pipeline]}: {error}")
        failed.append(error)

    def stop() -> None:
        for pipeline in streams:
            pipeline.stop()

    with ExitStack() as opened:
        for number, uri in enumerate(options.source, 1):
            name = f"source {number} ({public_url(uri)})"
            own = {"engine": engine, "title": f"{options.title}: {name}"}
            try:
                source = opened.enter_context(open_source(uri, **values_of(options, SourceOptions)))
                task = bar.add_task(name, total=min_known(source.frames, options.max_frames))
                pipeline = Pipeline(
                    source,
                    sinks=outputs[number - 1],
                    **values_of(options, PipelineOptions) | own,
                    progress=partial(bar.advance, task),
                    notice=partial(_notice, name),
                )
            except (SourceError, SinkError) as error:
                raise type(error)(f"{name}: {error}") from error
            opened.callback(pipeline.close)
            streams[pipeline] = name
            say(f"{name}: {source.name}, {source.description}")
        until(stop)
        try:
            with showing(bar):
                run_all(list(streams), failed=fail)
        finally:
            summarise_streams(streams)
    if failed:
        raise SystemExit(1)
    return all(pipeline.source.realtime for pipeline in streams)


def _notice(name: str, text: str) -> None:
    say(f"{name}: {text}")
