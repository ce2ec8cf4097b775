"""What all tests share: Ctrl-C that reaches them, and a screen of their own.

Qt keeps to the first screen that it sees, so there is one for all of them.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Python's own answer to SIGINT, which a shell lets background jobs ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache folder of the tests' own: nothing of the user's is read or written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("LIVECUT_ENGINE", raising=False)
        yield


@pytest.fixture(scope="session")
def screen() -> Iterator[str]:
    """The number of a virtual screen of 800x600 pixels."""
    for program in ("Xvfb", "xdotool", "import"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "800x600x24"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as answer:
        number = answer.readline().strip()
    if not number:
        server.wait()
        pytest.skip("Xvfb does not start here")
    yield number
    server.terminate()
    server.wait()


@pytest.fixture(scope="module")
def display(screen: str) -> Iterator[str]:
    """The screen, for all that is started meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISPLAY", f":{screen}")
        yield screen
