"""`livecut run`."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

from livecut.commands.streams import run_streams
from livecut.commands.terminal import (
    INTERRUPTED,
    Size,
    config_option,
    min_known,
    model_options,
    progress_bar,
    say,
    say_over,
    summarise,
)
from livecut.commands.usage import UsageCommand
from livecut.errors import ConfigError


@click.command(cls=UsageCommand)
@click.argument("first", metavar="[SOURCE]", required=False)
@click.option(
    "--source",
    multiple=True,
    help="In place of SOURCE; given again, several run at once on one network.",
)
@click.option(
    "-b",
    "--background",
    default="blur",
    show_default=True,
    help="What stands behind the person, as listed below.",
)
@click.option(
    "-o",
    "--output",
    multiple=True,
    help="Where the result goes, as listed below; may be given again. Of several sources each gets "
    "one of its own, in order, or one for all with {n} or {name} in its name.",
)
@click.option("--size", type=Size(), help="Ask the camera for this size; scale a file to it.")
@click.option("--fps", type=click.FloatRange(1, 1000), help="Ask the camera for this rate.")
@click.option("--fourcc", help="Ask the camera for this pixel format, as in MJPG.")
@click.option("--mirror", is_flag=True, help="Flip left and right.")
@model_options
@click.option(
    "--in-flight",
    type=click.IntRange(1, 3),
    help="Frames of a file that are worked on at once: 1 for the least delay, more for the highest rate.  [default: 2; 1 for a stream]",
)
@click.option("--max-frames", type=click.IntRange(min=1), help="End after so many frames.")
@config_option
@click.pass_context
def run(
    ctx: click.Context,
    first: str | None,
    source: tuple[str, ...],
    background: str,
    output: tuple[str, ...],
    size: tuple[int, int] | None,
    fps: float | None,
    fourcc: str | None,
    mirror: bool,
    model: str,
    device: str,
    engine: str,
    in_flight: int | None,
    max_frames: int | None,
) -> None:
    """Segment SOURCE, replace its background, and show or write the result.

    Sources, backgrounds and outputs are listed at the end.

    Keys in the window: q quit, b next background, + and - blur, m mask, h mirror, f statistics,
    s save a picture, space freeze, ? help.
    """
    from livecut.models import Target
    from livecut.pipeline.pipeline import Pipeline, require_words
    from livecut.sources import open_source

    Target.parse(model, device, engine).file()
    if first is not None:
        if source and ctx.get_parameter_source("source") == ParameterSource.COMMANDLINE:
            raise ConfigError(
                f"both SOURCE ({first}) and --source were given; give --source for each"
            )
        source = (first,)
    interrupted = False

    def stop_by_signal(stop: Callable[[], None]) -> None:
        def handle(*_: object) -> None:
            nonlocal interrupted
            interrupted = True
            stop()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, handle)

    ask: dict[str, Any] = {"size": size, "fps": fps, "fourcc": fourcc}
    if len(source) > 1:
        realtime = run_streams(
            source,
            output,
            background,
            ask=ask,
            network={"model": model, "device": device, "engine": engine},
            until=stop_by_signal,
            mirror=mirror,
            in_flight=in_flight or 0,
            max_frames=max_frames,
        )
        if interrupted and not realtime:
            raise SystemExit(INTERRUPTED)
        return
    require_words(background, output)
    with open_source(*source or ("0",), **ask) as opened, progress_bar() as bar:
        say(f"source: {opened.name}, {opened.description}")
        task = bar.add_task("frames", total=min_known(opened.frames, max_frames))
        pipeline = Pipeline(
            opened,
            background,
            list(output) or ["window"],
            mirror=mirror,
            max_frames=max_frames,
            model=model,
            device=device,
            engine=engine,
            in_flight=in_flight or 0,
            progress=lambda: bar.advance(task),
            notice=lambda text: say_over(bar, text),
        )
        stop_by_signal(pipeline.stop)
        try:
            pipeline.run()
        finally:
            bar.stop()
            summarise(pipeline)
    if interrupted and not opened.realtime:
        raise SystemExit(INTERRUPTED)
