"""The window: shows what leaves, takes keys, and draws overlays that leave nowhere else."""

from __future__ import annotations

import ctypes
import os
import sys
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from livecut.clock import CLOCK, Clock
from livecut.errors import SinkError
from livecut.frame import Image, Output, Size
from livecut.options import TITLE
from livecut.pictures import save_picture
from livecut.sinks.base import Sink, VideoInfo

HELP = [
    ("q, Esc", "quit"),
    ("b", "next background"),
    ("+ -", "more or less blur"),
    ("m", "mask overlay"),
    ("h", "mirror"),
    ("f", "statistics"),
    ("s", "save a picture"),
    ("space", "freeze"),
    ("?", "this help"),
]
_ACTIONS = {
    "q": "quit",
    "\x1b": "quit",
    "b": "background",
    "+": "blur+",
    "=": "blur+",
    "-": "blur-",
    "_": "blur-",
    "h": "mirror",
    " ": "freeze",
}
_KEYPAD = {0xFFAB: "+", 0xFFAD: "-"}
_WIDEST = 1280
_NOTE_SECONDS = 2.5
"""Seconds for which the window says where a picture was saved."""


class Window(Sink):
    """A window on the screen, for the main thread only. Transparent pictures lie on a checkerboard.

    The overlays are drawn into a copy: neither the picture given nor the one that `s` saves has
    them. Nothing is shown or saved but pictures that were written here. A key is for all windows
    that are open: OpenCV does not tell in which it was pressed.
    """

    forms = ("window",)
    help = "a window, the default; ? shows its keys"
    per_source = True
    paced = True
    _all: ClassVar[list[Window]] = []

    def __init__(
        self,
        size: Size,
        *,
        transparent: bool = False,
        title: str = TITLE,
        clock: Clock = CLOCK,
    ) -> None:
        """Open it, `size` (width, height) but 1280 wide at most. Raises SinkError: no display."""
        channels = 4 if transparent else 3
        super().__init__("window", size, (channels,))
        require_display()
        width, height = size
        self.title, self._clock = title, clock
        self._latest = np.empty((height, width, channels), np.uint8)
        self._alpha: Image = np.zeros((height, width), np.uint8)
        self._view = np.empty((height, width, 3), np.uint8)
        self._layer = np.zeros((height, width, 3), np.uint8)
        self._board = _checkerboard(size) if transparent else None
        self._any = self._placeholder = False
        self._mask = self._statistics = self._help = False
        self._note, self._note_until = "", 0.0
        self._pressed: list[str] = []
        self._open = True
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
            shown = min(width, _WIDEST)
            cv2.resizeWindow(title, shown, max(1, round(height * shown / width)))
        except cv2.error as e:
            self._open = False
            raise SinkError(
                "this OpenCV cannot open windows; name an output with -o, or install opencv-python "
                "in place of opencv-python-headless"
            ) from e
        self._all.append(self)

    @classmethod
    def holds_alpha(cls, uri: str) -> bool:
        return True

    @classmethod
    def open(cls, uri: str, video: VideoInfo) -> Window:
        return cls(video.size, transparent=video.transparent, title=video.title)

    def write(self, output: Output) -> None:
        self.check(output.image)
        self.on_main(partial(self._write, output))

    def _write(self, output: Output) -> None:
        np.copyto(self._latest, output.image)
        self._placeholder = output.alpha is None
        if output.alpha is not None:
            np.copyto(self._alpha, output.alpha)
        self._any = True
        self._show()
        self._take_keys()

    def pressed(self) -> list[str]:
        """Actions of the keys pressed since the last call: quit, background, blur+, mirror, …"""
        self.on_main(self._take_keys)
        pressed, self._pressed = self._pressed, []
        return pressed

    def close(self) -> None:
        if self._open:
            self.on_main(self._close)

    def _close(self) -> None:
        if self._open:
            self._open = False
            self._all.remove(self)
            try:
                cv2.destroyWindow(self.title)
                cv2.pollKey()  # lets it disappear
            except cv2.error:
                pass  # its user has closed it

    def _take_keys(self) -> None:
        while self._open and (code := _poll_key()) != -1:
            # A key without a character (Shift, an arrow) has bits above the lowest eight.
            key = _KEYPAD.get(code & 0xFFFF) or (chr(code & 0xFF) if not code & 0xFF00 else "")
            for window in self._all:
                window._act(key.lower())
        if self._open and self._any and not _visible(self.title):
            self._close()
            self._pressed.append("quit")

    def _act(self, key: str) -> None:
        if key in _ACTIONS:
            self._pressed.append(_ACTIONS[key])
        if key not in ("m", "f", "?", "s"):
            return
        if key == "m":
            self._mask = not self._mask
        elif key == "f":
            self._statistics = not self._statistics
        elif key == "?":
            self._help = not self._help
        elif self._any:
            self._save()
        if self._any:
            self._show()  # at once, even where no new picture comes

    def _save(self) -> None:
        path = _free_name()
        try:
            save_picture(path, self._latest)
            self._note = f"saved {path.name}"
        except SinkError as e:
            self._note = str(e)
        self._note_until = self._clock.now() + _NOTE_SECONDS

    def _show(self) -> None:
        if not self._open:
            return
        if self._board is not None:
            self._blend_over_board(self._board)
        else:
            np.copyto(self._view, self._latest)
        if self._mask and not self._placeholder:
            self._layer[...] = 0
            cv2.insertChannel(self._alpha, self._layer, 1)
            cv2.addWeighted(self._view, 1.0, self._layer, 0.5, 0.0, dst=self._view)
        if self._statistics:
            lines = self.status() or ["no figures yet"]
            _draw_table(self._view, [(line, "") for line in lines])
        if self._help:
            _draw_table(self._view, HELP, right=self._statistics)
        if self._clock.now() < self._note_until:
            _draw_table(self._view, [(self._note, "")], bottom=True)
        cv2.imshow(self.title, self._view)

    def _blend_over_board(self, board: Image) -> None:
        """Lays the BGRA picture over the board: picture * a + board * (1 - a)."""
        cv2.cvtColor(self._latest, cv2.COLOR_BGRA2BGR, dst=self._view)
        cv2.mixChannels([self._latest], [self._layer], [3, 0, 3, 1, 3, 2])
        cv2.multiply(self._view, self._layer, dst=self._view, scale=1 / 255)
        cv2.bitwise_not(self._layer, dst=self._layer)
        cv2.multiply(board, self._layer, dst=self._layer, scale=1 / 255)
        cv2.add(self._view, self._layer, dst=self._view)


def _poll_key() -> int:
    """The key pressed, -1 for none; handles the window's events, so that it can close here."""
    try:
        return cv2.pollKey()
    except cv2.error:  # Qt, of a window that its user has closed
        return -1


def _visible(title: str) -> bool:
    try:
        return cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) >= 1
    except cv2.error:  # Qt, of a window that its user has closed
        return False


def _draw_table(
    image: Image, rows: list[tuple[str, str]], *, bottom: bool = False, right: bool = False
) -> None:
    """Writes rows of two columns in a corner of a BGR picture, white on a darkened box."""
    height, width = image.shape[:2]
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, max(0.4, min(height / 900, width / 1600))
    thickness = max(1, round(scale * 1.6))
    step, margin = round(scale * 34), round(scale * 16)

    def widest(texts: list[str]) -> int:
        return max(cv2.getTextSize(text, font, scale, thickness)[0][0] for text in texts)

    firsts, seconds = [row[0] for row in rows], [row[1] for row in rows]
    indent = widest(firsts) + 2 * margin if any(seconds) else 0
    box_width = max(widest(firsts), indent + widest(seconds)) + 2 * margin
    box_height = step * len(rows) + margin
    x = max(0, width - box_width - margin) if right else min(margin, width - 1)
    y = max(0, height - box_height - margin) if bottom else min(margin, height - 1)
    box = image[y : y + box_height, x : x + box_width]
    cv2.convertScaleAbs(box, dst=box, alpha=0.25)
    for i, row in enumerate(rows):
        base = y + step * (i + 1)
        for left, text in ((x + margin, row[0]), (x + margin + indent, row[1])):
            cv2.putText(
                image, text, (left, base), font, scale, (255, 255, 255), thickness, cv2.LINE_AA
            )


def _checkerboard(size: tuple[int, int]) -> Image:
    """A grey checkerboard, BGR (H, W, 3), as drawing programs show what is transparent."""
    y, x = np.ogrid[: size[1], : size[0]]
    dark = (x // 16 + y // 16) % 2 == 1
    return np.where(dark[..., None], np.uint8(160), np.uint8(224)).repeat(3, axis=2)


def _free_name() -> Path:
    """livecut-YYYYMMDD-HHMMSS.png in the working folder, with -2, -3, … where it is taken."""
    stem = f"livecut-{datetime.now():%Y%m%d-%H%M%S}"
    path, n = Path(f"{stem}.png"), 1
    while path.exists():
        n += 1
        path = Path(f"{stem}-{n}.png")
    return path


def require_display() -> None:
    """Raises SinkError where a window cannot be opened: OpenCV's Qt would abort the process."""
    if sys.platform != "linux":
        return
    name = os.environ.get("DISPLAY")
    if name:
        if not _connects_to_x():
            raise SinkError(
                f"no display: nothing answers at DISPLAY={name}; name an output with -o"
            )
    elif not os.environ.get("WAYLAND_DISPLAY") or cv2.currentUIFramework().startswith("QT"):
        # The Qt inside opencv-python speaks X only; under Wayland it goes through XWayland.
        raise SinkError("no display: DISPLAY is not set; name an output with -o")


def _connects_to_x() -> bool:
    """Does just what Qt is about to do, permission included."""
    try:
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError:
        return False
    xcb.xcb_connect.restype = ctypes.c_void_p
    connection = ctypes.c_void_p(xcb.xcb_connect(None, None))
    failed = xcb.xcb_connection_has_error(connection)
    xcb.xcb_disconnect(connection)
    return not failed
