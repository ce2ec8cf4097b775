"""Debian's Chromium without a screen, led through its debugging protocol."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import cv2
import numpy as np
from tornado.websocket import WebSocketClientConnection, websocket_connect

from livecut.frame import Image
from tests.waiting import wait_until

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "--window-size=1280,800",
)
PATIENCE = 30.0
ANSWER = 5.0
"""Seconds for one answer; a page that is being left gives none."""


class RefusedError(Exception):
    """The browser does not do it, as while it goes from one page to another."""


class Page:
    """A browser's page. What it complains of and what it asks for is collected."""

    def __init__(self, runner: asyncio.Runner, socket: WebSocketClientConnection) -> None:
        self._runner, self._socket, self._count = runner, socket, 0
        self.complaints: list[str] = []
        """What the console shows as a warning or an error, and exceptions."""
        self.requests: list[str] = []
        """The addresses that were asked for."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._runner.run(asyncio.wait_for(self._answer(method, params), ANSWER))

    async def _answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._count += 1
        sent = {"id": self._count, "method": method, "params": params}
        await self._socket.write_message(json.dumps(sent))
        while (message := await self._socket.read_message()) is not None:
            told = json.loads(message)
            if told.get("id") == self._count:
                if "error" in told:
                    raise RefusedError(told["error"])
                return dict(told["result"])
            if "method" in told:
                self._note(told["method"], told["params"])
        raise AssertionError("the browser has gone")

    def _note(self, event: str, params: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif event == "Log.entryAdded" and params["entry"]["level"] in ("warning", "error"):
            self.complaints.append(params["entry"]["text"])
        elif event == "Runtime.consoleAPICalled" and params["type"] in ("warning", "error"):
            self.complaints.append(str(params["args"]))
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))

    def open(self, address: str) -> None:
        self._call("Page.navigate", url=address)

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        return self._call("Runtime.evaluate", expression=script)["result"].get("value")

    def picture(self) -> Image:
        """The page as a person sees it, BGR."""
        data = self._call("Page.captureScreenshot", format="png")["data"]
        found = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        return np.asarray(found, np.uint8)

    def until(self, true: Callable[[Page], bool]) -> None:
        """Wait until something is true of the page."""

        def holds() -> bool:
            with suppress(RefusedError, TimeoutError):
                return true(self)
            return False

        wait_until(holds, PATIENCE, every=0.05)


async def _connect(address: str) -> WebSocketClientConnection:
    return await websocket_connect(address, max_message_size=2**26)


async def _read(socket: WebSocketClientConnection) -> str | bytes | None:
    return await socket.read_message()


@contextmanager
def browse(profile: Path) -> Iterator[Page]:
    """An empty page of a browser of its own; `profile` is an empty folder for it."""
    assert PROGRAM is not None
    command = [PROGRAM, *OPTIONS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    runner = asyncio.Runner()
    try:
        told = profile / "DevToolsActivePort"

        def answers() -> bool:
            assert process.poll() is None, "Chromium does not start"
            return told.exists() and "\n" in told.read_text()

        wait_until(answers, PATIENCE, every=0.05)
        with urlopen(f"http://127.0.0.1:{told.read_text().split()[0]}/json/list") as answer:
            [page] = [t for t in json.load(answer) if t["type"] == "page"]
        socket = runner.run(_connect(page["webSocketDebuggerUrl"]))
        yield Page(runner, socket)
        socket.close()
        while runner.run(_read(socket)) is not None:
            pass
    finally:
        process.terminate()
        process.wait()
        runner.close()
