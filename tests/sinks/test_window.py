"""The window, on an X server of its own, with real key presses."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from livecut.errors import SinkError
from livecut.frame import Image, Output
from livecut.sinks import open_sink
from livecut.sinks.window import Window
from livecut.testing import ManualClock
from tests.waiting import pause

W, H = 640, 360


@pytest.fixture
def clock() -> ManualClock:
    """The clock by which a window takes its notes away."""
    return ManualClock()


@pytest.fixture
def window(
    display: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> Iterator[Window]:
    monkeypatch.chdir(tmp_path)  # where `s` saves
    # Without a window manager, Qt sometimes never paints a window that follows another at once.
    for _ in range(5):
        with Window((W, H), clock=clock) as window:
            show(window)
            if screenshot().any():
                yield window
                return
        pause(0.5)
    pytest.fail("no window appears on the virtual screen")


def picture() -> tuple[Image, Image]:
    """A blue picture, and an alpha that is 255 in its right half."""
    image = np.full((H, W, 3), (160, 60, 20), np.uint8)
    alpha = np.zeros((H, W), np.uint8)
    alpha[:, W // 2 :] = 255
    return image, alpha


def show(window: Window, seconds: float = 0.4) -> list[str]:
    image, alpha = picture()
    keys = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        window.write(Output(image, alpha, 0, 0.0))
        keys += window.pressed()
        pause(0.02)
    assert np.array_equal(image, picture()[0]), "the window drew into the pipeline's picture"
    return keys


def press(window: Window, *names: str) -> list[str]:
    """Presses one key after the other; the names that the pipeline gets."""
    keys = []
    for name in names:
        subprocess.run(["xdotool", "key", name], check=True)
        keys += show(window)
    return keys


def screenshot() -> Image:
    png = subprocess.run(["import", "-window", "root", "png:-"], check=True, capture_output=True)
    shot = cv2.imdecode(np.frombuffer(png.stdout, np.uint8), cv2.IMREAD_COLOR)
    assert shot is not None
    return np.asarray(shot, np.uint8)[:H, :W]


class ClientMessage(ctypes.Structure):
    """XClientMessageEvent of <X11/Xlib.h>, padded to the size of an XEvent."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("serial", ctypes.c_ulong),
        ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong),
        ("message_type", ctypes.c_ulong),
        ("format", ctypes.c_int),
        ("data", ctypes.c_long * 5),
        ("padding", ctypes.c_long * 12),
    )


def ask_to_close(window: int) -> None:
    """What a window manager sends when its close button is clicked; older xdotools cannot."""
    x = ctypes.CDLL("libX11.so.6")
    x.XOpenDisplay.restype = ctypes.c_void_p
    x.XInternAtom.restype = ctypes.c_ulong
    display = ctypes.c_void_p(x.XOpenDisplay(None))
    protocols = x.XInternAtom(display, b"WM_PROTOCOLS", 0)
    delete = x.XInternAtom(display, b"WM_DELETE_WINDOW", 0)
    event = ClientMessage(type=33, window=window, message_type=protocols, format=32)
    event.data[0] = delete
    assert x.XSendEvent(display, ctypes.c_ulong(window), 0, ctypes.c_long(0), ctypes.byref(event))
    x.XCloseDisplay(display)


def test_window_shows_the_picture(window: Window) -> None:
    assert window.paced
    assert show(window) == []
    assert np.abs(screenshot()[H // 2, W // 2].astype(int) - (160, 60, 20)).max() <= 2


def test_keys_for_the_pipeline(window: Window) -> None:
    show(window)
    keys = press(window, "b", "plus", "equal", "minus", "h", "space", "x", "q", "Escape")
    assert keys == [
        "background", "blur+", "blur+", "blur-", "mirror", "freeze", "quit", "quit",
    ]  # fmt: skip


def test_a_key_is_for_all_windows_and_the_close_button_for_one(window: Window) -> None:
    with Window((320, 180), title="another") as other:
        image = np.full((180, 320, 3), (20, 60, 160), np.uint8)
        for _ in range(20):
            other.write(Output(image, None, 0, 0.0))
            show(window, 0.02)
        subprocess.run(["xdotool", "key", "b"], check=True)
        assert show(window) == ["background"]
        assert other.pressed() == ["background"]
        found = subprocess.run(
            ["xdotool", "search", "--name", "^another$"],
            check=True,
            capture_output=True,
            text=True,
        )
        ask_to_close(int(found.stdout.split()[0]))
        keys = list[str]()
        end = time.perf_counter() + 10
        while not keys and time.perf_counter() < end:
            assert show(window, 0.05) == []
            keys = other.pressed()
        assert keys == ["quit"]
        other.write(Output(image, None, 0, 0.0))


def test_overlays_are_drawn_and_go_away(window: Window) -> None:
    show(window)
    plain = screenshot()
    for name in ("question", "f", "m"):
        assert press(window, name) == []
        assert (screenshot() != plain).any(), name
        press(window, name)
        assert np.array_equal(screenshot(), plain), name


def test_mask_overlay_tints_the_person_green(window: Window) -> None:
    show(window)
    press(window, "m")
    shot = screenshot()
    assert shot[H // 2, W // 4].tolist() == pytest.approx([160, 60, 20], abs=2)
    assert shot[H // 2, 3 * W // 4].tolist() == pytest.approx([160, 60 + 127, 20], abs=2)


def test_a_placeholder_gets_no_mask(window: Window) -> None:
    show(window)
    press(window, "m")
    for _ in range(15):
        window.write(Output(np.full((H, W, 3), 40, np.uint8), None, 0, 0.0, "camera lost"))
        pause(0.05)
    assert screenshot()[H // 2, 3 * W // 4].tolist() == [40, 40, 40]


def test_statistics_come_from_the_pipeline(window: Window) -> None:
    asked = []

    def status() -> list[str]:
        asked.append(1)
        return ["30.0 fps", "age p50 18 ms"]

    window.status = status
    show(window)
    assert not asked
    press(window, "f")
    assert asked


def test_s_saves_what_was_shown_without_overlays(window: Window, tmp_path: Path) -> None:
    show(window)
    press(window, "question", "m", "s", "s")
    saved = sorted(tmp_path.iterdir())
    assert len(saved) == 2
    for path in saved:
        assert path.name.startswith("livecut-")
        assert np.array_equal(np.asarray(cv2.imread(str(path))), picture()[0])


def test_s_in_a_folder_that_is_gone_is_told_on_the_picture_for_a_while(
    window: Window, tmp_path: Path, clock: ManualClock
) -> None:
    show(window)
    plain = screenshot()
    tmp_path.rmdir()
    assert press(window, "s") == []
    assert (screenshot()[H // 2 :] != plain[H // 2 :]).any()
    clock.advance(2.4)
    show(window)
    assert (screenshot() != plain).any()
    clock.advance(0.2)
    show(window)
    assert np.array_equal(screenshot(), plain)


def test_closed_by_the_mouse_is_quit_once(window: Window) -> None:
    show(window)
    found = subprocess.run(
        ["xdotool", "search", "--onlyvisible", "--name", "^livecut$"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    ask_to_close(int(found.stdout.split()[-1]))
    assert show(window) == ["quit"]
    assert show(window) == []


def test_transparent_lies_on_a_checkerboard(display: str) -> None:
    image, alpha = picture()
    bgra = np.dstack([image, alpha])
    with Window((W, H), transparent=True) as window:
        for _ in range(100):
            window.write(Output(bgra, alpha, 0, 0.0))
            pause(0.02)
            if (shot := screenshot()).any():
                break
    assert len(np.unique(shot[:, : W // 2 - 2].reshape(-1, 3), axis=0)) == 2
    assert np.abs(shot[:, W // 2 + 2 :].astype(int) - (160, 60, 20)).max() <= 2


def test_two_after_each_other_and_close_twice(display: str) -> None:
    for _ in range(2):
        window = Window((W, H))
        show(window, 0.1)
        window.close()
        window.close()
        assert window.pressed() == []


def test_wrong_pictures_are_programming_errors(window: Window) -> None:
    with pytest.raises(ValueError, match=r"got a picture of \(10, 10, 3\), expected \(360, 640, 3"):
        window.write(Output(np.zeros((10, 10, 3), np.uint8), None, 0, 0.0))


@pytest.mark.skipif(sys.platform != "linux", reason="a display is a matter of X on Linux only")
@pytest.mark.parametrize("name", ["", ":4711", "localhost:4711"])
def test_no_display(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", name)
    with pytest.raises(SinkError, match=r"^no display: .*; name an output with -o$"):
        open_sink("window", size=(W, H), fps=30)
