"""The web preview: a page that shows what leaves, live, in any browser of this machine."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from urllib.parse import urlsplit

from livecut.clock import CLOCK, Clock
from livecut.errors import SinkError
from livecut.frame import Output, Size
from livecut.sinks.base import Sink, VideoInfo
from livecut.urls import public_url

HOST, PORT = "127.0.0.1", 8080


class Preview(Sink):
    """A page that shows the newest picture to any number of viewers, each at their own pace.

    A viewer who is slow misses pictures and holds nobody up. What a viewer gets is what was written
    while they watched; the last picture is a notice.
    """

    forms = ("http", "http://HOST:PORT")
    help = f"a page for browsers; http is http://{HOST}:{PORT}"
    paced = True

    def __init__(self, uri: str, size: Size, clock: Clock = CLOCK) -> None:
        """Listen at `uri`: "http", or "http://HOST:PORT"; port 0 is any free one.

        Raises SinkError.
        """
        from livecut.sinks.server import PictureServer, is_loopback

        super().__init__(uri, size)
        host, port = _address(uri)
        listening = _listen(uri, host, port)
        address, port = listening.getsockname()[:2]
        self.name = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        anywhere = ipaddress.ip_address(address).is_unspecified
        self.hints = (f"watch at {f'http://localhost:{port}' if anywhere else self.name}",)
        if not is_loopback(address):
            self.hints += (
                f"warning: whoever reaches this machine's port {port} can watch, and nothing is "
                f"encrypted; -o http://{HOST}:{port} is for this machine alone",
            )
        self.server = PictureServer(listening, size, clock)
        self._closed = False

    @classmethod
    def accepts(cls, uri: str) -> bool:
        return uri == "http" or uri.startswith(("http:", "https:"))

    @classmethod
    def open(cls, uri: str, video: VideoInfo) -> Preview:
        return cls(uri, video.size)

    @property
    def watched(self) -> bool:
        """Whether anyone watches at present."""
        return self.server.watched

    def write(self, output: Output) -> None:
        self.check(output.image)
        if self._closed:
            raise ValueError(f"{self.name} is closed")
        self.server.write(output)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.server.close()


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
        f"output '{public_url(uri)}' is no address to listen at; expected http://HOST:PORT with a "
        f"port up to 65535, as in http://{HOST}:{PORT}"
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
            errno.EADDRNOTAVAIL: f"{host} is no address of this machine; say {HOST}, or 0.0.0.0 "
            "for all that it has",
            errno.EACCES: f"no permission to listen at port {port}; those from 1024 on need none",
        }.get(e.errno or 0, os.strerror(e.errno or 0))
        raise SinkError(f"output '{uri}': {reason}") from e
    listening.setblocking(False)
    return listening
