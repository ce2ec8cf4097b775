"""The web preview: a page that shows what leaves, live, in any browser of this machine.

`/` is the page and `/stream` the pictures alone, as JPEGs one after another (multipart/x-mixed-replace),
which players and livecut's own source read too. The server, Tornado's, has a thread of its own: the
pipeline's only copies a picture for it, and that only while someone watches.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.web import Application, HTTPError, RequestHandler

from livecut.errors import SinkError
from livecut.frame import BGR, Image, Output, frame_buffers
from livecut.overlay import draw_notice
from livecut.sinks.base import Sink
from livecut.slot import Slot

HOST, PORT = "127.0.0.1", 8080
STARTING, ENDED = "starting: no picture has come yet", "the run has ended"
QUALITY = 85
"""Of the JPEGs, 0 to 100."""
HELD = 128 * 1024
"""Bytes that the system may hold for a viewer who does not keep up: the less, the newer what they see."""
PATIENCE = 10.0
"""Seconds after which a viewer who takes nothing is let go."""
FAREWELL = 1.0
"""Seconds that viewers have to take the last picture, which says that the run has ended."""
BOUNDARY = b"--picture\r\n"


class Preview(Sink):
    """A web server that shows the newest picture to any number of viewers, each at their own pace.

    A viewer who is slow misses pictures and holds nobody up. What a viewer gets is what was written
    while they watched: no picture is kept for those who come later, and the last one is a notice.
    """

    paced = True

    def __init__(self, uri: str, size: tuple[int, int]) -> None:
        """Listens at `uri`: "http", or "http://HOST:PORT"; port 0 is any free one. Raises SinkError."""
        super().__init__(uri, size)
        host, port = _address(uri)
        self._socket = _listen(uri, host, port)
        address, port = self._socket.getsockname()[:2]
        self.name = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self.local = _is_loopback(address)
        anywhere = ipaddress.ip_address(address).is_unspecified
        self.hints = (f"watch at {f'http://localhost:{port}' if anywhere else self.name}",)
        if not self.local:
            self.hints += (
                f"warning: whoever reaches this machine's port {port} can watch, and nothing is "
                f"encrypted; -o http://{HOST}:{port} is for this machine alone",
            )
        self._size = size
        self._slot = Slot[Output](frame_buffers(BGR, size, 3))
        self._viewers: set[asyncio.Task[None]] = set()
        self._part: bytes | None = encoded(draw_notice(STARTING, size))
        self._written = self._closed = False
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="preview", daemon=True)
        self._thread.start()
        self._ready.wait()

    @property
    def watched(self) -> bool:
        """Whether anyone watches at present."""
        return bool(self._viewers)

    def write(self, output: Output) -> None:
        self._check(output.image)
        if self._closed:
            raise ValueError(f"{self.name} is closed")
        if self._viewers:
            image = self._slot.writable().picture
            np.copyto(image, output.image)
            self._slot.put(Output(image, None, output.index, output.timestamp, output.reason))
            self._loop.call_soon_threadsafe(self._encode)
        elif not self._written:
            self._loop.call_soon_threadsafe(self._publish, None)
        self._written = True

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join(timeout=2 * FAREWELL)

    # what follows runs on the server's thread

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended, self._renewed = asyncio.Event(), asyncio.Event()
        routes = [("/", _Page), ("/stream", _Stream)]
        application = Application(routes, preview=self, log_function=lambda handler: None)
        server = HTTPServer(application)
        server.add_socket(self._socket)
        self._ready.set()
        await self._ended.wait()
        server.stop()
        self._publish(encoded(draw_notice(ENDED, self._size)))
        if self._viewers:
            await asyncio.wait(self._viewers, timeout=FAREWELL)
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
                await asyncio.wait_for(viewer.flush(), PATIENCE)
                if last:
                    break
                await renewed.wait()
        finally:
            self._viewers.discard(task)
            if not self._viewers and self._written:
                self._part = None  # which would be old when the next viewer comes


class _Handler(RequestHandler):
    """Answers nobody who was led here by another site's name or page."""

    preview: Preview

    def initialize(self) -> None:
        self.preview = self.settings["preview"]

    def prepare(self) -> None:
        host = self.request.host_name.strip("[]")
        if self.preview.local and host != "localhost" and not _is_loopback(host):
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
            await self.preview.follow(self)
        except (StreamClosedError, TimeoutError):
            connection.stream.close()


def encoded(image: Image) -> bytes:
    """A BGR picture as a part of the stream, the boundary behind it included: only that says it is whole."""
    _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    return head.encode("ascii") + jpeg.tobytes() + b"\r\n" + BOUNDARY


def _address(uri: str) -> tuple[str, int]:
    """Host and port of "http" or "http://HOST:PORT". Raises SinkError."""
    if uri == "http":
        return HOST, PORT
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, PORT if parts.port is None else parts.port
        if host and uri.rstrip("/") == f"http://{parts.netloc}" and "@" not in uri:
            return host, port
    except ValueError:  # a port that is no number up to 65535, a bracket that is not closed
        pass
    raise SinkError(
        f"output '{uri}' is no address to listen at; expected http://HOST:PORT with a port up to "
        f"65535, as in http://{HOST}:{PORT}"
    )


def _listen(uri: str, host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises SinkError."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as e:
        raise SinkError(
            f"output '{uri}': there is no host '{host}'; say {HOST} for this machine alone"
        ) from e
    try:
        listening = socket.create_server(address[:2], family=family, backlog=128)
    except OSError as e:
        reason = {
            errno.EADDRINUSE: f"port {port} is in use; choose another with -o http://HOST:PORT",
            errno.EADDRNOTAVAIL: f"{host} is no address of this machine; say {HOST}, or 0.0.0.0 for "
            "all that it has",
            errno.EACCES: f"no permission to listen at port {port}; those from 1024 on need none",
        }.get(e.errno or 0, os.strerror(e.errno or 0))
        raise SinkError(f"output '{uri}': {reason}") from e
    listening.setblocking(False)
    return listening


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
