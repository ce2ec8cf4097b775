"""Options made from a dataclass: from the command line, a file and Python alike."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import click
import pytest
from click.testing import CliRunner

from livecut.bench.options import BenchOptions, Case
from livecut.commands import terminal
from livecut.commands.main import cli
from livecut.commands.options import common, takes, takes_several
from livecut.errors import ConfigError
from livecut.evaluation.options import EvalOptions
from livecut.options import NetworkOptions, Option, ProcessorOptions, option_hints
from livecut.pipeline.options import ImageOptions, PipelineOptions, RunOptions, SourceOptions
from livecut.pipeline.pipeline import Pipeline
from livecut.sources import open_source
from livecut.training import settings
from livecut.training.options import ExportOptions


@dataclass(frozen=True, kw_only=True)
class Base:
    speed: Annotated[float, Option("How fast.", more_than=0, at_most=9)] = 1.5


@dataclass(frozen=True, kw_only=True)
class Everything(Base):
    files: Annotated[tuple[Path, ...], Option("Files.", metavar="FILE", positional=True)]
    folder: Annotated[Path, Option("Where to.", short="-f")]
    size: Annotated[tuple[int, int], Option("How large.")] = (64, 48)
    names: Annotated[tuple[str, ...], Option("Who.", name="--name")] = ()
    shares: Annotated[tuple[tuple[str, float], ...], Option("Whose.")] = ()
    pair: Annotated[tuple[Path, Path] | None, Option("Two.")] = None
    count: Annotated[int | None, Option("How many.", at_least=1)] = None
    kind: Annotated[str, Option("What.", flags={"red": "Red.", "blue": "Blue."})] = "green"
    colour: Annotated[str, Option("Which.", choices=("a", "b"))] = "a"
    nothing: Annotated[str, Option("Why.")] = ""
    loud: Annotated[bool, Option("Whether.")] = False


@pytest.fixture(autouse=True)
def usual_level() -> Iterator[None]:
    yield
    terminal.listen()


KINDS = {
    "run": RunOptions,
    "image": ImageOptions,
    "train": settings.TrainSettings,
    "export": ExportOptions,
    "eval": EvalOptions,
    "bench": BenchOptions,
}


def filled(*arguments: str) -> Everything:
    """The dataclass as the command line fills it; raises what click raises."""

    @click.command()
    @takes(Everything)
    @common
    def command(options: Everything) -> Everything:
        return options

    found = command.main(list(arguments), standalone_mode=False)
    assert isinstance(found, Everything)
    return found


def test_defaults_are_the_dataclass_s() -> None:
    expected = Everything(files=(Path("x"),), folder=Path("d"))
    assert filled("x", "--folder", "d") == expected


def test_a_missing_option_is_the_default_of_every_command_s_dataclass() -> None:
    """Click's own default, where a command fills the dataclass, is never another one."""
    for name, kind in KINDS.items():
        for parameter in cli.commands[name].params:
            default = getattr(kind, parameter.name or "", None)
            if default is not None:
                with click.Context(cli.commands[name]) as context:
                    value = parameter.process_value(context, parameter.get_default(context))
                assert value == default, parameter.name


def test_each_type_comes_from_the_command_line() -> None:
    arguments = "x y -f d --size 32x16 --name a --name b --shares s=0.5 --pair p q --count 3 --blue"
    more = "--colour b --loud --speed 9"
    assert filled(*arguments.split(), *more.split()) == Everything(
        files=(Path("x"), Path("y")),
        folder=Path("d"),
        size=(32, 16),
        names=("a", "b"),
        shares=(("s", 0.5),),
        pair=(Path("p"), Path("q")),
        count=3,
        kind="blue",
        colour="b",
        loud=True,
        speed=9.0,
    )


def test_a_file_stands_in_and_the_command_line_wins(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text(
        'folder = "d"\nsize = "32x16"\nnames = "one"\nshares = ["s=2"]\npair = ["p", "q"]\n'
        'kind = "red"\ncount = 3\nloud = true\nspeed = 2\n'
    )
    given = filled("x", "--config", str(config), "--count", "4", "--blue")
    assert given == Everything(
        files=(Path("x"),),
        folder=Path("d"),
        size=(32, 16),
        names=("one",),
        shares=(("s", 2.0),),
        pair=(Path("p"), Path("q")),
        kind="blue",
        count=4,
        loud=True,
        speed=2.0,
    )
    assert filled("x", "--config", str(config)).kind == "red"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ("x", "Missing option '-f' / '--folder'"),
        ("-f d", "Missing argument 'FILE...'"),
        ("x -f d --size 10x10", "'10x10' is no size"),
        ("x -f d --shares s=-1", "'s=-1' is not NAME=NUMBER"),
        ("x -f d --count 0", "x>=1"),
        ("x -f d --speed 0", "0<x<=9"),
        ("x -f d --colour c", "'a', 'b'"),
        ("x -f d --colours", "--colour"),
    ],
)
def test_mistakes_are_named(arguments: str, word: str) -> None:
    with pytest.raises(click.ClickException) as caught:
        filled(*arguments.split())
    assert word in caught.value.format_message()


def test_a_key_that_is_nearly_right_is_named(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text("colours = 'a'\n")
    with pytest.raises(ConfigError, match="unknown key 'colours'; did you mean 'colour'"):
        filled("x", "--config", str(config))


def test_help_has_the_facts_and_the_class_s_own_options_first() -> None:
    @click.command()
    @takes(Everything)
    def command(options: Everything) -> None:
        """Nothing."""

    text = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    for word in ("-f, --folder PATH Where to. [required]", "[default: 64x48]", "--red Red."):
        assert word in text
    assert "How fast. [default: 1.5; 0<x<=9]" in text
    assert "Why. -" in text, "an empty default is not shown"
    assert text.index("--loud") < text.index("--speed")


def test_several_values_of_each_and_none_that_were_not_given() -> None:
    seen = dict[str, Any]()

    @click.command()
    @takes_several(Base)
    def command(chosen: dict[str, list[Any]]) -> None:
        seen.update(chosen)

    command.main(["--speed", "1", "--speed", "2", "--speed", "1"], standalone_mode=False)
    assert seen == {"speed": [1.0, 2.0]}
    seen.clear()
    command.main([], standalone_mode=False)
    assert seen == {}


@pytest.mark.parametrize(
    ("function", "kind"),
    [(Pipeline, PipelineOptions), (open_source, SourceOptions)],
    ids=["Pipeline", "open_source"],
)
def test_what_python_takes_is_what_the_options_are(function: Any, kind: type[Any]) -> None:
    parameters = inspect.signature(function).parameters
    for field in fields(kind):
        assert parameters[field.name].default == field.default, field.name


def test_run_has_every_option_of_pipeline() -> None:
    """Arguments that are wired in code and no choice of a person's are left out."""
    wired = {"source", "sinks", "progress", "notice", "clock"}
    assert set(inspect.signature(Pipeline).parameters) - wired == set(option_hints(PipelineOptions))
    assert set(option_hints(PipelineOptions)) <= set(option_hints(RunOptions))
    assert set(option_hints(ProcessorOptions)) <= set(option_hints(Case))
    assert set(option_hints(NetworkOptions)) <= set(option_hints(ProcessorOptions))


def test_losses_that_can_be_chosen_are_those_that_there_are() -> None:
    losses = pytest.importorskip("livecut.training.losses")
    assert tuple(losses.LOSSES) == settings.LOSS_NAMES


@pytest.mark.parametrize("name", list(cli.commands))
def test_every_command_has_a_help(name: str) -> None:
    done = CliRunner().invoke(cli, [name, "--help"])
    assert done.exit_code == 0
    if name != "doctor":
        for word in ("--config", "-q, --quiet", "-v, --verbose"):
            assert word in done.output


def test_quiet_and_verbose_choose_what_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    for given, expected in (("", "plain"), ("-q", ""), ("-v", "detail plain")):
        terminal.listen()
        filled("x", "-f", "d", *given.split())
        logging.getLogger("livecut.engines").debug("detail")
        terminal.say("plain")
        terminal.say_error("broken")
        lines = capsys.readouterr().err.splitlines()
        assert lines == [f"livecut: {word}" for word in (*expected.split(), "error: broken")]
