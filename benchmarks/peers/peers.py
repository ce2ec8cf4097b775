"""The peers: each a network, image in, alpha out, and the composite after it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from livecut.backgrounds.blur import Blur
from livecut.evaluation.external import External
from livecut.frame import Frame, Image, as_image
from livecut.models import REFERENCES, input_size
from livecut.segmenter import Segmenter


class Peer(Protocol):
    """One way to a blurred background."""

    name: str
    trained: bool
    """Whether its alpha means anything; else its speed alone is measured."""

    def alpha(self, image: Image) -> Image:
        """The alpha (H, W) of a BGR image (H, W, 3), uint8, 255 = person."""

    def show(self, image: Image, alpha: Image) -> Image:
        """The image before its blurred background, BGR (H, W, 3)."""

    def reset(self) -> None:
        """Forget the frames before, where it remembers any."""


class OpenCV:
    """The best composite that plain OpenCV makes: blurred at a quarter, blended in eight bits.

    Into buffers of its own, as a careful program has it: fresh ones cost page faults.
    """

    trained = True
    _shape: tuple[int, ...] = ()

    def _allocate(self, image: Image) -> None:
        height, width = self._shape = image.shape[:2]
        self._half = np.empty((height // 2, width // 2, 3), np.uint8)
        self._small, self._blurred = np.empty((2, height // 4, width // 4, 3), np.uint8)
        self._room, self._weights, self._rest, self._out = np.empty((4, height, width, 3), np.uint8)

    def show(self, image: Image, alpha: Image) -> Image:
        """The image before its blurred background."""
        if image.shape[:2] != self._shape:
            self._allocate(image)
        # Two halvings have SIMD, one quartering has none; stackBlur costs a fifth of GaussianBlur.
        for source, out in ((image, self._half), (self._half, self._small)):
            cv2.resize(source, out.shape[1::-1], dst=out, interpolation=cv2.INTER_AREA)
        kernel = image.shape[0] // 24 | 1
        cv2.stackBlur(self._small, (kernel, kernel), dst=self._blurred)
        cv2.resize(self._blurred, image.shape[1::-1], dst=self._room)
        cv2.cvtColor(alpha, cv2.COLOR_GRAY2BGR, dst=self._weights)
        cv2.bitwise_not(self._weights, dst=self._rest)
        cv2.multiply(image, self._weights, dst=self._out, scale=1 / 255)
        cv2.multiply(self._room, self._rest, dst=self._rest, scale=1 / 255)
        cv2.add(self._out, self._rest, dst=self._out)
        return self._out


class Livecut:
    """livecut itself, as the live program does it."""

    trained = True

    def __init__(self, model: str, threads: int) -> None:
        self.name = f"livecut {model}"
        self._segmenter = Segmenter(model, device="cpu", threads=threads)
        self._blur: Blur | None = None
        self._out: Image = np.empty((0, 0, 3), np.uint8)
        self._alpha: Image = np.empty((0, 0), np.uint8)

    def alpha(self, image: Image) -> Image:
        """Steadied by no frame before."""
        if self._alpha.shape != image.shape[:2]:
            self._alpha, self._out = np.empty(image.shape[:2], np.uint8), np.empty_like(image)
            self._blur = Blur((image.shape[1], image.shape[0]))
        self._cutout = self._segmenter.cut(Frame(image, 0, 0.0, 0.0), self._alpha)
        return self._alpha

    def show(self, image: Image, alpha: Image) -> Image:
        """The image before its own blurred room."""
        assert self._blur is not None
        self._blur.compose(self._cutout, self._out)
        return self._out

    def reset(self) -> None:
        """It remembers nothing here."""


class Other(OpenCV):
    """A network of others, as the TOML of its name beside this file describes it."""

    def __init__(self, path: Path, threads: int, device: str = "cpu") -> None:
        self.name = path.stem
        adapter = Path(__file__).with_name(f"{path.stem}.adapter.toml")
        self._network = External(path, adapter, device=device, threads=threads, temporal=True)

    def alpha(self, image: Image) -> Image:
        """As the network gives it."""
        return self._network(image)

    def reset(self) -> None:
        """Forget the frames before."""
        self._network.reset()


class MediaPipe(OpenCV):
    """A network of MediaPipe's under LiteRT, with the least around it that a careful program has.

    A bilinear resize in place of exact areas, alpha enlarged in bytes, and no copy but these.
    """

    def __init__(self, path: Path, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.name = path.stem
        self._interpreter = Interpreter(str(path), num_threads=threads)
        self._interpreter.allocate_tensors()
        [given], [made] = (
            self._interpreter.get_input_details(),
            self._interpreter.get_output_details(),
        )
        self._input = self._interpreter.tensor(given["index"])
        self._output = self._interpreter.tensor(made["index"])
        height, width = given["shape"][1:3]
        self._picture = np.empty((height, width, 3), np.uint8)
        self._levels = np.empty((height, width), np.uint8)
        self._alpha: Image = np.empty((0, 0), np.uint8)

    def alpha(self, image: Image) -> Image:
        """As the network gives it."""
        if self._alpha.shape != image.shape[:2]:
            self._alpha = np.empty(image.shape[:2], np.uint8)
        size = self._picture.shape[1::-1]
        cv2.resize(image, size, dst=self._picture, interpolation=cv2.INTER_LINEAR)
        cv2.cvtColor(self._picture, cv2.COLOR_BGR2RGB, dst=self._picture)
        np.multiply(self._picture, np.float32(1 / 255), out=self._input()[0])
        self._interpreter.invoke()
        cv2.convertScaleAbs(self._output().reshape(self._levels.shape), dst=self._levels, alpha=255)
        full = image.shape[1::-1]
        cv2.resize(self._levels, full, dst=self._alpha, interpolation=cv2.INTER_LINEAR)
        return self._alpha

    def reset(self) -> None:
        """It remembers nothing."""


class Tutorial(Other):
    """Compositing as tutorials do it: float64 blending in NumPy, a full-size blur."""

    def __init__(self, path: Path, threads: int) -> None:
        super().__init__(path, threads)
        self.name = f"{path.stem}, NumPy"

    def show(self, image: Image, alpha: Image) -> Image:
        """The image before its blurred background."""
        room = cv2.GaussianBlur(image, (55, 55), 0)
        a = np.stack([alpha] * 3, axis=-1) / 255.0
        return (image * a + room * (1 - a)).astype(np.uint8)


class Fresh(OpenCV):
    """A network of `livecut train` under PyTorch, its weights fresh: how fast its form is.

    The classic U-Net sees what livecut's own sees, torchvision's see 520 pixels on the shorter
    side.
    """

    trained = False

    def __init__(self, name: str, area: int, threads: int) -> None:
        import torch

        from livecut.network.base import Portable
        from livecut.network.build import build

        torch.set_num_threads(threads)
        self.name = f"{name.removeprefix('torchvision:')}, PyTorch"
        network = build(name)
        self._area, self._stride = area, network.stride
        self._network = Portable(network).to(memory_format=torch.channels_last).eval()

    def alpha(self, image: Image) -> Image:
        """As the network gives it."""
        import torch

        full = (image.shape[1], image.shape[0])
        small = cv2.resize(image, input_size(*full, self._area, self._stride))
        with torch.inference_mode():
            soft = self._network(torch.from_numpy(small)[None])[0].numpy()
        return as_image(cv2.convertScaleAbs(cv2.resize(soft, full), alpha=255))

    def reset(self) -> None:
        """It remembers nothing."""


def every(folder: Path, models: Sequence[str], threads: int) -> list[Peer]:
    """Livecut with each model, the peers whose files are in `folder`, and the fresh networks."""
    general, landscape = folder / "mediapipe.tflite", folder / "mediapipe-landscape.tflite"
    return [
        *(Livecut(model, threads) for model in models),
        MediaPipe(general, threads),
        Tutorial(general, threads),
        MediaPipe(landscape, threads),
        *(Other(folder / name, threads) for name in ("modnet.onnx", "rvm.onnx")),
        Fresh("unet", 256 * 144, threads),
        *(Fresh(name, 924 * 520, threads) for name in REFERENCES if "rcnn" not in name),
    ]
