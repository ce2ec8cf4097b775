"""What stands behind the person. Each kind writes the composite of a cutout into a buffer."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from livecut.compositor import cpu, edges
from livecut.compositor.edges import (
    CELLS,
    FALL,
    FLOOR,
    Edges,
    cell_size,
    cells_least,
    spread_cells,
    survey,
    weigh_cells,
)
from livecut.errors import ConfigError, LivecutError
from livecut.frame import Cutout, Image
from livecut.segmenter import reduce
from livecut.sources import READABLE, read_picture

COLOURS = {
    "black": "#000000",
    "blue": "#0000ff",
    "gray": "#808080",
    "green": "#00b140",
    "grey": "#808080",
    "navy": "#000080",
    "purple": "#800080",
    "red": "#ff0000",
    "silver": "#c0c0c0",
    "teal": "#008080",
    "white": "#ffffff",
    "yellow": "#ffff00",
}
"""The colours that can be named, as #rrggbb; green is the one of chroma-key screens."""
WEAKEST, STRONGEST = 1 / 60, 1 / 12
"""The blur's standard deviation, as a share of the picture's height, at strength 0 and 1. At 0 it is
weak but never nothing: 12 pixels at 720p, in which print cannot be read."""
DEFAULT_STRENGTH = 0.5


class Background(Protocol):
    """A kind of background, made for frames of one size."""

    name: str
    """As a person would write it: "blur:0.5", "#00b140", "beach.jpg"."""
    seconds: float
    """What the last `compose` spent on making what stands behind the person; 0 where that was there."""

    def compose(self, cutout: Cutout, out: Image) -> None:
        """Write the cutout over this background into `out`. Raises LivecutError."""


def spread(height: int, strength: float) -> float:
    """The blur's standard deviation in pixels of a picture `height` high; `strength` is 0..1."""
    return height * (WEAKEST + strength * (STRONGEST - WEAKEST))


def room_size(size: tuple[int, int], strength: float) -> tuple[int, int]:
    """The least (width, height) that a frame of `size` is averaged down to before it is blurred."""
    share = 16 if spread(size[1], strength) >= 2 * 16 else 8
    return -(-size[0] // share), -(-size[1] // share)


def box_width(height: int, strength: float) -> int:
    """The width, odd, of the three box blurs that make a `strength` of a picture `height` high."""
    # Three box blurs of width b make a Gaussian of variance (b^2 - 1) / 4.
    return max(3, round(math.sqrt(4 * spread(height, strength) ** 2 + 1)) | 1)


class EdgeColours:
    """Finds the person's and the room's colour at the edges of cutouts of one size, in its own buffers."""

    def __init__(self, size: tuple[int, int]) -> None:
        width, height = size
        self._cell = cell = cell_size(size)
        w, h = -(-width // cell), -(-height // cell)
        self._least = cells_least(size)
        self._levels: list[Image] = []
        self._image = np.empty((h, w, 3), np.uint8)
        self._mean, self._rest = np.empty((2, h, w), np.float32)
        self._weighted = np.empty((h, w, 4), np.float32)
        self._colours = np.zeros((2, h + 1, w + 1, 3), np.uint8)

    def __call__(self, cutout: Cutout) -> Edges:
        """What to composite the cutout with; overwritten by the next call."""
        survey(cutout.alpha, self._cell, self._mean)
        image = reduce(cutout.smallest(self._least), self._least, self._levels)
        size = self._image.shape[1::-1]
        cv2.resize(image, size, dst=self._image, interpolation=cv2.INTER_LINEAR)
        np.subtract(1, self._mean, out=self._rest)
        for mean, colours in zip((self._mean, self._rest), self._colours, strict=True):
            weigh_cells(self._image, mean, self._weighted)
            spread_cells(self._weighted, mean, CELLS, FALL, FLOOR, colours)
        return self._mean, self._colours, self._cell


class Blur:
    """The room itself, blurred, by its own pixels only.

    The frame is averaged down to an eighth, or to a sixteenth where the blur is so wide that no eye
    tells them apart, with the person weighted out (blur(room * (1 - a)) / blur(1 - a)), so that no halo
    of the person's colours surrounds them; where all is person, the mean of the room stands in. The frame's
    own colours are blended with it: the rim that they leave at soft edges is of the room's colour, as is
    what lies behind, and the person's colour in its place would be seen as a shadow.
    """

    seconds = 0.0

    def __init__(self, size: tuple[int, int], strength: float = DEFAULT_STRENGTH) -> None:
        self._size = size
        self.strength = min(max(strength, 0.0), 1.0)
        self.name = f"blur:{self.strength:.2g}"
        self._least = room_size(size, self.strength)
        self._levels: list[Image] = []
        self._mask_levels: list[Image] = []

    def _allocate(self, height: int, width: int) -> None:
        self._room = np.empty((height, width, 4), np.float32)
        self._blurred = np.empty((height, width, 4), np.float32)
        self._result = np.empty((height, width, 3), np.uint8)
        self._rows = np.empty((height, self._size[0], 3), np.uint8)
        self._box = (box_width(height, self.strength),) * 2

    def compose(self, cutout: Cutout, out: Image) -> None:
        """Write the cutout over its own blurred room."""
        begun = time.perf_counter()
        image = reduce(cutout.smallest(self._least), self._least, self._levels)
        alpha = reduce(cutout.alpha, self._least, self._mask_levels)
        if not hasattr(self, "_room"):
            self._allocate(*alpha.shape)
        cpu.weigh(image, alpha, self._room)
        edge = cv2.BORDER_REPLICATE
        cv2.blur(self._room, self._box, dst=self._blurred, borderType=edge)
        cv2.blur(self._blurred, self._box, dst=self._room, borderType=edge)
        cv2.blur(self._room, self._box, dst=self._blurred, borderType=edge)
        cpu.unweigh(self._blurred, self._result)
        size = (self._rows.shape[1], self._rows.shape[0])
        cv2.resize(self._result, size, dst=self._rows, interpolation=cv2.INTER_LINEAR)
        self.seconds = time.perf_counter() - begun
        cpu.composite_rows(cutout.frame.image, cutout.alpha, self._rows, out)


class Still:
    """One picture or colour, of the frame's size."""

    shown = 0
    seconds = 0.0

    def __init__(self, name: str, image: Image) -> None:
        self.name = name
        self._image = image
        self._edges = EdgeColours((image.shape[1], image.shape[0]))

    def picture(self, position: float) -> Image:
        """BGR, the same at any time."""
        return self._image

    def compose(self, cutout: Cutout, out: Image) -> None:
        """Write the cutout over the picture."""
        found = self._edges(cutout)
        edges.composite(cutout.frame.image, cutout.alpha, found, self._image, out)


class Video:
    """A video that plays at its own rate and begins again at its end."""

    seconds = 0.0

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        from livecut.video import VideoFile

        self.name = path.name
        self._source = VideoFile(path)
        width, height = self._source.size
        self._frame = np.zeros((height, width, 3), np.uint8)
        self._fitted = np.zeros((size[1], size[0], 3), np.uint8)
        self._edges = EdgeColours(size)
        self._start: float | None = None
        self.shown = -1
        """The number of the picture that `picture` gave last."""

    def _advance(self) -> None:
        if self._source.read(self._frame) is None:
            self._source.reopen()
            if self._source.read(self._frame) is None:
                raise ConfigError(f"background {self.name} gives no picture any more")
        self.shown += 1

    def picture(self, position: float) -> Image:
        """BGR: what is due at this position of the frames, in a buffer that is written again."""
        if self._start is None:
            self._start = position
        due = int((position - self._start) * self._source.fps)
        if due - self.shown > self._source.fps:
            self._start, self.shown, due = position, -1, 0
        if due > self.shown:
            while due > self.shown:
                self._advance()
            fit(self._frame, self._fitted)
        return self._fitted

    def compose(self, cutout: Cutout, out: Image) -> None:
        """Write the cutout over the picture due at the frame's position."""
        begun = time.perf_counter()
        picture, found = self.picture(cutout.frame.position), self._edges(cutout)
        self.seconds = time.perf_counter() - begun
        edges.composite(cutout.frame.image, cutout.alpha, found, picture, out)


class Transparent:
    """Nothing: the person alone, BGRA with straight alpha."""

    name, seconds = "transparent", 0.0

    def __init__(self, size: tuple[int, int]) -> None:
        self._edges = EdgeColours(size)

    def compose(self, cutout: Cutout, out: Image) -> None:
        """Write the cutout itself."""
        edges.cutout(cutout.frame.image, cutout.alpha, self._edges(cutout), out)


class Raw:
    """The camera as it is: the only way to show the room, and it says so on the picture."""

    name, seconds = "raw", 0.0

    def compose(self, cutout: Cutout, out: Image) -> None:
        """Write the frame itself, labelled."""
        np.copyto(out, cutout.frame.image)
        scale = max(0.4, out.shape[0] / 600)
        for colour, thickness in (((0, 0, 0), 5), ((0, 0, 255), 2)):
            at, thick = (int(12 * scale), int(32 * scale)), max(1, round(thickness * scale))
            cv2.putText(
                out,
                "RAW: room visible",
                at,
                cv2.FONT_HERSHEY_SIMPLEX,
                scale,
                colour,
                thick,
                cv2.LINE_AA,
            )


def fit(image: Image, out: Image) -> None:
    """Scale `image` to cover `out`, keep its proportions, cut what stands over at both sides."""
    height, width = out.shape[:2]
    h, w = image.shape[:2]
    scale = max(width / w, height / h)
    cut_w, cut_h = min(w, max(1, round(width / scale))), min(h, max(1, round(height / scale)))
    x, y = (w - cut_w) // 2, (h - cut_h) // 2
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    cv2.resize(image[y : y + cut_h, x : x + cut_w], (width, height), dst=out, interpolation=how)


def open_background(spec: str, size: tuple[int, int]) -> Background:
    """A background for frames of `size` = (width, height), by what a person writes.

    `blur`, `blur:0.0` to `blur:1.0`, `#rrggbb`, a name of `COLOURS`, a picture, a video,
    `transparent`, `raw`. Raises ConfigError.
    """
    kind, _, strength = spec.partition(":")
    if kind == "blur":
        try:
            value = float(strength) if strength else DEFAULT_STRENGTH
        except ValueError:
            value = float("nan")
        if not 0.0 <= value <= 1.0:
            raise ConfigError(
                f"background '{spec}': the blur's strength must be 0.0 to 1.0, as in blur:0.5"
            )
        return Blur(size, value)
    if spec in ("transparent", "raw"):
        return Transparent(size) if spec == "transparent" else Raw()
    colour = COLOURS.get(spec.lower(), spec)
    if colour.startswith("#"):
        try:
            red, green, blue = bytes.fromhex(colour[1:])
        except ValueError:
            raise ConfigError(
                f"background '{spec}' is no colour; expected #rrggbb, as in #00b140"
            ) from None
        return Still(spec, np.full((size[1], size[0], 3), (blue, green, red), np.uint8))
    path = Path(spec)
    if not path.is_file():
        raise ConfigError(
            f"unknown background '{spec}': no such file; expected blur, blur:0.5, #rrggbb, "
            f"{', '.join(COLOURS)}, a picture, a video, transparent or raw"
        )
    try:
        if path.suffix.lower() not in READABLE:
            return Video(path, size)
        image = read_picture(path)
    except LivecutError as error:
        raise ConfigError(f"background '{spec}' cannot be used: {error}") from error
    fitted = np.empty((size[1], size[0], 3), np.uint8)
    fit(image, fitted)
    return Still(path.name, fitted)
