"""`livecut run` with several sources, as a person runs it."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from livecut.commands.main import cli
from livecut.commands.streams import assign_outputs
from livecut.errors import ConfigError
from livecut.frame import Output
from livecut.sinks import open_sink
from tests.clips import flat, write
from tests.commands.test_cli import assert_one_clear_line, command, frames_in, run
from tests.waiting import wait_until


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        (["window"], [["window"], ["window"]]),
        (["null", "virtual"], [["null", "virtual"]] * 2),
        (["a.mp4", "b.mp4"], [["a.mp4"], ["b.mp4"]]),
        (["window", "-", "b/"], [["window", "-"], ["window", "b/"]]),
        (["{n}-{name}.mkv"], [["1-hall.mkv"], ["2-cam-1.mkv"]]),
        (["a.mp4", "{n}/", "b.mp4"], [["a.mp4", "1/"], ["2/", "b.mp4"]]),
    ],
    ids=str,
)
def test_outputs_are_dealt_out(outputs: list[str], expected: list[list[str]]) -> None:
    sources = ["films/hall.mp4", "rtsp://192.0.2.7/cam 1"]
    assert assign_outputs(outputs, sources) == expected


@pytest.mark.parametrize(
    ("outputs", "match"),
    [
        (["a.mp4"], r"2 sources, but 1 output \(a.mp4\); give one for each source, in order, or"),
        (["a.mp4", "b.mp4", "c.mp4"], r"2 sources, but 3 outputs \(a.mp4, b.mp4, c.mp4\)"),
        (["{name}.mp4"], r"several sources would write to 'hall.mp4'; put \{n\} into"),
        (["-", "-"], "several sources would write to '-'"),
    ],
    ids=str,
)
def test_outputs_that_do_not_fit(outputs: list[str], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        assign_outputs(outputs, ["films/hall.mp4", "hall.mov"])


def test_sources_that_do_not_fit() -> None:
    done = CliRunner().invoke(cli, ["run", "demo", "--source", "demo", "-o", "null"])
    assert isinstance(done.exception, ConfigError)
    assert "both SOURCE (demo) and --source" in str(done.exception)
    done = CliRunner().invoke(cli, ["run", "--source", "-", "--source", "-", "-o", "null"])
    assert isinstance(done.exception, ConfigError)
    assert "one standard input" in str(done.exception)


def test_two_sources_from_a_configuration(tmp_path: Path) -> None:
    small = write(tmp_path / "small.mp4", [flat((64, 48), (200, 60, 40))] * 8)
    config = tmp_path / "c.toml"
    config.write_text(f'source = ["demo", {str(small)!r}]\nbackground = "#00b140"\n')
    done = run("run", "--config", config, "-o", tmp_path / "{n}-{name}.mp4", "--max-frames", "6")
    assert done.returncode == 0, done.stderr
    assert frames_in(tmp_path / "1-demo.mp4")[5].shape == (360, 640, 3)
    assert [f.shape for f in frames_in(tmp_path / "2-small.mp4")] == [(48, 64, 3)] * 6
    text = done.stderr.decode()
    for number, name in ((1, "demo"), (2, str(small))):
        assert f"source {number} ({name}): 6 frames" in text
    assert text.count("livecut: network: ") == 1
    assert "age p50 ms" in text


def test_one_that_fails_is_named_and_the_other_is_finished(tmp_path: Path) -> None:
    """The reader of the first one's pipe goes away; the second one's file is done to its end."""
    clip = write(tmp_path / "clip.mp4", [flat((64, 48), (200, 60, 40))] * 8)
    process = subprocess.Popen(
        command("run", "--source", "demo", "--source", clip, "-o", "-", "-o", tmp_path / "2.mp4"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout
        process.stdout.read(1000)
        process.stdout.close()
        assert process.stderr
        text = process.stderr.read().decode()
        assert process.wait(60) == 1
    assert text.count("error:") == 1
    assert "error: source 1 (demo): the program that reads the output has ended" in text
    assert "Traceback" not in text
    assert len(frames_in(tmp_path / "2.mp4")) == 8


def test_a_network_that_cannot_be_had_is_said_once(tmp_path: Path) -> None:
    if Path("/dev/nvidia0").exists():
        pytest.skip("there is a GPU here")
    done = run("run", "--source", "demo", "--source", "demo", "-o", "null", "--device", "cuda")
    assert_one_clear_line(done, "device cuda")


def test_ctrl_c_leaves_playable_files(tmp_path: Path) -> None:
    clip = tmp_path / "long.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (2, 96, 160, 3), np.uint8)
    with open_sink(str(clip), size=(160, 96), fps=30) as sink:
        for index in range(2000):
            sink.write(Output(noise[index % 2], None, index, 0.0))
    sources: list[str | Path] = ["--source", clip, "--source", clip]
    process = subprocess.Popen(
        command("run", *sources, "-b", "raw", "-o", tmp_path / "{n}.mp4"), stderr=subprocess.PIPE
    )
    parts = [tmp_path / f"{n}.mp4.part" for n in (1, 2)]

    def write() -> bool:
        assert process.poll() is None
        return all(part.exists() and part.stat().st_size > 50_000 for part in parts)

    wait_until(write, timeout=120, every=0.05)
    process.send_signal(signal.SIGINT)
    with process:
        assert process.stderr
        text = process.stderr.read().decode()
        assert process.wait(30) == 130
    assert "Traceback" not in text
    for n in (1, 2):
        assert f"source {n} ({clip})" in text
        assert 0 < len(frames_in(tmp_path / f"{n}.mp4")) < 2000
    assert not any(part.exists() for part in parts)
