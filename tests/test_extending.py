"""The examples of docs/extending.md, installed and run; and plugins that are broken."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import livecut
from livecut import ConfigError, Pipeline
from livecut.backgrounds import BACKGROUNDS
from livecut.commands.usage import markdown_table
from livecut.engines import ENGINES
from livecut.sinks import SINKS
from livecut.sources import SOURCES
from tests.commands.test_cli import assert_one_clear_line, run

ROOT = Path(livecut.__file__).parents[1]
PAGE = ROOT / "docs" / "extending.md"
GREEN, WHITE, GREY = (64, 177, 0), (255, 255, 255), (128, 128, 128)


def blocks(language: str) -> list[str]:
    """The page's blocks of code whose fence says this."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)


def install(folder: Path, module: str, code: str, entry_points: dict[str, dict[str, str]]) -> Path:
    """A module and its metadata in a folder, as pip leaves them."""
    folder.mkdir(exist_ok=True)
    (folder / f"{module}.py").write_text(code, "utf-8")
    metadata = folder / f"{module}-0.1.dist-info"
    metadata.mkdir()
    name = module.replace("_", "-")
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
    lines = [
        line
        for group, points in entry_points.items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in points.items()))
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    return folder


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder in which the page's distribution is installed."""
    [project] = blocks("toml project")
    points = tomllib.loads(project)["project"]["entry-points"]
    return install(tmp_path / "site", "livecut_studio", "\n\n".join(blocks("python")), points)


def livecut_with(site: Path, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    return run(*arguments, PYTHONPATH=f"{site}:{ROOT}")


def test_all_four_through_the_command_line(site: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.npy"
    words = ["run", "studio", "--engine", "chroma", "-b", "stripes", "-o", str(out)]
    done = livecut_with(site, *words, "--max-frames", "5")
    assert done.returncode == 0, done.stderr
    assert b"network: chroma key on the CPU" in done.stderr
    frames = np.load(out)
    assert frames.shape == (5, 360, 640, 3)
    assert (frames[4, 250, 100] == GREY).all(), "the square is the person"
    assert (frames[4, 20, 500] == WHITE).all(), "and stripes stand where the screen was"
    assert (frames[4, 60, 500] == GREEN).all()


def test_the_pages_commands(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    [text] = blocks("console")
    commands = [line.split()[1:] for line in text.splitlines()]
    for words in commands:
        done = livecut_with(site, *words, "--max-frames", "3")
        assert done.returncode == 0, done.stderr
        assert Path(words[words.index("-o") + 1]).stat().st_size > 1000
    assert len(commands) == 2


def test_they_are_listed(site: Path) -> None:
    said = livecut_with(site, "run", "--help").stdout.decode()
    for word in ("studio", "stripes, stripes:60", "out.npy", "auto, openvino, onnx, "):
        assert word in said
    assert said.rstrip().endswith(", chroma")
    said = livecut_with(site, "run", "demo", "-b", "nosuch", "-o", "null").stderr.decode()
    assert "stripes, stripes:60" in said


def test_what_they_refuse_is_one_line(site: Path) -> None:
    done = livecut_with(site, "run", "demo", "-b", "stripes:x", "-o", "null")
    assert_one_clear_line(done, "background 'stripes:x'", "livecut_studio.Stripes", "ValueError")
    done = livecut_with(site, "run", "demo", "-b", "transparent", "-o", "out.npy")
    assert_one_clear_line(done, "output 'out.npy' cannot hold transparency")


# Plugins that are broken


@pytest.fixture
def broken(site: Path) -> Path:
    """Beside the page's distribution one that lacks a module, and one whose class is none."""
    points = {
        group: {"lost": "livecut_lost:Lost"} for group in ("livecut.sinks", "livecut.engines")
    }
    install(site, "livecut_lost", "import no_such_module\n", points)
    return install(
        site, "livecut_odd", "word = 3\n", {"livecut.backgrounds": {"odd": "livecut_odd:word"}}
    )


def test_a_broken_plugin_does_not_break_the_rest(broken: Path, tmp_path: Path) -> None:
    done = livecut_with(
        broken, "run", "demo", "-b", "stripes", "-o", tmp_path / "a.npy", "--max-frames", "2"
    )
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "a.npy").shape == (2, 360, 640, 3)
    assert b"lost" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "lost"], ["output lost of livecut-lost 0.1 cannot be loaded", "no_such_module"]),
        (["-o", "null", "--engine", "lost"], ["unknown engine 'lost'", "no_such_module"]),
        (["-o", "null", "-b", "odd"], ["background odd of livecut-odd 0.1", "no subclass of"]),
    ],
    ids=str,
)
def test_a_broken_plugin_is_named_in_one_line(
    broken: Path, words: list[str], said: list[str]
) -> None:
    assert_one_clear_line(livecut_with(broken, "run", "demo", *words), *said)


def test_help_names_a_broken_plugin(broken: Path) -> None:
    done = livecut_with(broken, "run", "--help")
    assert done.returncode == 0
    said = " ".join(done.stdout.decode().split())
    assert said.count("output lost of livecut-lost 0.1 cannot be loaded") == 1
    assert "stripes" in said


def test_the_doctor_names_who_adds_what(broken: Path) -> None:
    """In a process of its own, without the trials of engines, which take long."""
    code = (
        "from livecut.commands.doctor import words\n"
        "for finding in words():\n"
        "    print(finding.what, finding.found, finding.advice, sep='; ')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": f"{broken}:{ROOT}"},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert "stripes by livecut-studio 0.1; " in next(x for x in lines if x[:11] == "backgrounds")
    assert lines[-2].startswith("engines; openvino, onnx, ")
    assert lines[-2].endswith("chroma by livecut-studio 0.1; ")
    assert "engine lost of livecut-lost 0.1 cannot be loaded: ModuleNotFound" in lines[-1]
    assert lines[-1].endswith("mend that package, or pip uninstall it")


def test_livecuts_own_words_load_no_plugin(tmp_path: Path) -> None:
    mark = tmp_path / "loaded"
    code = f"open({str(mark)!r}, 'w').close()\n"
    groups = ("sources", "sinks", "backgrounds", "engines")
    site = install(
        tmp_path / "site",
        "livecut_noted",
        code,
        {
            f"livecut.{group}": {"noted": "livecut_noted:Noted", "null": "livecut_noted:No"}
            for group in groups
        },
    )
    done = livecut_with(site, "run", "demo", "-b", "#102030", "-o", "null", "--max-frames", "2")
    assert done.returncode == 0, done.stderr
    assert not mark.exists()
    livecut_with(site, "run", "demo", "-o", "nosuch")
    assert mark.exists()


# One file and one table line


@pytest.fixture
def studio(site: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The page's module as a file of the package, without any entry point."""
    name = "livecut.studio"
    module = ModuleType(name)
    exec((site / "livecut_studio.py").read_text(), module.__dict__)
    monkeypatch.setitem(sys.modules, name, module)
    return module


def test_one_file_and_one_line_each(
    studio: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="unknown background 'stripes'"):
        Pipeline("demo", "stripes")
    monkeypatch.setitem(BACKGROUNDS.own, "stripes", "livecut.studio:Stripes")
    monkeypatch.setitem(SINKS.own, "npy", "livecut.studio:ArrayFile")
    monkeypatch.setitem(SOURCES.own, "studio", "livecut.studio:Studio")
    monkeypatch.setitem(ENGINES.own, "chroma", "livecut.studio:Chroma")
    out = tmp_path / "out.npy"
    Pipeline("studio", "stripes:30", [str(out)], engine="chroma", max_frames=4).run()
    frames = np.load(out)
    assert frames.shape == (4, 360, 640, 3)
    assert (frames[3, 250, 100] == GREY).all()
    assert (frames[3, 45, 500] == GREEN).all()
    for row in (
        "| | `stripes`, `stripes:60` | stripes of white and green, so many pixels high |",
        "| | `out.npy` | all frames in one NumPy array, BGR |",
        "| | `studio` | a grey square that moves before a green screen |",
    ):
        assert row in markdown_table()
