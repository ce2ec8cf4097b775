"""Each kernel and stage on its own, beside the time in which its bytes can be copied.

    python -m pytest benchmarks/kernels.py

Bytes are those that a pass must read and write at full size; what is smaller counts for nothing.
The floor is the rate of a plain copy of the same frame in the same run, on one thread; the caches
are warm for all alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture
from rich.console import Console

from livecut.backgrounds import open_background
from livecut.bench.cases import held_frames
from livecut.engines import open_engine
from livecut.frame import Cutout, Frame, Image
from livecut.kernels import composite as composites
from livecut.kernels import guided_filter as guided
from livecut.kernels import smoothing
from livecut.kernels.edges import EdgeColourEstimator
from livecut.kernels.guided_filter import GuidedFilter
from livecut.kernels.pixels import I420
from livecut.kernels.resize import reduce
from livecut.models import Target, input_size
from livecut.segmenter import Segmenter
from livecut.sinks.server import encoded
from livecut.stats import number_table

SIZES = ((1280, 720), (1920, 1080))
AREA = 256 * 144


@dataclass
class Scene:
    """A frame of the demo clip and its alpha, both also at the network's size."""

    size: tuple[int, int]
    frame: Frame
    alpha: Image
    small: Image
    small_alpha: NDArray[np.float32]


@pytest.fixture(scope="module", params=SIZES, ids=lambda size: f"{size[1]}p")
def scene(request: pytest.FixtureRequest) -> Scene:
    """The scene at each of `SIZES`."""
    size: tuple[int, int] = request.param
    image = held_frames(size)[0]
    small = np.asarray(cv2.resize(image, input_size(*size, AREA, 16)), np.uint8)
    alpha = Segmenter(device="cpu")(image)
    half = (small.shape[1] // 2, small.shape[0] // 2)
    small_alpha = np.asarray(cv2.resize(alpha, half), np.float32) / 255
    return Scene(size, Frame(image, 0, 0.0, 0.0), alpha, small, small_alpha.astype(np.float32))


Prepared = tuple[Callable[[], object], float]


def copy(s: Scene) -> Prepared:
    """A plain copy of the frame: what the floor is made of."""
    out = np.empty_like(s.frame.image)
    return lambda: np.copyto(out, s.frame.image), 6


def reduction(s: Scene) -> Prepared:
    """The frame halved until the network's size is near."""
    levels: list[Image] = []
    return lambda: reduce(s.frame.image, s.small.shape[1::-1], levels), 3


def network(s: Scene) -> Prepared:
    """The default network on one thread."""
    engine = open_engine(Target.parse("live", "cpu"), threads=1)
    engine.resize(*s.small.shape[1::-1])
    np.copyto(engine.input, s.small)
    return engine.run, 0


def smooth(s: Scene) -> Prepared:
    """The temporal step."""
    alpha, state = s.small_alpha.copy(), s.small_alpha.copy()
    change = np.zeros(alpha.shape, np.uint8)
    return lambda: smoothing.smooth(alpha, state, change), 0


def fit_lines(s: Scene) -> Prepared:
    """The guided filter's fit, everywhere."""
    grey = np.asarray(cv2.cvtColor(s.small, cv2.COLOR_BGR2GRAY), np.uint8)
    levels = np.asarray(cv2.resize(s.small_alpha, grey.shape[::-1]) * 255, np.uint8)
    slope, offset = np.empty((2, *grey.shape), np.float32)
    wanted = np.ones((grey.shape[0], grey.shape[1] // 8), np.uint8)
    return lambda: guided.fit_lines(grey, levels, wanted, slope, offset), 0


def guided_filter(s: Scene) -> Prepared:
    """The whole refinement: fit and application; where alpha is plain, the frame is not read."""
    refine = GuidedFilter(s.size, s.small.shape[1::-1])
    out = np.empty_like(s.alpha)
    return lambda: refine(s.frame.image, s.small, s.small_alpha, out), 4


def composite(s: Scene) -> Prepared:
    """Over a picture."""
    background, out = np.full_like(s.frame.image, 90), np.empty_like(s.frame.image)
    edges = EdgeColourEstimator(s.size)(Cutout(s.frame, s.alpha))
    return lambda: composites.composite(s.frame.image, s.alpha, edges, background, out), 7


def composite_rows(s: Scene) -> Prepared:
    """Over a background of few rows."""
    rows = np.full((s.size[1] // 8, s.size[0], 3), 90, np.uint8)
    out = np.empty_like(s.frame.image)
    return lambda: composites.composite_rows(s.frame.image, s.alpha, rows, out), 7


def cutout(s: Scene) -> Prepared:
    """The person alone, with alpha."""
    out = np.empty((*s.alpha.shape, 4), np.uint8)
    edges = EdgeColourEstimator(s.size)(Cutout(s.frame, s.alpha))
    return lambda: composites.cutout(s.frame.image, s.alpha, edges, out), 8


def person_colour(s: Scene) -> Prepared:
    """The person's colour at soft edges, which all but the blur ask for."""
    find, levels = EdgeColourEstimator(s.size), list[Image]()
    reduce(s.frame.image, s.small.shape[1::-1], levels)
    cut = Cutout(s.frame, s.alpha, levels)
    return lambda: find(cut), 1


def blur(s: Scene) -> Prepared:
    """The blurred background and the composite over it."""
    background, out = open_background("blur", s.size), np.empty_like(s.frame.image)
    levels: list[Image] = []
    reduce(s.frame.image, s.small.shape[1::-1], levels)
    cut = Cutout(s.frame, s.alpha, levels)
    return lambda: background.compose(cut, out), 8


def i420(s: Scene) -> Prepared:
    """BGR to I420, for a virtual camera."""
    picture = I420(s.size)
    return lambda: picture.convert(s.frame.image), 4.5


def jpeg(s: Scene) -> Prepared:
    """A picture for the web preview's viewers; on a thread of its own."""
    return lambda: encoded(s.frame.image), 3


STAGES = (copy, reduction, network, smooth, fit_lines, guided_filter, composite, composite_rows,
          cutout, person_colour, blur, i420, jpeg)  # fmt: skip


@pytest.fixture(scope="module")
def report(request: pytest.FixtureRequest) -> Iterator[list[tuple[str, str, float, float]]]:
    """Collects (stage, size, seconds, bytes), and prints them beside their floors at the end."""
    rows: list[tuple[str, str, float, float]] = []
    yield rows
    rates = {size: count / seconds for name, size, seconds, count in rows if name == "copy"}
    table = number_table("stage", "size", "median ms", "MB", "floor ms", "ratio")
    for name, size, seconds, count in rows:
        known = ["", "", ""]
        if count and size in rates:
            floor = count / rates[size]
            known = [f"{count / 1e6:.1f}", f"{floor * 1e3:.3f}", f"{seconds / floor:.1f}"]
        table.add_row(name, size, f"{seconds * 1e3:.3f}", *known)
    manager = request.config.pluginmanager.getplugin("capturemanager")
    assert manager is not None
    with manager.global_and_fixture_disabled():
        Console().print(table)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
def test_stage(
    stage: Callable[[Scene], Prepared],
    scene: Scene,
    benchmark: BenchmarkFixture,
    report: list[tuple[str, str, float, float]],
) -> None:
    """Measure one stage at one size."""
    call, per_pixel = stage(scene)
    call()
    benchmark(call)
    assert benchmark.stats is not None
    width, height = scene.size
    seconds, count = benchmark.stats.stats.median, per_pixel * width * height
    report.append((stage.__name__, f"{height}p", seconds, count))
