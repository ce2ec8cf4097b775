"""The peers: each a network, image in, alpha out, and the composite after it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from livecut.backgrounds import Blur
from livecut.foreign import Foreign
from livecut.frame import Cutout, Frame, Image, as_image
from livecut.segmenter import Segmenter


class Peer(Protocol):
    """One way to a blurred background."""

    name: str

    def alpha(self, image: Image) -> Image:
        """The alpha (H, W) of a BGR image (H, W, 3), uint8, 255 = person."""

    def show(self, image: Image, alpha: Image) -> Image:
        """The image before its blurred background, BGR (H, W, 3)."""

    def reset(self) -> None:
        """Forget the frames before, where it remembers any."""


class OpenCV:
    """The best composite that plain OpenCV makes: blurred at a quarter, blended in eight bits."""

    def show(self, image: Image, alpha: Image) -> Image:
        """The image before its blurred background."""
        height, width = image.shape[:2]
        # Two halvings have SIMD, one quartering has none; stackBlur costs a fifth of GaussianBlur.
        half = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        small = cv2.resize(half, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
        kernel = height // 24 | 1
        room = cv2.resize(cv2.stackBlur(small, (kernel, kernel)), (width, height))
        a = cv2.cvtColor(alpha, cv2.COLOR_GRAY2BGR)
        kept = cv2.multiply(image, a, scale=1 / 255)
        return as_image(cv2.add(kept, cv2.multiply(room, cv2.bitwise_not(a), scale=1 / 255)))


class Livecut:
    """livecut itself."""

    def __init__(self, model: str, threads: int) -> None:
        self.name = f"livecut {model}"
        self._segmenter = Segmenter(model, device="cpu", threads=threads)
        self._blur: Blur | None = None
        self._out: Image = np.empty((0, 0, 3), np.uint8)

    def alpha(self, image: Image) -> Image:
        """As the Segmenter gives it."""
        return self._segmenter(image)

    def reset(self) -> None:
        """Its pictures are each by themselves."""

    def show(self, image: Image, alpha: Image) -> Image:
        """As the live program shows it."""
        if self._blur is None or self._out.shape != image.shape:
            self._blur, self._out = Blur((image.shape[1], image.shape[0])), np.empty_like(image)
        self._blur.compose(Cutout(Frame(image, 0, 0.0, 0.0), alpha), self._out)
        return self._out


class Other(OpenCV):
    """A network of others, as the TOML of its name beside this file describes it."""

    def __init__(self, path: Path, threads: int) -> None:
        self.name = path.stem
        adapter = Path(__file__).with_name(f"{path.stem}.adapter.toml")
        self._network = Foreign(path, adapter, device="cpu", threads=threads, temporal=True)

    def alpha(self, image: Image) -> Image:
        """As the network gives it."""
        return self._network(image)

    def reset(self) -> None:
        """Forget the frames before."""
        self._network.reset()


class Tutorial(Other):
    """What tutorials do after a network: float64 blending in NumPy, a full-size blur."""

    def __init__(self, path: Path, threads: int) -> None:
        super().__init__(path, threads)
        self.name = f"{path.stem}, NumPy"

    def show(self, image: Image, alpha: Image) -> Image:
        """The image before its blurred background."""
        room = cv2.GaussianBlur(image, (55, 55), 0)
        a = np.stack([alpha] * 3, axis=-1) / 255.0
        return (image * a + room * (1 - a)).astype(np.uint8)


def every(folder: Path, model: str, threads: int) -> list[Peer]:
    """livecut, and the peers whose files are in `folder`."""
    general = folder / "mediapipe.tflite"
    others = ("mediapipe-landscape.tflite", "modnet.onnx", "rvm.onnx")
    return [
        Livecut(model, threads),
        Other(general, threads),
        Tutorial(general, threads),
        *(Other(folder / name, threads) for name in others),
    ]
