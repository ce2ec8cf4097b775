"""Nobody sees a password, wherever a URL is shown."""

from __future__ import annotations

import pytest

from livecut.errors import LivecutError, SourceError
from livecut.urls import public_url, redact


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://192.0.2.7/cam", "rtsp://192.0.2.7/cam"),
        ("rtsp://me:secret@192.0.2.7:554/cam", "rtsp://192.0.2.7:554/cam"),
        ("rtsp://secret@host/cam", "rtsp://host/cam"),
        ("rtsp://me:secret@[2001:db8::7]:554/cam", "rtsp://[2001:db8::7]:554/cam"),
        ("RTSPS://me:secret@host/cam", "RTSPS://host/cam"),
        ("https://host/live.m3u8?token=secret", "https://host/live.m3u8"),
        ("https://host/live#secret", "https://host/live"),
        ("https://host?secret", "https://host"),
        ("srt://host:9000?passphrase=secret&mode=caller", "srt://host:9000"),
        ("http://me:secret@host/a?mail=me@secret", "http://host/a"),
        ("rtsp://me:se@cret@host/cam", "rtsp://host/cam"),
        ("rtsp://me:secret secret'\"@host/cam", "rtsp://host/cam"),
        ("rtsp://me:secret/secret@host/cam", "rtsp://host/cam"),
        ("rtsp://me:secret?secret@host/cam", "rtsp://host/cam"),
        ("rtsp://me:secret#secret@host/cam?secret", "rtsp://host/cam"),
        ("rtsp://me:12/34secret@host/cam", "rtsp://host/cam"),
        ("rtsp://me:secret", "rtsp://me"),
        ("rtsp:/me:secret@host/cam", "rtsp:/host/cam"),
        ("x://me:secret@host/cam", "x://host/cam"),
        ("me:secret@host/cam", "host/cam"),
        ("film@2x.mp4", "film@2x.mp4"),
        ("films/a:b?c@d.mp4", "films/a:b?c@d.mp4"),
        ("C:\\films\\a@b.mp4", "C:\\films\\a@b.mp4"),
        ("C:/films/a@b.mp4", "C:/films/a@b.mp4"),
        ("0", "0"),
        ("-", "-"),
        ("blur:0.8", "blur:0.8"),
        ("", ""),
    ],
)
def test_url_is_shown_without_what_is_private(url: str, shown: str) -> None:
    assert public_url(url) == shown
    assert public_url(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no", "no"),
        ("source 1 (rtsp://me:secret@h/x?k=secret): lost", "source 1 (rtsp://h/x): lost"),
        ("'http://h/x?secret' and http://secret@h, too.", "'http://h/x' and http://h, too."),
        ("there is no file 'me:secret@h/x'; give one", "there is no file 'h/x'; give one"),
        (
            "http://127.0.0.1:8080: port 8080 is in use",
            "http://127.0.0.1:8080: port 8080 is in use",
        ),
        ("write to a@b.org, at 10:30", "write to a@b.org, at 10:30"),
        ("rtsp://, http:// are known", "rtsp://, http:// are known"),
    ],
)
def test_urls_in_a_text(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert redact(shown) == shown


def test_errors_hold_no_password() -> None:
    for kind in (LivecutError, SourceError):
        error = kind("rtsp://me:secret@h/x?k=secret is not there")
        assert str(error) == "rtsp://h/x is not there"
        assert error.args == ("rtsp://h/x is not there",)
