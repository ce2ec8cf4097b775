"""The pages say what is true: each block of code is tried, and each link leads somewhere.

Commands are parsed by click and not run; blocks of Python are run, with the beginning of the demo
clip in place of cameras and files; blocks of TOML are read by the command that their fence names.
"""

from __future__ import annotations

import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click
import cv2
import pytest

from livecut.commands.main import cli
from livecut.evaluation.external import read_adapter
from livecut.sources import open_source
from tests.clips import buffer, shorten_demo

ROOT = Path(__file__).parent.parent
CARDS = [ROOT / "models" / f"{name}.md" for name in ("live", "quality", "fast")]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *CARDS]
    + [ROOT / folder / "README.md" for folder in ("benchmarks", "examples")]
)
LINKED = [*PAGES, ROOT / "models" / "HISTORY.md"]
OTHER_PROGRAMS = {
    *("apt", "cat", "echo", "ffmpeg", "find", "lint-imports", "modprobe", "pre-commit"),
    *("systemctl", "tee", "usermod", "wc", "xargs"),
}
"""What commands call besides livecut, Python and pip."""
LANGUAGES = ("console", "python", "toml", "ini", "text")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    page: Path
    line: int
    language: str
    use: str
    """The second word of the fence."""
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page, in their order."""
    begun, info, lines = 0, "", list[str]()
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = re.fullmatch(r"```([^`]*)", line)
        if fence and begun:
            language, _, use = info.partition(" ")
            yield Block(page, begun, language, use, "\n".join(lines))
            begun, lines = 0, []
        elif fence:
            begun, info = number, fence[1].strip()
        elif begun:
            lines.append(line)
    assert not begun, f"{page}: the block of line {begun} has no end"


BLOCKS = [block for page in PAGES for block in blocks(page)]


def of(language: str) -> list[Block]:
    """The blocks in a language.

    The reference repeats docstrings, and tests/test_extending.py tries the code of extending.md.
    """
    others = ("api.md",) if language == "console" else ("api.md", "extending.md")
    return [b for b in BLOCKS if b.language == language and b.page.name not in others]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in that has the files which the pages name."""
    monkeypatch.chdir(tmp_path)
    for name in ("models", "benchmarks", "examples", "docs", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    settings = next(b for b in of("toml") if b.use == "run")
    (tmp_path / "meeting.toml").write_text(settings.text, encoding="utf-8")
    return tmp_path


def parse(arguments: list[str]) -> None:
    """Have click parse a call of livecut. Raises ClickException and the errors of options."""
    if not arguments or arguments[0].startswith("-"):
        with pytest.raises(click.exceptions.Exit) as ended:
            cli.make_context("livecut", arguments)
        assert ended.value.exit_code == 0
        return
    with cli.make_context("livecut", arguments[:1]) as context:
        command = cli.get_command(context, arguments[0])
        assert command is not None, f"there is no command {arguments[0]}"
        with suppress(click.exceptions.Exit):  # of --help; a slip raises another
            command.make_context(arguments[0], arguments[1:], parent=context)


def calls(line: str) -> Iterator[list[str]]:
    """The programs that a line of shell calls, each with its arguments."""
    words = shlex.shlex(line, posix=True, punctuation_chars="|&;")
    words.whitespace_split, words.commenters = True, "#"
    call = list[str]()
    for word in [*words, ";"]:
        if not set(word) <= set("|&;"):
            call.append(word)
        elif call:
            yield call
            call = []


def try_line(line: str) -> None:
    """Check what a line of shell calls."""
    for call in calls(line):
        try_call(call)


def try_call(call: list[str]) -> None:
    """Check a call of one program, as far as that goes without running it."""
    while call[0] == "sudo" or re.fullmatch(r"[A-Z_]+=\S*", call[0]):
        call = call[1:]
    program, arguments = Path(call[0]).name, call[1:]
    if program == "torchrun":
        assert "--no-python" in arguments
        parse(arguments[arguments.index("livecut") + 1 :])
    elif program == "livecut":
        parse(arguments)
    elif program in ("python", "python3") and arguments[0] == "-m":
        assert arguments[1] in ("venv", "pytest", "ruff", "mypy")
        if "-m" in arguments[2:]:
            marker = arguments[arguments.index("-m", 2) + 1]
            markers = PROJECT["tool"]["pytest"]["ini_options"]["markers"]
            assert marker in [known.partition(":")[0] for known in markers]
    elif program in ("python", "python3"):
        assert Path(arguments[0]).is_file(), arguments[0]
    elif program == "pip":
        assert arguments[0] in ("install", "download")
        extras = {e for word in arguments for e in re.findall(r"^\.\[(.*)\]$", word)}
        known = PROJECT["project"]["optional-dependencies"]
        assert all(name in known for extra in extras for name in extra.split(","))
    else:
        assert program in OTHER_PROGRAMS


@pytest.mark.parametrize("block", of("console"), ids=str)
def test_the_commands_of_the_pages_are_understood(block: Block, place: Path) -> None:
    for line in block.text.replace("\\\n", " ").splitlines():
        try_line(line.removeprefix("$ "))


@pytest.mark.parametrize(
    "line",
    [
        "livecut rnu",
        "livecut bench --devise cpu",
        "livecut eval --count 0",
        "ffmpeg -i a.mp4 | lifecut run -",
        "pip install .[tourch]",
        "python benchmarks/nothing.py",
        "python -m pytest -m gpus",
    ],
)
def test_a_command_with_a_slip_is_found(line: str, place: Path) -> None:
    with pytest.raises((click.ClickException, AssertionError)):
        try_line(line)


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_the_python_of_the_pages_runs(block: Block, place: Path) -> None:
    clip = shorten_demo(place / "clip.mp4", 4)
    with open_source(str(clip)) as source:
        image = buffer(source)
        source.read(image)
    for name in ("me.jpg", "beach.jpg"):
        cv2.imwrite(name, image)
    text = re.sub(r'"[01]"', '"clip.mp4"', block.text)
    exec(compile(text, str(block), "exec"), {"__name__": "page"})


@pytest.mark.parametrize("block", of("toml"), ids=str)
def test_the_settings_of_the_pages_are_read(block: Block, place: Path) -> None:
    path = place / "settings.toml"
    path.write_text(block.text, encoding="utf-8")
    if block.use == "adapter":
        read_adapter(path)
        return
    needed = {"train": ["--data", "DIR"], "run": []}[block.use]
    parse([block.use, "--config", str(path), *needed])
    path.write_text(block.text.replace(" = ", "s = ", 1), encoding="utf-8")
    with pytest.raises(Exception, match="unknown key"):
        parse([block.use, "--config", str(path), *needed])


def test_every_block_has_a_language() -> None:
    assert [str(b) for b in BLOCKS if b.language not in LANGUAGES] == []


# the pages themselves


def anchors(page: Path) -> set[str]:
    """The names that a page's headings can be linked by, as GitHub makes them."""
    text = re.sub(r"```.*?\n```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
    return {title.replace(" ", "-") for title in plain}


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?\n```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        assert path.is_relative_to(ROOT), target
        assert not anchor or anchor in anchors(path), target


def test_the_readme_is_short_and_begins_with_a_moving_picture() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) < 900
    image = re.search(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert image is not None
    assert image.start() < text.index("## ")
    path = ROOT / image[1]
    assert path.stat().st_size < 3_000_000
    assert b"ANIM" in path.read_bytes()[:64]


def test_the_readme_has_one_command_for_the_tests() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line.startswith("$ ") and "pytest" in line]) == 1


def test_lines_are_counted_by_the_command_of_contributing() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    commands = re.findall(r"^(?:find|cat) livecut.* wc -l$", text, flags=re.MULTILINE)
    counts = []
    for command in commands:
        strict = f"set -euo pipefail; {command}"
        done = subprocess.run(["bash", "-c", strict], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        counts.append(int(done.stdout))
    assert counts[0] > counts[1] > 1000


def test_the_reference_is_that_of_the_docstrings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "docs" / "generate.py"), run_name="__main__")
    assert ended.value.code == 0, "run: python docs/generate.py"
