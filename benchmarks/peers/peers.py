"""The peers: each a network with its own usual way round it, image in, alpha out; and the composites."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from livecut.backgrounds import Blur
from livecut.frame import Cutout, Frame, Image, as_image
from livecut.segmenter import Segmenter


class Peer(Protocol):
    """One way to a blurred background."""

    name: str

    def alpha(self, image: Image) -> Image:
        """The alpha (H, W) of a BGR image (H, W, 3), uint8, 255 = person."""

    def show(self, image: Image, alpha: Image) -> Image:
        """The image before its blurred background, BGR (H, W, 3)."""


def as_alpha(soft: NDArray[np.float32], size: tuple[int, int]) -> Image:
    """A network's float alpha at `size` = (width, height), as bytes."""
    full = cv2.resize(soft, size, interpolation=cv2.INTER_LINEAR)
    return as_image(cv2.convertScaleAbs(full, alpha=255))


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

    def show(self, image: Image, alpha: Image) -> Image:
        """As the live program shows it."""
        if self._blur is None or self._out.shape != image.shape:
            self._blur, self._out = Blur((image.shape[1], image.shape[0])), np.empty_like(image)
        self._blur.compose(Cutout(Frame(image, 0, 0.0, 0.0), alpha), self._out)
        return self._out


class MediaPipe(OpenCV):
    """MediaPipe's selfie segmenter, general (256x256) or landscape (256x144), by LiteRT."""

    def __init__(self, path: Path, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.name = path.stem
        self._network = Interpreter(str(path), num_threads=threads)
        self._network.allocate_tensors()
        self._in, self._out = (
            self._network.get_input_details()[0],
            self._network.get_output_details()[0],
        )
        self._size = int(self._in["shape"][2]), int(self._in["shape"][1])

    def alpha(self, image: Image) -> Image:
        """RGB in 0..1, stretched to the network's size."""
        small = cv2.cvtColor(
            cv2.resize(image, self._size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB
        )
        self._network.set_tensor(self._in["index"], small[None].astype(np.float32) / 255)
        self._network.invoke()
        found = self._network.get_tensor(self._out["index"])
        return as_alpha(np.clip(found[0, :, :, 0], 0, 1), (image.shape[1], image.shape[0]))


def session(path: Path, threads: int) -> ort.InferenceSession:
    """A network under ONNX Runtime on the CPU."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class ModNet(OpenCV):
    """MODNet, the short side at 512."""

    def __init__(self, path: Path, threads: int) -> None:
        self.name = path.stem
        self._session = session(path, threads)
        self._input = self._session.get_inputs()[0].name

    def alpha(self, image: Image) -> Image:
        """RGB in -1..1, both sides multiples of 32."""
        height, width = image.shape[:2]
        scale = 512 / min(height, width)
        size = (round(width * scale / 32) * 32, round(height * scale / 32) * 32)
        small = cv2.cvtColor(
            cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB
        )
        x = np.ascontiguousarray((small.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None])
        return as_alpha(self._session.run(None, {self._input: x})[0][0, 0], (width, height))


class Rvm(OpenCV):
    """RobustVideoMatting, its state begun anew for each picture of a set, kept for a video."""

    def __init__(self, path: Path, threads: int) -> None:
        self.name = path.stem
        self._session = session(path, threads)
        self.reset()

    def reset(self) -> None:
        """Forget the frames before."""
        self._state: list[Any] = [np.zeros((1, 1, 1, 1), np.float32)] * 4

    def alpha(self, image: Image) -> Image:
        """RGB in 0..1, the coarse pass at 512 for the longer side, as its authors advise."""
        x = cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.float32).transpose(2, 0, 1)[None] / 255
        ratio = np.array([min(1.0, 512 / max(image.shape[:2]))], np.float32)
        states = dict(zip(("r1i", "r2i", "r3i", "r4i"), self._state, strict=True))
        _, alpha, *self._state = self._session.run(
            None, {"src": np.ascontiguousarray(x), "downsample_ratio": ratio, **states}
        )
        return as_alpha(alpha[0, 0], (image.shape[1], image.shape[0]))


class Tutorial:
    """What tutorials do after a network: float64 blending in NumPy, a full-size blur."""

    def __init__(self, path: Path, threads: int) -> None:
        self._network = MediaPipe(path, threads)
        self.name = f"{self._network.name}, NumPy"

    def alpha(self, image: Image) -> Image:
        """MediaPipe's."""
        return self._network.alpha(image)

    def show(self, image: Image, alpha: Image) -> Image:
        """The image before its blurred background."""
        room = cv2.GaussianBlur(image, (55, 55), 0)
        a = np.stack([alpha] * 3, axis=-1) / 255.0
        return (image * a + room * (1 - a)).astype(np.uint8)


def every(folder: Path, model: str, threads: int) -> list[Peer]:
    """livecut, and the peers whose files are in `folder`."""
    general = folder / "mediapipe.tflite"
    found: list[Peer] = [
        Livecut(model, threads),
        MediaPipe(general, threads),
        Tutorial(general, threads),
    ]
    found.append(MediaPipe(folder / "mediapipe-landscape.tflite", threads))
    return [*found, ModNet(folder / "modnet.onnx", threads), Rvm(folder / "rvm.onnx", threads)]
