"""User, password and query of a URL are shown nowhere: lines, names of files, titles, pictures."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from livecut.backgrounds import open_background
from livecut.commands import terminal
from livecut.commands.streams import assign_outputs
from livecut.errors import ConfigError, LivecutError
from livecut.frame import Image
from livecut.pipeline.guard import Placeholder
from livecut.pipeline.pipeline import Pipeline
from livecut.sinks import open_sink
from livecut.sources import open_source
from livecut.sources.video import Stream
from livecut.testing import FakeEngine, LiveSource, Recorder, room_picture
from tests.clips import flat, write
from tests.commands.test_cli import assert_one_clear_line, run

PRIVATE = "hush"
"""A word in every user, password and query of these tests."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """HOST:PORT of a server that has a clip at /clip.mp4, and notes who asks."""
    folder = tmp_path / "www"
    folder.mkdir()
    write(folder / "clip.mp4", [flat((64, 48), (200, 60, 40))] * 6)

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{http.server_port}"
        finally:
            http.shutdown()
            thread.join()


def private(address: str) -> str:
    return f"http://{PRIVATE}:{PRIVATE}@{address}?token={PRIVATE}#{PRIVATE}"


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def test_run_of_a_stream(server: str, tmp_path: Path) -> None:
    done = run("run", private(f"{server}/clip.mp4"), "-b", "green", "-o", tmp_path / "a.mp4", "-v")
    text = done.stderr.decode()
    assert done.returncode == 0, text
    assert f"source: http://{server}/clip.mp4," in text
    assert PRIVATE not in text


def test_run_of_several_streams(server: str, tmp_path: Path) -> None:
    url, out = private(f"{server}/clip.mp4"), tmp_path / "out"
    out.mkdir()
    several = ("--source", url, "--source", url)
    done = run("run", *several, "-b", "green", "-o", out / "{name}-{n}.mkv", "-v")
    text = done.stderr.decode()
    assert done.returncode == 0, text
    assert sorted(path.name for path in out.iterdir()) == ["clip-1.mkv", "clip-2.mkv"]
    assert f"source 2 (http://{server}/clip.mp4): 6 frames" in text
    assert PRIVATE not in text


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_stream_that_cannot_be_opened(scheme: str) -> None:
    url = private(f"127.0.0.1:{closed_port()}/cam").replace("http", scheme)
    done = run("run", url, "-o", "null", "-v")
    assert_one_clear_line(done, f"{scheme}://127.0.0.1:", "/cam cannot be read")
    assert PRIVATE not in done.stderr.decode()
    done = run("run", "--source", "demo", "--source", url, "-o", "null", "-v")
    assert_one_clear_line(done, f"source 2 ({scheme}://127.0.0.1:")
    assert PRIVATE not in done.stderr.decode()


@pytest.mark.parametrize(
    "words",
    [
        ["run", private("host/a"), "-o", private("host/b")],
        ["run", private("host/a"), "--fps", "30", "-o", "null"],
        ["run", private("host/a"), "--source", "demo", "-o", "null"],
        ["run", private("host/a"), private("host/b")],
        ["run", private("host/a").replace("http", "nosuch"), "-o", "null"],
        ["run", f"{PRIVATE}:{PRIVATE}@host/a", "-o", "null"],
        ["run", "demo", "-o", private("127.0.0.1:8080")],
        ["run", "demo", "-b", private("host/a.png"), "-o", "null"],
        ["run", "demo", "-b", "transparent", "-o", private("127.0.0.1:8080")],
        ["run", "demo", "--model", private("host/a.onnx"), "-o", "null"],
        ["run", "demo", "--engine", private("host/a"), "-o", "null"],
        ["run", "--source", "demo", "--source", "0", "-o", private("h:1")[:-3] + ".mp4"],
        ["image", private("host/a.png"), "-o", "out.png"],
        ["run", "demo", "--config", private("host/a.toml")],
    ],
    ids=str,
)
def test_mistakes(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*words)
    assert_one_clear_line(done)
    assert PRIVATE not in done.stderr.decode() + done.stdout.decode()


def test_errors_in_python() -> None:
    word = f"nosuch://{PRIVATE} {PRIVATE}:it's {PRIVATE}@host/x?{PRIVATE}"
    for opens in (
        open_source,
        partial(open_sink, size=(64, 48), fps=30),
        partial(open_background, size=(64, 48)),
    ):
        with pytest.raises(LivecutError) as caught:
            opens(word)
        assert PRIVATE not in str(caught.value)


def test_names_of_outputs() -> None:
    sources = [f"rtsp://{PRIVATE}:{PRIVATE}@{n}?{PRIVATE}" for n in ("hall", "hall/cam 1")]
    assert assign_outputs(["{name}.mp4"], sources) == [["hall.mp4"], ["cam-1.mp4"]]
    with pytest.raises(ConfigError) as caught:
        assign_outputs(["null", f"x://{PRIVATE}:{PRIVATE}@host/a.mp4"], sources)
    assert "x://host/a.mp4" in str(caught.value)
    assert PRIVATE not in str(caught.value)


def test_name_of_a_stream(server: str) -> None:
    with Stream(private(f"{server}/clip.mp4")) as source:
        assert source.name == f"http://{server}/clip.mp4"


def test_notices_on_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = list[str]()

    def draw(text: str, size: tuple[int, int], channels: int) -> Image:
        drawn.append(text)
        return flat(size, (40, 40, 40))

    monkeypatch.setattr("livecut.pipeline.guard.draw_notice", draw)
    notice = Placeholder((64, 48))(f"RuntimeError: {private('host/cam')} was lost")
    assert notice.reason == "RuntimeError: http://host/cam was lost"
    assert drawn == [notice.reason]


def test_notice_and_log_of_a_failing_run(caplog: pytest.LogCaptureFixture) -> None:
    """A live run of somebody else's source and engine, both with the whole URL in what they say."""

    def leak(engine: FakeEngine) -> None:
        if engine.calls > 4:
            raise RuntimeError(f"{private('host/model')} gave nothing")

    recorder = Recorder()
    source = LiveSource(room_picture(), count=60)
    with caplog.at_level(logging.DEBUG, "livecut"):
        Pipeline(source, "#000000", [recorder], engine=FakeEngine(leak)).run()
    assert "RuntimeError: http://host/model gave nothing" in recorder.reasons
    assert PRIVATE not in caplog.text


def test_lines_of_others(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.listen()
    logging.getLogger("livecut.others").warning("%s is slow", private("host/cam"))
    assert capsys.readouterr().err == "livecut: warning: http://host/cam is slow\n"
