"""Files, pictures, streams and pipes: what they give, and what they say of bad input."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from livecut import v4l2
from livecut.errors import SourceError
from livecut.frame import Image
from livecut.sources import (
    DEMO,
    Picture,
    Pipe,
    Source,
    Stream,
    VideoFile,
    open_source,
    read_picture,
)

RED, GREEN, BLUE = (0, 0, 255), (0, 255, 0), (255, 0, 0)


def flat(size: tuple[int, int], colour: tuple[int, int, int]) -> Image:
    image = np.empty((size[1], size[0], 3), np.uint8)
    image[:] = colour
    return image


def write(
    path: Path,
    images: list[Image],
    *,
    codec: str = "libx264",
    space: Colorspace = Colorspace.ITU709,
    colours: ColorRange = ColorRange.MPEG,
    tagged: bool = True,
    rate: int = 25,
    pixels: str = "yuv420p",
) -> Path:
    options = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with av.open(path, "w", options=options) as container:
        stream = container.add_stream(codec, rate)
        assert isinstance(stream, av.VideoStream)
        if codec == "libx264":
            stream.options = {"crf": "2", "g": "5", "bf": "0"}
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pixels
        if tagged:
            stream.codec_context.colorspace = space
            stream.codec_context.color_range = colours
        for image in images:
            frame = av.VideoFrame.from_ndarray(image, "bgr24").reformat(
                format=pixels, dst_colorspace=space, dst_color_range=colours
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def buffer(source: Source) -> Image:
    return np.full((source.size[1], source.size[0], 3), 77, np.uint8)


def colours(source: Source) -> list[tuple[int, int, int]]:
    """The colour in the middle of each frame until the end; closes the source."""
    out, found = buffer(source), list[tuple[int, int, int]]()
    with source:
        while source.read(out) is not None:
            blue, green, red = out[out.shape[0] // 2, out.shape[1] // 2].tolist()
            found.append((blue, green, red))
            out[:] = 77
        assert (out == 77).all(), "at the end the buffer is as it was"
    return found


def near(colour: tuple[int, ...], wanted: tuple[int, ...], tolerance: int = 8) -> bool:
    return all(abs(int(a) - b) <= tolerance for a, b in zip(colour, wanted, strict=True))


class TestVideoFile:
    def test_gives_every_frame_in_order(self, tmp_path: Path) -> None:
        wanted = [(10 * n, 128, 250 - 10 * n) for n in range(24)]
        path = write(tmp_path / "клип.mp4", [flat((320, 180), colour) for colour in wanted])
        source = open_source(str(path))
        assert isinstance(source, VideoFile)
        assert (source.size, source.fps, source.frames) == ((320, 180), 25.0, 24)
        assert not source.live
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


class TestBadFiles:
    def test_missing(self) -> None:
        with pytest.raises(SourceError, match=r"no file 'nowhere\.mp4'; give a camera .*demo"):
            open_source("nowhere.mp4")
        with pytest.raises(SourceError, match="no file"):
            open_source("long" * 100 + ".mp4")

    def test_unknown_scheme(self) -> None:
        with pytest.raises(SourceError, match=r"ftp:// is not a stream .*rtsp://"):
            open_source("ftp://localhost/a.mp4")

    @pytest.mark.parametrize("name", ["a.mp4", "a.png"])
    def test_empty(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).touch()
        with pytest.raises(SourceError, match=rf"{name} is empty \(0 bytes\)"):
            open_source(str(tmp_path / name))

    @pytest.mark.parametrize(
        ("name", "message"), [("a.mp4", "is not a video"), ("a.jpg", "is not a picture")]
    )
    def test_text(self, tmp_path: Path, name: str, message: str) -> None:
        (tmp_path / name).write_text("these are not the bytes that you are looking for\n" * 50)
        with pytest.raises(SourceError, match=message):
            open_source(str(tmp_path / name))

    def test_index_missing(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.mp4", [flat((160, 120), RED)] * 10)
        data = path.read_bytes()  # what a recorder leaves that was killed: no index
        path.write_bytes(data[: data.index(b"moov") - 4] + data[data.index(b"mdat") - 4 :])
        with pytest.raises(SourceError, match=r"a\.mp4 is not a video that livecut can read"):
            open_source(str(path))

    @pytest.mark.parametrize("name", ["folder", "folder.png"])
    def test_folder(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).mkdir()
        with pytest.raises(SourceError, match=r"is a folder|Is a directory"):
            open_source(str(tmp_path / name))

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may all")
    def test_forbidden(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.mp4", [flat((64, 64), RED)])
        path.chmod(0)
        with pytest.raises(SourceError, match=r"a\.mp4 cannot be read: Permission denied"):
            open_source(str(path))

    def test_sound_only(self, tmp_path: Path) -> None:
        with av.open(tmp_path / "a.wav", "w") as container:
            stream = container.add_stream("pcm_s16le", 8000)
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), "s16", "mono")
            sound.sample_rate = 8000
            container.mux(stream.encode(sound))
        with pytest.raises(SourceError, match=r"a\.wav has no pictures in it"):
            open_source(str(tmp_path / "a.wav"))

    def test_options_of_a_camera(self) -> None:
        with pytest.raises(
            SourceError, match="--fps 30 can be asked of a camera only, not of demo"
        ):
            open_source("demo", fps=30)
        with pytest.raises(SourceError, match="--fourcc MJPG can be asked of a camera only"):
            open_source("demo", fourcc="MJPG")

    def test_a_size_of_nothing(self) -> None:
        with pytest.raises(SourceError, match="0x10 holds no picture"):
            open_source("demo", size=(0, 10))


def node(number: int, card: str, **details: Any) -> v4l2.Device:
    values: dict[str, Any] = {
        "driver": "uvcvideo",
        "bus": "usb-1",
        "capture": True,
        "output": False,
    } | details
    return v4l2.Device(f"/dev/video{number}", card, **values)


@pytest.mark.skipif(sys.platform != "linux", reason="V4L2 is Linux's")
class TestNoCamera:
    """What is said where a camera cannot even be tried; what works is in test_camera.py."""

    @pytest.fixture(autouse=True)
    def found(self, monkeypatch: pytest.MonkeyPatch) -> list[v4l2.Device]:
        """What the machine seems to have."""
        found: list[v4l2.Device] = []
        monkeypatch.setattr("livecut.v4l2.devices", lambda: found)
        return found

    @pytest.mark.parametrize("uri", ["0", "/dev/video0"])
    def test_none(self, uri: str) -> None:
        with pytest.raises(
            SourceError, match=rf"there is no camera {uri}; .*livecut run FILE.*livecut run demo"
        ):
            open_source(uri)

    def test_others(self, found: list[v4l2.Device]) -> None:
        found += [node(2, "Front"), node(3, "Front", capture=False), node(4, "Back")]
        with pytest.raises(
            SourceError,
            match=r"no camera 0; give one of /dev/video2 \(Front\), /dev/video4 \(Back\)$",
        ):
            open_source("0")
        with pytest.raises(SourceError, match=r"/dev/video3 \(Front\) gives no pictures now; give"):
            open_source("3")

    @pytest.mark.parametrize(
        ("error", "message"),
        [
            (errno.EACCES, "group video"),
            (errno.EBUSY, "is in use"),
            (errno.EIO, "cannot be opened"),
        ],
    )
    def test_closed(self, found: list[v4l2.Device], error: int, message: str) -> None:
        found.append(node(0, "Front", capture=False, error=error))
        with pytest.raises(SourceError, match=f"/dev/video0 .*{message}"):
            open_source("0")

    def test_impossible_wishes(self) -> None:
        with pytest.raises(SourceError, match="--fourcc JPG is not four letters such as MJPG"):
            open_source("0", fourcc="JPG")
        with pytest.raises(SourceError, match="--fps 0 is not a rate"):
            open_source("0", fps=0)


class TestPicture:
    @pytest.mark.parametrize("name", ["фото.png", "a.jpg", "a.webp", "a.bmp", "a.tiff"])
    def test_one_frame(self, tmp_path: Path, name: str) -> None:
        data = cv2.imencode(Path(name).suffix, flat((48, 32), (40, 90, 200)))[1]
        (tmp_path / name).write_bytes(data.tobytes())
        source = open_source(str(tmp_path / name))
        assert isinstance(source, Picture)
        assert (source.size, source.fps, source.frames, source.live) == ((48, 32), 30.0, 1, False)
        assert source.name == name
        (found,) = colours(source)
        assert near(found, (40, 90, 200))

    @pytest.mark.parametrize("size", [(20, 10), (200, 300)])
    def test_size_scales(self, tmp_path: Path, size: tuple[int, int]) -> None:
        cv2.imwrite(str(tmp_path / "a.png"), flat((48, 32), RED))
        assert colours(open_source(str(tmp_path / "a.png"), size=size)) == [RED]

    @pytest.mark.parametrize(
        ("image", "wanted"),
        [
            (np.full((8, 8), 200, np.uint8), (200, 200, 200)),
            (np.full((8, 8), 200 * 257, np.uint16), (200, 200, 200)),
            (np.full((8, 8, 3), 200 * 257, np.uint16), (200, 200, 200)),
            (np.full((8, 8, 4), (10, 20, 30, 128), np.uint8), (10, 20, 30)),
        ],
    )
    def test_other_forms_become_bgr(
        self, tmp_path: Path, image: Image, wanted: tuple[int, int, int]
    ) -> None:
        cv2.imwrite(str(tmp_path / "a.png"), image)
        picture = read_picture(tmp_path / "a.png")
        assert picture.dtype == np.uint8
        assert (picture == np.full((8, 8, 3), wanted, np.uint8)).all()

    def test_exif_turns_it(self, tmp_path: Path) -> None:
        image = flat((64, 32), GREEN)
        image[:16, :32] = RED
        jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
        tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"  # orientation 6
        exif = b"Exif\0\0" + tiff
        block = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
        (tmp_path / "a.jpg").write_bytes(jpeg[:2] + block + jpeg[2:])
        picture = read_picture(tmp_path / "a.jpg")
        assert picture.shape == (64, 32, 3)
        assert near(tuple(picture[8, 24]), RED)
        assert near(tuple(picture[56, 8]), GREEN)

    def test_what_cannot_be_decoded_prints_nothing(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        data = cv2.imencode(".tiff", flat((64, 32), GREEN))[1].tobytes()
        (tmp_path / "a.tiff").write_bytes(data[: len(data) // 2])
        with pytest.raises(SourceError, match=r"a\.tiff is not a picture, or is damaged"):
            read_picture(tmp_path / "a.tiff")
        assert capfd.readouterr() == ("", "")

    def test_reopen_shows_it_again(self, tmp_path: Path) -> None:
        cv2.imwrite(str(tmp_path / "a.png"), flat((8, 8), RED))
        source = open_source(str(tmp_path / "a.png"))
        assert colours(source) == [RED]
        source.reopen()
        assert colours(source) == [RED]


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
        assert (source.size, source.frames, source.live) == ((160, 120), 3, False)
        found = colours(source)
        assert all(near(a, b) for a, b in zip(found, (RED, GREEN, BLUE), strict=True))

    def test_live(self, server: str) -> None:
        with open_source(f"{server}/live", size=(80, 60)) as source:
            assert source.live
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
    def test_silence(self, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("livecut.sources.TIMEOUT", 0.5)
        with socket.create_server(("127.0.0.1", 0)) as quiet:
            start = time.perf_counter()
            with pytest.raises(SourceError, match=r"sent nothing for 0\.5 s"):
                open_source(f"{scheme}://127.0.0.1:{quiet.getsockname()[1]}/a")
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
        "    print(source.name, source.live, source.frames, source.description)\n"
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
