"""Video files, streams and YUV4MPEG2 on standard input."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from livecut.errors import SourceError
from livecut.frame import Image
from livecut.sources import open_source
from livecut.sources.video import DEMO, Pipe, Stream, VideoFile
from tests.clips import BLUE, GREEN, RED, buffer, colours, flat, near, write


class TestVideoFile:
    def test_gives_every_frame_in_order(self, tmp_path: Path) -> None:
        wanted = [(10 * n, 128, 250 - 10 * n) for n in range(24)]
        path = write(tmp_path / "клип.mp4", [flat((320, 180), colour) for colour in wanted])
        source = open_source(str(path))
        assert isinstance(source, VideoFile)
        assert (source.size, source.fps, source.frames) == ((320, 180), 25.0, 24)
        assert not source.realtime
        assert source.name == "клип.mp4"
        assert source.description == "320x180 h264 25 fps"
        found = colours(source)
        assert len(found) == 24
        assert all(near(a, b) for a, b in zip(found, wanted, strict=True))

    def test_timestamps_are_perf_counter_and_increase(self, tmp_path: Path) -> None:
        with open_source(str(write(tmp_path / "a.mp4", [flat((64, 64), RED)] * 3))) as source:
            out = buffer(source)
            stamps = [time.perf_counter(), source.read(out), source.read(out), time.perf_counter()]
        given = [stamp for stamp in stamps if stamp is not None]
        assert len(given) == 4
        assert given == sorted(given)

    @pytest.mark.parametrize("colour", [RED, GREEN, BLUE, (40, 90, 200)])
    @pytest.mark.parametrize("space", [Colorspace.ITU709, Colorspace.ITU601])
    @pytest.mark.parametrize("range_", [ColorRange.MPEG, ColorRange.JPEG])
    def test_colours_are_those_of_the_tags(
        self, tmp_path: Path, colour: tuple[int, int, int], space: Colorspace, range_: ColorRange
    ) -> None:
        images = [flat((128, 96), colour)]
        path = write(tmp_path / "a.mp4", images, space=space, colours=range_)
        (found,) = colours(open_source(str(path)))
        assert near(found, colour)
        (found,) = colours(open_source(str(path), size=(64, 48)))
        assert near(found, colour)

    @pytest.mark.parametrize("colour", [RED, GREEN, BLUE, (40, 90, 200)])
    def test_bt2020_without_hdr_is_read_by_its_matrix(
        self, tmp_path: Path, colour: tuple[int, int, int]
    ) -> None:
        images = [flat((128, 96), colour)]
        path = write(tmp_path / "a.mp4", images, space=Colorspace.BT2020)
        (found,) = colours(open_source(str(path)))
        assert near(found, colour)

    @pytest.mark.parametrize(("curve", "name"), [(16, "PQ"), (18, "HLG")])
    @pytest.mark.parametrize("file", ["a.mp4", "a.mkv"])
    def test_hdr_is_refused(self, tmp_path: Path, curve: int, name: str, file: str) -> None:
        path = tmp_path / file
        with av.open(path, "w") as container:
            stream = container.add_stream("libx265", 25, options={"log-level": "error"})
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p10le"
            stream.codec_context.color_trc = curve
            stream.codec_context.colorspace = 9
            for _ in range(3):
                frame = av.VideoFrame.from_ndarray(flat((64, 64), RED), "bgr24")
                container.mux(stream.encode(frame.reformat(format="yuv420p10le")))
            container.mux(stream.encode())
        with pytest.raises(SourceError, match=rf"^{file} is HDR \({name}\), .* to BT.709"):
            open_source(str(path))

    @pytest.mark.parametrize(
        ("size", "space"), [((1280, 720), Colorspace.ITU709), ((640, 480), Colorspace.ITU601)]
    )
    def test_untagged_colours_go_by_the_size(
        self, tmp_path: Path, size: tuple[int, int], space: Colorspace
    ) -> None:
        path = write(tmp_path / "a.mp4", [flat(size, (30, 200, 60))], space=space, tagged=False)
        (found,) = colours(open_source(str(path)))
        assert near(found, (30, 200, 60))

    def test_size_scales(self, tmp_path: Path) -> None:
        image = flat((320, 240), RED)
        image[:, 160:] = BLUE
        path = write(tmp_path / "a.mp4", [image])
        with open_source(str(path), size=(161, 91)) as source:
            assert source.size == (161, 91)
            assert source.description == "320x240 h264 25 fps, scaled to 161x91"
            out = buffer(source)
            source.read(out)
        assert out.shape == (91, 161, 3)
        assert near(tuple(out[45, 40]), RED)
        assert near(tuple(out[45, 120]), BLUE)

    @pytest.mark.parametrize(
        ("matrix", "corner"),
        [
            # What tkhd says of the track (a b u c d v x y w); where the picture's red corner,
            # top left as it is stored, comes to lie in the view.
            ((0, 1, 0, -1, 0, 0, 96, 0, 16384), "top right"),
            ((-1, 0, 0, 0, -1, 0, 160, 96, 16384), "bottom right"),
            ((0, -1, 0, 1, 0, 0, 0, 160, 16384), "bottom left"),
        ],
    )
    def test_a_phone_held_upright(
        self, tmp_path: Path, matrix: tuple[int, ...], corner: str
    ) -> None:
        image = flat((160, 96), GREEN)
        image[:48, :80] = RED
        path = write(tmp_path / "a.mp4", [image] * 3)
        data = bytearray(path.read_bytes())
        at = data.index(b"tkhd") + 4 + 40  # the matrix in a track header of version 0
        fixed = [value if index == 8 else value * 65536 for index, value in enumerate(matrix)]
        fixed[8] = 1 << 30
        data[at : at + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in fixed)
        path.write_bytes(data)
        with open_source(str(path)) as source:
            out = buffer(source)
            assert source.read(out) is not None
        width, height = source.size
        assert source.size == ((160, 96) if corner == "bottom right" else (96, 160))
        across, down = width // 4, height // 4
        places = {
            "top left": (down, across),
            "top right": (down, width - across),
            "bottom left": (height - down, across),
            "bottom right": (height - down, width - across),
        }
        for place, (y, x) in places.items():
            assert near(tuple(out[y, x]), RED if place == corner else GREEN), place

    def test_reopen_starts_again(self, tmp_path: Path) -> None:
        source = open_source(
            str(write(tmp_path / "a.mkv", [flat((64, 64), c) for c in (RED, BLUE)]))
        )
        out = buffer(source)
        for _ in range(2):
            assert source.read(out) is not None
            assert near(tuple(out[9, 9]), RED)
            assert source.read(out) is not None
            assert source.read(out) is None
            source.reopen()
        source.close()
        source.close()
        with pytest.raises(SourceError, match=r"a\.mkv is closed"):
            source.read(out)

    def test_matroska_counts_by_its_duration(self, tmp_path: Path) -> None:
        source = open_source(str(write(tmp_path / "a.mkv", [flat((64, 64), RED)] * 20)))
        assert source.frames == 20
        assert len(colours(source)) == 20

    def test_damage_in_the_middle_is_passed_over(self, tmp_path: Path) -> None:
        noise = np.random.default_rng(1).integers(0, 255, (30, 120, 160, 3), np.uint8)
        path = write(tmp_path / "a.mp4", list(noise))
        data = bytearray(path.read_bytes())
        start, third = data.index(b"mdat"), len(data) // 3
        data[start + third : start + third + 20000] = os.urandom(20000)
        path.write_bytes(data)
        assert 15 <= len(colours(open_source(str(path)))) <= 30

    def test_tags_that_are_no_utf8(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.mkv", [flat((64, 64), RED)])
        written = path.read_bytes()
        assert b"Lavf" in written
        path.write_bytes(written.replace(b"Lavf", b"La\xe9f"))
        assert len(colours(open_source(str(path)))) == 1

    def test_nothing_but_damage(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.mp4", [flat((160, 120), RED)] * 10, codec="mpeg4")
        data = bytearray(path.read_bytes())
        start = data.index(b"mdat") + 4
        data[start:] = bytes(len(data) - start)
        path.write_bytes(data)
        with pytest.raises(SourceError, match=r"a\.mp4 holds no picture that can be decoded"):
            open_source(str(path))

    def test_a_file_cut_short_plays_as_far_as_it_goes(self, tmp_path: Path) -> None:
        noise = np.random.default_rng(1).integers(0, 255, (30, 120, 160, 3), np.uint8)
        path = write(tmp_path / "a.mkv", list(noise))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert 5 <= len(colours(open_source(str(path)))) <= 20

    def test_a_change_of_size_in_midstream(self, tmp_path: Path) -> None:
        parts = [
            write(tmp_path / f"{w}.ts", [flat((w, h), RED)] * 4, codec="mpeg2video")
            for w, h in ((320, 240), (160, 120))
        ]
        path = tmp_path / "both.ts"
        path.write_bytes(b"".join(part.read_bytes() for part in parts))
        found = colours(open_source(str(path)))
        assert len(found) >= 6
        assert all(near(colour, RED, 14) for colour in found)

    def test_demo(self) -> None:
        with open_source("demo") as source:
            assert (source.size, source.fps, source.frames) == ((640, 360), 30.0, 180)
            assert source.name == "demo"
            out = buffer(source)
            assert source.read(out) is not None
        assert out.std() > 30
        assert DEMO.stat().st_size < 1_000_000


class Handler(BaseHTTPRequestHandler):
    """/clip.mp4 a file; /live an endless MJPEG; /silent headers, then nothing."""

    clip = b""

    def do_GET(self) -> None:
        if self.path == "/clip.mp4":
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.clip)))
            self.end_headers()
            self.wfile.write(self.clip)
        elif self.path == "/live":
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
            self.end_headers()
            jpeg = cv2.imencode(".jpg", flat((160, 120), RED))[1].tobytes()
            head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            while not self.server.stopping.wait(0.04):  # type: ignore[attr-defined]
                self.wfile.write(head.encode() + jpeg + b"\r\n")
        else:
            self.send_error(404)

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # the reader has gone
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a web server that has a clip and a live picture."""
    images = [flat((160, 120), colour) for colour in (RED, GREEN, BLUE)]
    Handler.clip = write(tmp_path / "clip.mp4", images).read_bytes()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.stopping = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.stopping.set()  # type: ignore[attr-defined]
    httpd.shutdown()
    thread.join()
    httpd.server_close()


class TestStream:
    def test_a_file_on_a_server_is_a_file(self, server: str) -> None:
        source = open_source(f"{server}/clip.mp4")
        assert isinstance(source, Stream)
        assert (source.size, source.frames, source.realtime) == ((160, 120), 3, False)
        found = colours(source)
        assert all(near(a, b) for a, b in zip(found, (RED, GREEN, BLUE), strict=True))

    def test_live(self, server: str) -> None:
        with open_source(f"{server}/live", size=(80, 60)) as source:
            assert source.realtime
            assert source.frames is None
            assert source.fps > 0
            out = buffer(source)
            for _ in range(2):
                for _ in range(3):
                    assert source.read(out) is not None
                    assert near(tuple(out[30, 40]), RED)
                source.reopen()

    def test_password_is_not_shown(self, server: str) -> None:
        with open_source(server.replace("//", "//me:secret@") + "/clip.mp4") as source:
            assert source.name == f"{server}/clip.mp4"

    def test_not_found(self, server: str) -> None:
        with pytest.raises(SourceError, match=r"/nothing cannot be read: .*404"):
            open_source(f"{server}/nothing")

    @pytest.mark.parametrize("scheme", ["rtsp", "http"])
    def test_nobody_there(self, scheme: str) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            url = f"{scheme}://127.0.0.1:{taken.getsockname()[1]}/a"
            with pytest.raises(SourceError, match=r"127\.0\.0\.1:\d+/a cannot be read: .*refused"):
                open_source(url)

    @pytest.mark.parametrize("scheme", ["rtsp", "http"])
    def test_silence(self, scheme: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as quiet:
            url = f"{scheme}://127.0.0.1:{quiet.getsockname()[1]}/a"
            start = time.perf_counter()
            with pytest.raises(SourceError, match=r"sent nothing for 0\.5 s"):
                Stream(url, timeout=0.5)
        assert time.perf_counter() - start < 3


def y4m(images: list[Image], tmp_path: Path) -> bytes:
    path = tmp_path / "a.y4m"
    write(path, images, codec="wrapped_avframe", space=Colorspace.ITU601, tagged=False)
    return path.read_bytes()


def piped(data: bytes) -> subprocess.CompletedProcess[str]:
    """What a process says that reads `data` from its standard input as a source."""
    code = (
        "import numpy as np\n"
        "from livecut.errors import SourceError\n"
        "from livecut.sources import open_source\n"
        "try:\n"
        "    source = open_source('-')\n"
        "    print(source.name, source.realtime, source.frames, source.description)\n"
        "    out = np.zeros((source.size[1], source.size[0], 3), np.uint8)\n"
        "    while source.read(out) is not None:\n"
        "        print(out[9, 9].tolist())\n"
        "except SourceError as error:\n"
        "    print('error:', error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=data, capture_output=True, check=True, timeout=60
    )
    return subprocess.CompletedProcess(code, 0, done.stdout.decode(), done.stderr.decode())


class TestPipe:
    def test_frames(self, tmp_path: Path) -> None:
        wanted = [(200, 50, 90), (20, 150, 90)]
        images = [flat((160, 120), colour) for colour in wanted]
        done = piped(y4m(images, tmp_path))
        first, *rest = done.stdout.splitlines()
        assert first == "standard input False None 160x120 rawvideo 25 fps"
        assert len(rest) == 2
        for line, colour in zip(rest, wanted, strict=True):
            assert near(tuple(int(v) for v in line.strip("[]").split(",")), colour)
        assert done.stderr == ""

    def test_cut_short(self, tmp_path: Path) -> None:
        done = piped(y4m([flat((160, 120), RED)] * 3, tmp_path)[:-1000])
        assert len(done.stdout.splitlines()) == 3
        assert done.stderr == ""

    @pytest.mark.parametrize("data", [b"hello, world\n" * 9, b"", b"YUV4MPEG2 W0 H0\nFRAME\n"])
    def test_something_else(self, data: bytes) -> None:
        done = piped(data)
        assert done.stdout.startswith("error: standard input is not YUV4MPEG2; try: ffmpeg")
        assert done.stdout.count("\n") == 1
        assert done.stderr == ""

    @pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
    def test_a_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        master, slave = os.openpty()
        with os.fdopen(slave) as terminal:
            monkeypatch.setattr("sys.stdin", terminal)
            with pytest.raises(SourceError, match="nothing is piped into standard input"):
                open_source("-")
        os.close(master)

    def test_cannot_start_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "b").write_bytes(y4m([flat((160, 120), RED)], tmp_path))
        with (tmp_path / "b").open() as file:
            monkeypatch.setattr("sys.stdin", file)
            with Pipe() as source, pytest.raises(SourceError, match="can be read only once"):
                source.reopen()
