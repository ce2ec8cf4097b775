"""What a person sees in a real browser: the web preview, and the report of `livecut bench`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from livecut import Pipeline
from livecut.bench import report
from livecut.bench.cases import Memory, held_frames
from livecut.frame import Image
from livecut.sinks.web import Preview
from tests.bench.test_bench import made_record
from tests.browser import PROGRAM, Page, browse

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed"),
]
GREEN = (64, 177, 0)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with browse(tmp_path / "profile") as page:
        yield page


@contextmanager
def running(uri: str, frames: list[Image]) -> Iterator[str]:
    """A live run over green with a preview; its address."""
    size = (frames[0].shape[1], frames[0].shape[0])
    with Preview(uri, size) as sink:
        pipeline = Pipeline(Memory(frames, realtime=True), "green", [sink])
        thread = threading.Thread(target=pipeline.run)
        thread.start()
        try:
            yield sink.name
        finally:
            pipeline.stop()
            thread.join()


def over_green(page: Page) -> bool:
    """Whether the picture shows, and is green at the person's left."""
    found = page.picture()
    height, width = found.shape[:2]
    side = found[height // 8 : height // 2, width * 3 // 4 : width * 7 // 8]
    return bool(np.abs(side.astype(int) - GREEN).max() < 12)


def test_preview(page: Page, tmp_path: Path) -> None:
    """It shows a moving person and no room, a notice when the run ends, and the next run."""
    frames = held_frames((640, 360))[:60]
    with running("http://127.0.0.1:0", frames) as address:
        page.open(address)
        page.until(over_green)
        first = page.picture()
        page.until(lambda page: bool((np.abs(page.picture().astype(int) - first) > 60).sum() > 500))
        assert first.std() > 20, "a person is to be seen"
        assert page.complaints == []
    page.until(lambda page: page.evaluate("document.body.className") == "lost")
    gone = page.picture()
    assert not (np.abs(gone.astype(int) - GREEN).max(axis=-1) < 40).any()
    assert gone.max() > 150, "it says why there is no picture"
    with running(address, frames):
        page.until(over_green)


def test_report(page: Page, tmp_path: Path) -> None:
    """It needs no other file, and all of it is to be seen in a window of usual size."""
    path = tmp_path / "found" / "report.html"
    report.save(made_record(5.0, 6.0), path.parent, plots=True)
    page.open(path.as_uri())
    page.until(lambda page: page.evaluate("document.readyState") == "complete")
    assert page.evaluate("document.images.length") >= 2
    assert page.evaluate("[...document.images].every(i => i.naturalWidth > 0)")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert "livecut bench" in page.evaluate("document.body.innerText")
    assert [url for url in page.requests if not url.startswith("data:")] == [path.as_uri()]
    assert page.complaints == []
