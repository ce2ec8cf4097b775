"""The commands. The only place where an error becomes a message and an exit status."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import livecut
from livecut.errors import ConfigError, LivecutError
from livecut.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from rich.progress import Progress

    from livecut.pipeline import Pipeline

INTERRUPTED = 130
"""Exit status of a file job that Ctrl-C ended, as shells have it."""


class Size(click.ParamType[tuple[int, int]]):
    """WIDTHxHEIGHT, as in 1280x720."""

    name = "WxH"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d+)x(\d+)", str(value))
        if not found or not all(16 <= int(n) <= 16384 for n in found.groups()):
            self.fail(
                f"'{value}' is no size; expected WIDTHxHEIGHT in pixels, as in 1280x720", param, ctx
            )
        return int(found[1]), int(found[2])


def read_config(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    """Let a TOML file stand in for options that the command line leaves out."""
    if path is None:
        return
    try:
        values = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"configuration {path} cannot be read: {error}") from error
    known = {p.name for p in ctx.command.params if p.name not in ("config", "help")}
    given = {key.replace("-", "_"): value for key, value in values.items()}
    unknown = sorted(given.keys() - known)
    if unknown:
        raise ConfigError(
            f"configuration {path}: unknown key '{unknown[0]}'; expected some of: {', '.join(sorted(filter(None, known)))}"
        )
    ctx.default_map = given


def model_options(command: Any) -> Any:
    """The options that choose what the network runs on."""
    for option in (
        click.option("--engine", default="auto", show_default=True, help="auto, onnx or torch."),
        click.option(
            "--device",
            default="auto",
            show_default=True,
            help="auto, cpu, cuda or cuda:N; what is named is had or an error.",
        ),
        click.option(
            "--model",
            default=DEFAULT_MODEL,
            show_default=True,
            help="A shipped model's name, or the path of an .onnx or .safetensors file.",
        ),
    ):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(livecut.__version__, prog_name="livecut")
def cli() -> None:
    """Cut a person out of a live picture, and blur or replace what is behind them.

    On any failure the output is a notice that says what is wrong, never the room.
    """


@cli.command()
@click.argument("source", default="0")
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
    help="May be given again. window (the default), virtual or /dev/videoN (virtual camera), a video or picture file, a folder/ of PNGs, - (YUV4MPEG2 to standard output), null.",
)
@click.option("--size", type=Size(), help="Ask the camera for this size; scale a file to it.")
@click.option("--fps", type=click.FloatRange(1, 1000), help="Ask the camera for this rate.")
@click.option("--fourcc", help="Ask the camera for this pixel format, as in MJPG.")
@click.option("--mirror", is_flag=True, help="Flip left and right.")
@model_options
@click.option("--max-frames", type=click.IntRange(min=1), help="End after so many frames.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    callback=read_config,
    is_eager=True,
    expose_value=False,
    help="A TOML file of these options by name; the command line wins.",
)
def run(
    source: str,
    background: str,
    output: tuple[str, ...],
    size: tuple[int, int] | None,
    fps: float | None,
    fourcc: str | None,
    mirror: bool,
    model: str,
    device: str,
    engine: str,
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
    with open_source(source, size=size, fps=fps, fourcc=fourcc) as opened, progress_bar() as bar:
        say(f"source: {opened.name}, {opened.description}")
        task = bar.add_task("frames", total=_least(opened.frames, max_frames))
        pipeline = Pipeline(
            opened,
            background,
            list(output) or ["window"],
            mirror=mirror,
            max_frames=max_frames,
            model=model,
            device=device,
            engine=engine,
            progress=lambda: bar.advance(task),
            notice=lambda text: bar.console.print(
                f"livecut: {text}", markup=False, highlight=False
            ),
        )
        interrupted = False

        def stop(*_: object) -> None:
            nonlocal interrupted
            interrupted = True
            pipeline.stop()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
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
    help="Folder for the checkpoints best.pt and last.pt.",
)
@click.option("--model", default="live", show_default=True, help="The network: live or unet.")
@click.option(
    "--encoder",
    default="",
    help="ImageNet weights for the live network: a torchvision mobilenet_v2 file, or imagenet to download it.",
)
@click.option(
    "--start",
    default="",
    help="Go on from the weights of another run: its checkpoint, or a .safetensors such as models/live.safetensors.",
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
    help="Steps between two validations and checkpoints.",
)
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(min=0),
    help="Processes that read and augment.",
)
@click.option("--seed", default=0, show_default=True, type=int)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--resume", is_flag=True, help="Go on from out/last.pt.")
def train(resume: bool, **options: Any) -> None:
    """Train a network on labelled pictures: images and masks, matched by name."""
    with needs_torch():
        from livecut.training.train import TrainSettings
        from livecut.training.train import train as fit
    settings = TrainSettings(**options)
    with progress_bar() as bar:
        task = bar.add_task("training", total=settings.steps)

        def report(step: int, loss: float, scores: tuple[float, float] | None) -> None:
            bar.update(task, completed=step, description=f"loss {loss:.4f}")
            if scores:
                bar.console.print(
                    f"step {step}: loss {loss:.4f}, validation IoU {scores[0]:.2f} %, webcam-like {scores[1]:.2f} %"
                )

        best = fit(settings, resume=resume, report=report)
    say(
        f"best checkpoint: {best}; write it for use with: livecut export {best} -o {settings.model}.onnx"
    )


@cli.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="The .onnx file; the .safetensors is written beside it.",
)
def export(checkpoint: Path, output: Path) -> None:
    """Write CHECKPOINT of livecut train as ONNX and safetensors, if both engines agree."""
    with needs_torch():
        from livecut.training.export import export as write
    difference = write(checkpoint, output)
    say(
        f"wrote {output} and {output.with_suffix('.safetensors')}; ONNX Runtime and PyTorch differ by {difference:.1e} in alpha at most"
    )


@cli.command("eval")
@click.option(
    "--images", required=True, type=click.Path(path_type=Path), help="Folder of pictures."
)
@click.option(
    "--masks",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of their masks, of the same names and sizes; 255 = person.",
)
@click.option(
    "--index",
    type=click.Path(path_type=Path),
    help="Table of split, name, webcam_like, source, by tabs; default: IMAGES/../../index.tsv, if there.",
)
@model_options
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object in place of the table."
)
@click.option(
    "--worst",
    type=click.Path(path_type=Path),
    metavar="FILE.png",
    help="Write a contact sheet of the 16 worst: picture, alpha on green, true mask on green.",
)
def evaluate(
    images: Path,
    masks: Path,
    index: Path | None,
    model: str,
    device: str,
    engine: str,
    as_json: bool,
    worst: Path | None,
) -> None:
    """Measure a model on labelled pictures, each at its own size, not steadied over time.

    In percent, means over the pictures: IoU at one half (also the median, and the mean of the worst
    tenth); F1 of the boundary within 1 % of the diagonal; MAD and MSE of alpha; leak, the background
    that is kept; miss, the person that is lost. Grad is the gradient error (Rhemann et al. 2009), a
    picture's sum in thousands; p50 the median time per picture. By source, which is the name before
    its last _NUMBER or the index's.

    The JSON object has "model", "network" and "images" as given and found; "sources", an object by
    name; "webcam_like", null without an index; and "overall". Each of the latter holds the numbers
    pictures, iou, iou_median, iou_worst_tenth, boundary_f1, mad, mse, grad, leak, miss and ms_p50.
    """
    from rich.console import Console

    from livecut.evaluation import contact_sheet, find_pairs, report, score, table
    from livecut.segmenter import Segmenter
    from livecut.sinks import require_picture, save_picture

    if worst:
        require_picture(worst)
    pairs = find_pairs(images, masks, index)
    segmenter = Segmenter(model, device=device, engine=engine)
    with progress_bar() as bar:
        scores = [score(pair, segmenter) for pair in bar.track(pairs, description="pictures")]
    found = report(scores)
    if as_json:
        facts = {"model": model, "network": segmenter.description, "images": str(images)}
        click.echo(json.dumps(facts | asdict(found)))
    else:
        Console().print(table(found))
    if worst:
        save_picture(worst, contact_sheet(scores, segmenter))


@contextlib.contextmanager
def needs_torch() -> Iterator[None]:
    """Turn a missing training library into a clear error."""
    try:
        yield
    except ImportError as error:
        raise ConfigError(
            f'this command needs {error.name}; install it with: pip install "livecut[torch]"'
        ) from error


def say(text: str) -> None:
    """One line for the person, on standard error: standard output may carry video."""
    click.echo(f"livecut: {text}", err=True)


def progress_bar() -> Progress:
    """A bar with count, rate and time left, on standard error."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _least(*numbers: int | None) -> int | None:
    return min((n for n in numbers if n is not None), default=None)


def summarise(pipeline: Pipeline) -> None:
    """What the run did, on standard error."""
    from rich.console import Console
    from rich.table import Table

    stats = pipeline.stats
    table = Table("stage", "p50 ms", "p95 ms", "p99 ms", box=None, header_style="")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, ring in stats.stages.items():
        if ring.count:
            table.add_row(name, *(f"{v:.2f}" for v in ring.percentiles(50, 95, 99)))
    say(
        f"network: {pipeline.description}" if pipeline.description else "the network was not loaded"
    )
    drops = ", ".join(f"{count} ({cause})" for cause, count in stats.drops.items()) or "none"
    say(
        f"{stats.frames} frames, {stats.fps:.1f} fps, drops: {drops}"
        + (f", placeholders: {stats.placeholders}" if stats.placeholders else "")
    )
    if stats.source_fps:
        say(f"{pipeline.source.name} gave {stats.source_fps:.1f} fps")
    if stats.frames:
        say(f"without reading and writing: {stats.pipeline_fps:.1f} fps")
        Console(stderr=True).print(table)


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
