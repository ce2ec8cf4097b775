"""The options of `livecut bench`: the facts of a case, each of which may be swept, and the rest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from livecut.options import Option, ProcessorOptions
from livecut.pipeline.options import PipelineOptions

PATHS = {
    "memory": "BGR frames in memory in, composited frames in memory out, one after another",
    "decode": "an H.264 file in, composited frames in memory out",
    "encode": "BGR frames in memory in, an H.264 file out",
    "folder": "BGR frames in memory in, a folder of PNGs out",
    "paced": "frames given at 30 per second to the live threads, as a camera gives them",
    "pipe": "as paced, out as YUV4MPEG2 through a pipe, and read there",
    "web": "as paced, out through the web preview, and read from its stream",
    "window": "as paced, shown in a window, and read from the screen",
    "virtual": "as paced, out through a v4l2loopback, and read there as from a camera",
}
"""How frames come and go. The first leaves reading and writing out, the others do not."""
ROUNDS, SECONDS = 5, 4.0
"""Rounds over all cases and seconds of each round of a case, where none are given."""
QUICK_ROUNDS, QUICK_SECONDS = 2, 2.0
"""The same with --quick."""


@dataclass(frozen=True, kw_only=True)
class Case(ProcessorOptions):
    """One thing to be measured."""

    size: Annotated[tuple[int, int], Option("Frames of this size.")] = (1280, 720)
    background: Annotated[str, Option("As for livecut run.", short="-b")] = (
        PipelineOptions.background
    )
    path: Annotated[
        str,
        Option(
            "How frames come and go. From paced on: 30 a second through the live threads; the last "
            "four are read back where they arrive.",
            choices=tuple(PATHS),
        ),
    ] = "memory"
    in_flight: Annotated[int, Option("Frames worked on at once; 0: 1.", at_least=0, at_most=8)] = 0
    streams: Annotated[
        int, Option("Pipelines at once in one process.", at_least=1, at_most=256)
    ] = 1

    @property
    def name(self) -> str:
        """A name as a person would write it, the defaults left out; no other case has the same."""
        usual = Case(size=self.size)
        parts = [
            self.model if self.model != usual.model else "",
            self.engine if self.engine != usual.engine else "",
            f"on {self.device}" if self.device != usual.device else "",
            self.precision if self.precision != usual.precision else "",
            f"{self.threads} threads" if self.threads else "",
            f"{self.in_flight} in flight" if self.in_flight else "",
            f"{self.streams} streams" if self.streams > 1 else "",
        ]
        width, height = self.size
        return " ".join([f"{width}x{height}", self.background, self.path, *filter(None, parts)])

    @property
    def alone(self) -> Case:
        """The case as far as it matters in a process of its own, see `livecut.bench.cold_start`."""
        return replace(self, path="paced", in_flight=0)

    @property
    def bytes_per_frame(self) -> int:
        """Bytes that the passes over the full-size picture read and write, the network's apart.

        Per pixel: 3 to reduce the frame, 4 for its grey, 2 to make alpha of that; then for `blur` 1
        to reduce alpha and 7 to composite, for a picture or colour 10, for `transparent` 8.
        """
        last = {"blur": 8, "transparent": 8}.get(self.background.partition(":")[0], 10)
        return (9 + last) * self.size[0] * self.size[1]


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """Everything that `livecut bench` may be told besides its cases."""

    quick: Annotated[bool, Option("Three cases in under a minute.")] = False
    rounds: Annotated[
        int | None,
        Option(f"Rounds over all cases.  [default: {ROUNDS}; quick: {QUICK_ROUNDS}]", at_least=1),
    ] = None
    seconds: Annotated[
        float | None,
        Option(
            f"Measured in each round of a case.  [default: {SECONDS:g}; quick: {QUICK_SECONDS:g}]",
            at_least=0.1,
            at_most=3600,
        ),
    ] = None
    output: Annotated[
        Path | None,
        Option("Folder for bench.json, report.md, report.html and the plots.", short="-o"),
    ] = None
    compare: Annotated[
        tuple[Path, Path] | None,
        Option(
            "Measure nothing; tell how B differs from A, and exit with 1 where it is slower.",
            metavar="A.json B.json",
        ),
    ] = None
    limit: Annotated[
        float, Option("Percent by which a case's p50 may be slower in --compare.", at_least=0)
    ] = 10.0
