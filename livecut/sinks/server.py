"""The web server behind `-o http`: a page, and a stream of JPEGs one after another.

`/` is the page and `/stream` the pictures alone (multipart/x-mixed-replace), which players and
livecut's own source read too. The server, Tornado's, has a thread of its own.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.web import Application, HTTPError, RequestHandler

from livecut.clock import Clock
from livecut.frame import BGR, Image, Output, Size, frame_buffers
from livecut.overlay import draw_notice
from livecut.slot import Slot

STARTING, ENDED = "starting: no picture has come yet", "the run has ended"
QUALITY = 85
"""Quality of the JPEGs, 0 to 100."""
HELD = 128 * 1024
"""Bytes that the system may hold for a viewer who does not keep up: the less, the newer what they
see."""
PATIENCE = 10.0
"""Seconds after which a viewer who takes nothing is let go."""
FAREWELL = 1.0
"""Seconds that viewers have to take the last picture, which says that the run has ended."""
BOUNDARY = b"--picture\r\n"


class PictureServer:
    """Serves the newest picture to any number of viewers, each at their own pace.

    No picture is kept for a viewer who comes later. A picture is copied only while someone watches.
    """

    def __init__(self, listening: socket.socket, size: Size, clock: Clock) -> None:
        """Serve at a socket that listens; `size` is (width, height) of the pictures."""
        self._socket, self._size, self._clock = listening, size, clock
        self._local = is_loopback(listening.getsockname()[0])
        self._slot = Slot[Output](frame_buffers(BGR, size, 3))
        self._viewers: set[asyncio.Task[None]] = set()
        self._part: bytes | None = encoded(draw_notice(STARTING, size))
        self._written = False
        self._ready = threading.Event()
        self.thread = threading.Thread(target=self._run, name="preview", daemon=True)
        self.thread.start()
        self._ready.wait()

    @property
    def watched(self) -> bool:
        """Whether anyone watches at present."""
        return bool(self._viewers)

    def admits(self, host: str) -> bool:
        """Whether a request that calls this machine `host` is answered.

        A server for this machine alone answers to its own names only: another site's name may
        have been pointed at it.
        """
        return not self._local or host == "localhost" or is_loopback(host)

    def write(self, output: Output) -> None:
        """Take a picture, BGR; it is copied where someone watches, else dropped."""
        if self._viewers:
            image = self._slot.writable().picture
            np.copyto(image, output.image)
            self._slot.put(Output(image, None, output.index, output.timestamp, output.reason))
            self._loop.call_soon_threadsafe(self._encode)
        elif not self._written:
            self._loop.call_soon_threadsafe(self._publish, None)
        self._written = True

    def close(self) -> None:
        """Show a notice as the last picture, and end; waits for viewers no longer than 2 s."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._clock.join(self.thread, 2 * FAREWELL)

    # what follows runs on the server's thread

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended, self._renewed = asyncio.Event(), asyncio.Event()
        routes = [("/", _Page), ("/stream", _Stream)]
        application = Application(routes, pictures=self, log_function=lambda handler: None)
        server = HTTPServer(application)
        server.add_socket(self._socket)
        self._ready.set()
        await self._ended.wait()
        server.stop()
        self._publish(encoded(draw_notice(ENDED, self._size)))
        if self._viewers:
            with suppress(TimeoutError):
                await self._clock.within(asyncio.wait(self._viewers), FAREWELL)
        await server.close_all_connections()

    def _encode(self) -> None:
        """Publish the newest picture; several calls may be one picture's."""
        newest = self._slot.get(timeout=0)
        if newest is not None and self._viewers and not self._ended.is_set():
            self._publish(encoded(newest.image))

    def _publish(self, part: bytes | None) -> None:
        self._part = part
        self._renewed.set()
        self._renewed = asyncio.Event()

    async def follow(self, viewer: RequestHandler) -> None:
        """Send a viewer the newest picture again and again, until the run ends or they go."""
        task = asyncio.current_task()
        assert task is not None
        self._viewers.add(task)
        try:
            viewer.write(BOUNDARY)
            while True:
                part, renewed, last = self._part, self._renewed, self._ended.is_set()
                if part is not None:
                    viewer.write(part)
                await self._clock.within(viewer.flush(), PATIENCE)
                if last:
                    break
                await renewed.wait()
        finally:
            self._viewers.discard(task)
            if not self._viewers and self._written:
                self._part = None  # which would be old when the next viewer comes


class _Handler(RequestHandler):
    """Answers nobody who was led here by another site's name or page."""

    pictures: PictureServer

    def initialize(self) -> None:
        self.pictures = self.settings["pictures"]

    def prepare(self) -> None:
        if not self.pictures.admits(self.request.host_name.strip("[]")):
            raise HTTPError(403)

    def set_default_headers(self) -> None:
        self.set_header("Cache-Control", "no-store")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")


class _Page(_Handler):
    def get(self) -> None:
        self.write((Path(__file__).parents[1] / "assets" / "preview.html").read_text("utf-8"))


class _Stream(_Handler):
    async def get(self) -> None:
        self.set_header("Content-Type", "multipart/x-mixed-replace; boundary=picture")
        connection = self.request.connection
        assert isinstance(connection, HTTP1Connection)
        connection.stream.set_nodelay(True)
        connection.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, HELD)
        try:
            await self.pictures.follow(self)
        except (StreamClosedError, TimeoutError):
            connection.stream.close()


def encoded(image: Image) -> bytes:
    """A BGR picture as a part of the stream, with the boundary behind it, which ends it."""
    _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    return head.encode("ascii") + jpeg.tobytes() + b"\r\n" + BOUNDARY


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own, as 127.0.0.1 and ::1 are."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
