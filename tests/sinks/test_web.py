"""The web preview: what viewers get, what they never get, and that they hold nobody up."""

from __future__ import annotations

import errno
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse

import cv2
import numpy as np
import pytest

from livecut import Pipeline, SinkError
from livecut.frame import Image, Output
from livecut.overlay import draw_notice
from livecut.sinks import open_sink
from livecut.sinks import server as preview
from livecut.sinks.server import ENDED, FAREWELL, PATIENCE, STARTING
from livecut.sinks.web import Preview
from livecut.testing import FakeEngine, LiveSource, ManualClock, room_picture, shows_room
from livecut.urls import public_url
from tests.clips import BLUE, GREEN, RED, flat, near
from tests.waiting import pause, wait_until

SIZE = (320, 192)
ANY = "http://127.0.0.1:0"


class Viewer:
    """Watches a preview's stream."""

    def __init__(self, sink: Preview, host: str = "") -> None:
        self._connection = HTTPConnection(sink.name.removeprefix("http://"), timeout=10)
        headers = {"Host": host} if host else {}
        self._connection.request("GET", "/stream", headers=headers)
        self.answer: HTTPResponse = self._connection.getresponse()

    def next(self) -> Image | None:
        """The next picture, None at the end of the stream."""
        head = dict[bytes, bytes]()
        while line := self.answer.readline():
            name, _, value = line.strip().partition(b": ")
            head[name] = value
            if not name and b"Content-Length" in head:
                break
        else:
            return None
        data = self.answer.read(int(head[b"Content-Length"]))
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        return np.asarray(picture, np.uint8)

    def until(self, wanted: Callable[[Image], bool]) -> int:
        """Watch until a picture is as wanted; how many came."""
        for count in range(1, 10_000):
            picture = self.next()
            assert picture is not None, "the stream has ended"
            if wanted(picture):
                return count
        raise AssertionError("it never came")

    def rest(self) -> list[Image]:
        """All that comes until the end of the stream."""
        pictures = []
        while (picture := self.next()) is not None:
            pictures.append(picture)
        return pictures

    def leave(self) -> None:
        self.answer.close()
        self._connection.close()


@contextmanager
def watch(sink: Preview, host: str = "") -> Iterator[Viewer]:
    viewer = Viewer(sink, host)
    try:
        yield viewer
    finally:
        viewer.leave()


@pytest.fixture
def sink() -> Iterator[Preview]:
    with Preview(ANY, SIZE) as sink:
        yield sink


def write(sink: Preview, image: Image) -> None:
    sink.write(Output(image, None, 0, 0.0))


def shows(colour: tuple[int, int, int]) -> Callable[[Image], bool]:
    return lambda picture: near(tuple(picture[50, 50].tolist()), colour)


def alike(picture: Image | None, other: Image, mean: float = 2.0) -> bool:
    return picture is not None and float(cv2.absdiff(picture, other).mean()) < mean


def fill(sink: Preview, image: Image) -> None:
    """Write until the system holds no more for a viewer who takes nothing."""
    for _ in range(10):
        write(sink, image)
        pause(0.02)


def get(sink: Preview, path: str, host: str = "") -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection(sink.name.removeprefix("http://"), timeout=10)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def test_page(sink: Preview) -> None:
    answer, body = get(sink, "/")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.headers["Cache-Control"] == "no-store"
    assert b'<img src="/stream"' in body
    assert get(sink, "/../sinks.py")[0].status == 404


def test_viewers_see_what_is_written(sink: Preview) -> None:
    gradient = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    gradient[..., 1] = np.linspace(0, 255, SIZE[0])
    with watch(sink) as one, watch(sink) as two:
        for viewer in (one, two):
            assert alike(viewer.next(), draw_notice(STARTING, SIZE))
        for image in (gradient, flat(SIZE, RED), flat(SIZE, BLUE)):
            write(sink, image)
            assert alike(one.next(), image)
            assert alike(two.next(), image)


def test_nothing_is_encoded_for_nobody_and_nothing_old_is_kept(
    sink: Preview, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded, encode = list[Image](), preview.encoded

    def noted(image: Image) -> bytes:
        encoded.append(image.copy())
        return encode(image)

    monkeypatch.setattr(preview, "encoded", noted)
    write(sink, flat(SIZE, RED))
    with watch(sink) as viewer:
        write(sink, flat(SIZE, BLUE))
        assert alike(viewer.next(), flat(SIZE, BLUE)), "what was written before they came"
        assert len(encoded) == 1

    def gone() -> bool:  # which is noticed when the next picture is sent
        write(sink, flat(SIZE, BLUE))
        return not sink.watched

    wait_until(gone)
    count = len(encoded)
    write(sink, flat(SIZE, RED))
    with watch(sink) as viewer:
        write(sink, flat(SIZE, GREEN))
        assert alike(viewer.next(), flat(SIZE, GREEN)), "the last of the viewer before"
    assert len(encoded) == count + 1


def test_a_slow_viewer_holds_nobody_up_and_gets_the_newest() -> None:
    size, count = (640, 360), 200
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    with Preview(ANY, size) as sink, watch(sink) as slow, watch(sink) as quick:
        seen = list[int]()
        thread = threading.Thread(target=lambda: seen.append(quick.until(shows(BLUE))))
        thread.start()
        for _ in range(count):
            write(sink, noise)
            pause(0.005)
        while thread.is_alive():
            write(sink, flat(size, BLUE))
            thread.join(0.005)
        behind = slow.until(shows(BLUE))
    assert seen[0] > 2 * behind
    assert behind <= 10, "what the system holds for them is little"


def test_the_last_picture_is_a_notice_and_then_there_is_none() -> None:
    sink = Preview(ANY, SIZE)
    with watch(sink) as viewer:
        write(sink, flat(SIZE, RED))
        viewer.until(shows(RED))
        sink.close()
        *others, last = viewer.rest()
        assert alike(last, draw_notice(ENDED, SIZE))
        assert others == []
    with pytest.raises(ConnectionRefusedError):
        Viewer(sink)
    with pytest.raises(ValueError, match="is closed"):
        write(sink, flat(SIZE, RED))
    sink.close()
    Preview(sink.name, SIZE).close()  # the port is free again


def test_viewer_who_takes_nothing_is_let_go() -> None:
    clock, size = ManualClock(), (1280, 720)
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    with Preview(ANY, size, clock) as sink, watch(sink):
        wait_until(lambda: sink.watched)
        fill(sink, noise)
        clock.advance(PATIENCE - 0.1)
        pause(0.05)
        assert sink.watched, "they have still time"
        clock.advance(0.2)
        wait_until(lambda: not sink.watched)


def test_viewer_who_takes_nothing_does_not_hold_up_the_end() -> None:
    clock, size = ManualClock(), (1280, 720)
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    sink = Preview(ANY, size, clock)
    with watch(sink):
        wait_until(lambda: sink.watched)
        fill(sink, noise)
        begun = clock.now()
        sink.close()
        assert not sink.server.thread.is_alive()
        assert FAREWELL - 0.1 <= clock.now() - begun < 2 * FAREWELL


def test_pages_of_others_are_refused(sink: Preview) -> None:
    """A name of others may be made to mean 127.0.0.1, and their script would read the stream."""
    port = sink.name.rpartition(":")[2]
    for path in ("/", "/stream"):
        assert get(sink, path, f"evil.example:{port}")[0].status == 403
    for host in ("localhost", "127.0.0.1", "[::1]"):
        answer, _ = get(sink, "/", f"{host}:{port}")
        assert answer.status == 200
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_wider_than_this_machine_is_warned_of() -> None:
    with Preview(ANY, SIZE) as sink:
        [hint] = sink.hints
        assert hint == f"watch at {sink.name}"
    with Preview("http://0.0.0.0:0", SIZE) as sink:
        where, warning = sink.hints
        assert where == f"watch at http://localhost:{sink.name.rpartition(':')[2]}"
        assert warning.startswith("warning: whoever reaches")
        assert get(sink, "/", "studio.lan")[0].status == 200


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("https://127.0.0.1:8443", "expected http://HOST:PORT"),
        ("http:8080", "expected http://HOST:PORT"),
        ("http://", "expected http://HOST:PORT"),
        ("http://127.0.0.1:70000", "a port up to 65535"),
        ("http://127.0.0.1:web", "a port up to 65535"),
        ("http://127.0.0.1:8080/path", "expected http://HOST:PORT"),
        ("http://me@127.0.0.1:8080", "expected http://HOST:PORT"),
        ("http://[::1", "expected http://HOST:PORT"),
        ("http://no-such-host.invalid:8080", "there is no host 'no-such-host.invalid'"),
        ("http://192.0.2.1:8080", "192.0.2.1 is no address of this machine"),
    ],
)
def test_where_it_cannot_listen(uri: str, said: str) -> None:
    shown = re.escape(public_url(uri))
    with pytest.raises(SinkError, match=f"output '{shown}'.*{said}") as error:
        open_sink(uri, size=SIZE, fps=30)
    assert "\n" not in str(error.value)


def test_port_in_use(sink: Preview) -> None:
    port = int(sink.name.rpartition(":")[2])
    with pytest.raises(SinkError, match=f"port {port} is in use; choose another with"):
        open_sink(sink.name, size=SIZE, fps=30)


def test_port_that_is_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> list[socket.socket]:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(SinkError, match="no permission to listen at port 80; those from 1024"):
        open_sink("http://127.0.0.1:80/", size=SIZE, fps=30)


def test_no_transparency() -> None:
    for uri in ("http", "http://127.0.0.1:0", "http://127.0.0.1:0/"):
        with pytest.raises(SinkError, match="cannot hold transparency"):
            open_sink(uri, size=SIZE, fps=30, transparent=True)


def test_pictures_of_another_form(sink: Preview) -> None:
    with pytest.raises(ValueError, match="got a picture of"):
        write(sink, flat((64, 48), RED))


def test_a_viewer_never_sees_the_room() -> None:
    """From before the first frame, through failures of the network, to the end."""

    def before(engine: FakeEngine) -> None:
        if engine.calls % 20 > 10:
            engine.output.fill(np.nan)

    engine = FakeEngine(before)
    told = list[str]()
    seen = list[Image]()
    with Preview(ANY, (64, 48)) as sink, watch(sink) as viewer:
        source = LiveSource(room_picture(), period=0.02)
        pipeline = Pipeline(
            source, "#000000", [sink], engine=engine, max_frames=40, notice=told.append
        )
        thread = threading.Thread(target=lambda: seen.extend(viewer.rest()))
        thread.start()
        pipeline.run()
        sink.close()
        thread.join()
    assert told[0] == f"watch at {sink.name}"
    assert pipeline.stats.placeholders > 3
    assert len(seen) > 20
    assert not any(shows_room(picture) for picture in seen)
    person = [picture for picture in seen if near(picture[40, 32].tolist(), (200, 60, 40), 20)]
    assert 5 < len(person) < len(seen)
    assert alike(seen[-1], draw_notice(ENDED, (64, 48)), 10)
