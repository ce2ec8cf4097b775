"""The tables of sources, backgrounds, outputs and engines: every line of them is true."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import livecut
from livecut.backgrounds import BACKGROUNDS
from livecut.commands.usage import markdown_table
from livecut.engines import ENGINES
from livecut.network.build import NETWORKS, build, network_names
from livecut.pictures import READABLE
from livecut.registry import Registry, WordRegistry, shorten
from livecut.sinks import SINKS, find_sink
from livecut.sources import SOURCES
from tests.clips import flat, write

ROOT = Path(livecut.__file__).parents[1]
WORDS: list[WordRegistry[Any]] = [SOURCES, BACKGROUNDS, SINKS]
ALL: list[Registry[Any]] = [*WORDS, ENGINES]
LINES = [(registry, name) for registry in WORDS for name in registry.own]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that the tables' examples name, in the working folder."""
    monkeypatch.chdir(tmp_path)
    for registry in (SOURCES, BACKGROUNDS):
        for usage in registry.usages(others=False):
            for path in map(Path, usage.forms):
                if path.suffix.lower() in READABLE:
                    cv2.imwrite(path.name, flat((32, 16), (1, 2, 3)))
                elif path.suffix == ".mp4":
                    write(path, [flat((32, 16), (1, 2, 3))])


@pytest.mark.parametrize(("registry", "name"), LINES, ids=lambda v: getattr(v, "kind", v))
def test_every_form_leads_to_its_own_class(
    registry: WordRegistry[Any], name: str, files: None
) -> None:
    own = registry.named(name)
    assert own is not None
    assert own.forms
    for form in own.forms:
        assert registry.find(form) is own


@pytest.mark.parametrize("registry", ALL, ids=lambda registry: registry.kind)
def test_every_class_has_help_in_one_plain_line(registry: Registry[Any]) -> None:
    for usage in registry.usages(others=False):
        assert 0 < len(usage.help) < 100
        assert "\n" not in usage.help
        assert not usage.help.endswith(".")
        assert "cannot be used here" not in usage.help


def test_the_table_for_pages_has_all_of_them() -> None:
    table = markdown_table()
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(LINES)
    for word in ("`0`", "`demo`", "`blur`", "`transparent`", "`virtual`", "`out.mp4`, `.mkv`"):
        assert word in table


def test_the_readmes_table_is_current() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "table.py"))
    text = (ROOT / "README.md").read_text("utf-8")
    assert page["fill"](text) == text, "run: python docs/table.py"
    assert page["fill"](text.replace("`raw`", "`rah`")) == text
    with pytest.raises(ValueError, match="0 places"):
        page["fill"]("no table")


def test_nothing_heavy_is_imported_for_a_word_that_needs_it_not() -> None:
    code = (
        "import sys\n"
        "from livecut.backgrounds import find_background\n"
        "from livecut.engines import ENGINES\n"
        "from livecut.sinks import find_sink\n"
        "from livecut.sources import SOURCES\n"
        "ENGINES.names()\n"
        "assert not {'cv2', 'numba'} & set(sys.modules), 'a table alone'\n"
        "SOURCES.find('0')\n"
        "find_background('blur')\n"
        "for word in ('window', 'virtual', 'http', 'null', '-', 'o/', 'o.mp4', 'o.png'):\n"
        "    find_sink(word)\n"
        "found = {'av', 'tornado', 'torch', 'onnxruntime', 'pyvirtualcam'} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["http", "virtual", "null", "window"])
def test_a_folder_of_a_words_name_does_not_take_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    assert find_sink(name) is SINKS.named(name)
    assert find_sink(f"{name}/") is SINKS.named("folder")


def test_a_class_that_cannot_be_imported_leaves_the_others_help(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(SINKS.own, "gone", "livecut.sinks.no_such_module:Gone")
    usages = {usage.name: usage for usage in SINKS.usages()}
    assert usages["gone"].help.startswith("cannot be used here: ModuleNotFoundError")
    assert usages["window"].forms == ("window",)


@pytest.mark.parametrize(
    ("forms", "shown"),
    [
        (["out.mp4", "out.mkv", "out.mov"], ["out.mp4", ".mkv", ".mov"]),
        (["blur", "blur:0.8"], ["blur", "blur:0.8"]),
        (["a.png", "b.png"], ["a.png", "b.png"]),
        (["http", "http://HOST:PORT"], ["http", "http://HOST:PORT"]),
    ],
)
def test_endings_alone_are_enough(forms: list[str], shown: list[str]) -> None:
    assert list(shorten(forms)) == shown


def test_networks_by_name_without_torch() -> None:
    code = (
        "import sys\n"
        "from livecut.network.build import network_names\n"
        "assert 'live' in network_names()\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_network_by_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setitem(NETWORKS, "mine", "livecut.network.unet:UNet")
    assert "mine" in network_names()
    assert type(build("mine")).__name__ == "UNet"
    assert np.prod(build("mine").stride) > 1
