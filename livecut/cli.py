"""The commands. The only place where an error becomes a message and an exit status."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

import livecut
from livecut import cli_bench, cli_eval, cli_train
from livecut.cli_streams import run_streams
from livecut.errors import ConfigError, LivecutError
from livecut.terminal import (
    Size,
    config_option,
    least,
    model_options,
    progress_bar,
    say,
    say_over,
    summarise,
)

INTERRUPTED = 130
"""Exit status of a file job that Ctrl-C ended, as shells have it."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(livecut.__version__, prog_name="livecut")
def cli() -> None:
    """Cut a person out of a live picture, and blur or replace what is behind them.

    On any failure the output is a notice that says what is wrong, never the room.
    """


@cli.command()
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
    help="blur, blur:0.0 to blur:1.0, #rrggbb, a colour's name, a picture, a video, transparent; raw shows the room.",
)
@click.option(
    "-o",
    "--output",
    multiple=True,
    help="May be given again; of several sources each gets one of its own, in order, or one for all with {n} or {name} in its name. window (the default), virtual or /dev/videoN (virtual camera), http or http://HOST:PORT (a page for browsers; http is http://127.0.0.1:8080), a video or picture file, a folder/ of PNGs, - (YUV4MPEG2 to standard output), null.",
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

    SOURCE is a camera (0, 1, /dev/video0; default: 0), a video file, a picture, an rtsp:// or http://
    stream, - (YUV4MPEG2 on standard input), or demo.

    Keys in the window: q quit, b next background, + and - blur, m mask, h mirror, f statistics,
    s save a picture, space freeze, ? help.
    """
    from livecut.models import find_model
    from livecut.pipeline import Pipeline
    from livecut.sources import open_source

    find_model(model, ".safetensors" if engine == "torch" else Path(model).suffix or ".onnx")
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
        live = run_streams(
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
        if interrupted and not live:
            raise SystemExit(INTERRUPTED)
        return
    with open_source(*source or ("0",), **ask) as opened, progress_bar() as bar:
        say(f"source: {opened.name}, {opened.description}")
        task = bar.add_task("frames", total=least(opened.frames, max_frames))
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
    if interrupted and not opened.live:
        raise SystemExit(INTERRUPTED)


@cli.command()
@click.argument("inputs", nargs=-1, required=True, metavar="IN...", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="A picture for one input; else a folder, made if absent: names kept, .png.",
)
@click.option("-b", "--background", default="blur", show_default=True, help="As for livecut run.")
@click.option("--alpha", "kind", flag_value="alpha", help="Write the soft matte, 0 to 255.")
@click.option("--mask", "kind", flag_value="mask", help="Write the binary mask, 0 or 255.")
@click.option("--cutout", "kind", flag_value="cutout", help="Write the person alone, RGBA PNG.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Of --mask: alpha from here on is person.",
)
@model_options
def image(
    inputs: tuple[Path, ...],
    output: Path,
    background: str,
    kind: str | None,
    threshold: float,
    model: str,
    device: str,
    engine: str,
) -> None:
    """Cut the person out of pictures: files, or folders of them."""
    from livecut.segmenter import Segmenter
    from livecut.stills import StillJob, process_stills

    job = StillJob(kind=kind or "composite", background=background, threshold=threshold)
    segmenter = Segmenter(model, device=device, engine=engine)
    with progress_bar() as bar:
        failed = process_stills(
            list(inputs),
            output,
            job,
            segmenter,
            track=lambda items: bar.track(items, description="pictures"),
        )
    for error in failed:
        say(f"error: {error}")
    if failed:
        raise SystemExit(1)


@cli.command()
def doctor() -> None:
    """Say what livecut has on this machine, what it would run on, and what is missing.

    Exit status 1 where not even the CPU can do it.
    """
    from livecut.doctor import examine

    broken = False
    for finding in examine():
        click.echo(f"{finding.what:<20} {finding.found}")
        if finding.advice:
            click.echo(f"{'':<20} -> {finding.advice}")
        broken = broken or finding.broken
    if broken:
        raise SystemExit(1)


for command in (
    cli_bench.bench,
    cli_train.train,
    cli_eval.evaluate,
    cli_train.export,
):
    cli.add_command(command)


def main() -> None:
    """The console script: errors become one line and an exit status."""
    try:
        status = cli.main(standalone_mode=False)
    except click.ClickException as error:
        say(f"error: {error.format_message()}".replace("\n", " "))
        status = error.exit_code
    except LivecutError as error:
        say(f"error: {error}".replace("\n", " "))
        status = 1
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        say(f"error: {what}{error.strerror or error}")
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
