"""What `open_source` makes of a word, pictures, and clear errors for the rest."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from livecut.errors import SourceError
from livecut.frame import Image
from livecut.hardware import v4l2
from livecut.pictures import read_picture
from livecut.sources import open_source
from livecut.sources.picture import Picture
from tests.clips import GREEN, RED, colours, flat, near, write


class TestBadFiles:
    def test_missing(self) -> None:
        with pytest.raises(SourceError, match=r"no file 'nowhere\.mp4'; give one of: 0, .*demo"):
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
        with pytest.raises(SourceError, match="--fps 30 can be asked of a camera or a video file"):
            open_source("-", fps=30)
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
        monkeypatch.setattr("livecut.hardware.v4l2.devices", lambda: found)
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
        assert (source.size, source.fps, source.frames, source.realtime) == (
            (48, 32),
            30.0,
            1,
            False,
        )
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
