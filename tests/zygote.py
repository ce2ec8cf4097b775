"""Processes that start with livecut imported already, so that a command costs no second of imports.

`run` is as `subprocess.run` of the command line: a process of its own each time, with its own
standard input, outputs, environment and exit status. It is forked from one that has done nothing
but imports.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEADER = 1 << 20
"""Bytes of a request, at most."""


def run(
    command: list[str], *, stdin: bytes, timeout: float, env: Mapping[str, str]
) -> subprocess.CompletedProcess[bytes]:
    """Run the command line livecut with these arguments; raises TimeoutExpired."""
    (source, into), (out, stdout), (err, stderr) = os.pipe(), os.pipe(), os.pipe()
    request = json.dumps({"command": command, "env": dict(env), "folder": os.getcwd()}).encode()
    server = _server()
    socket.send_fds(server, [request], [source, stdout, stderr])
    for end in (source, stdout, stderr):
        os.close(end)
    with ThreadPoolExecutor(3) as pool:
        pool.submit(_feed, into, stdin)
        found = [pool.submit(_drain, end) for end in (out, err)]
        pid = int(server.recv(64))
        server.settimeout(timeout)
        try:
            status = int(server.recv(64))
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            server.settimeout(None)
            server.recv(64)  # its exit status, which is not the next one's
            raise subprocess.TimeoutExpired(command, timeout) from None
        finally:
            server.settimeout(None)
        return subprocess.CompletedProcess(command, status, *(each.result() for each in found))


@cache
def _server() -> socket.socket:
    """The connection to the process that forks."""
    own, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        number = theirs.fileno()
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.zygote", str(number)], cwd=ROOT, pass_fds=[number]
        )

    def end() -> None:
        own.close()
        process.wait()

    atexit.register(end)
    return own


def _feed(pipe: int, data: bytes) -> None:
    with suppress(BrokenPipeError), os.fdopen(pipe, "wb") as file:
        file.write(data)


def _drain(pipe: int) -> bytes:
    with os.fdopen(pipe, "rb") as file:
        return file.read()


def _serve(number: int) -> None:
    """Fork a process for each request, and tell its id and exit status; returns in the forked."""
    import av  # noqa: F401
    import rich.progress
    import rich.table  # noqa: F401

    import livecut.commands.main
    import livecut.evaluation.pictures
    import livecut.pipeline.pipeline
    import livecut.sinks.video
    import livecut.sinks.window
    import livecut.sources.camera
    import livecut.sources.video  # noqa: F401

    # Not onnxruntime: its import starts a thread, which a fork does not take along.

    with socket.socket(fileno=number) as connection:
        while True:
            request, pipes, *_ = socket.recv_fds(connection, HEADER, 3)
            if not request:
                os._exit(0)
            pid = os.fork()
            if pid == 0:
                break
            for pipe in pipes:
                os.close(pipe)
            connection.send(str(pid).encode())
            connection.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())
    for target, pipe in enumerate(pipes):
        os.dup2(pipe, target)
        os.close(pipe)
    told = json.loads(request)
    os.chdir(told["folder"])
    os.environ.clear()
    os.environ.update(told["env"])
    sys.argv = ["livecut", *told["command"]]


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
    from livecut.commands.main import main

    main()
