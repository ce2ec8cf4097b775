"""Models and where they run: the shipped files, the size of a network's input, and `Target`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from livecut.errors import ConfigError, ModelError

PRECISIONS = ("float32", "float16", "bfloat16")
"""Precisions in which PyTorch can run livecut's own networks."""
DEFAULT_MODEL = "live"
AUTO = "auto"
"""The engine and the device, where none is named."""
TORCHVISION = "torchvision:"
REFERENCES = (
    "torchvision:deeplabv3_mobilenet_v3_large",
    "torchvision:lraspp_mobilenet_v3_large",
    "torchvision:maskrcnn_resnet50_fpn_v2",
)
"""torchvision's networks that livecut trains and evaluates beside its own."""
NUMBERED = ("cuda", "tensorrt", "directml", "gpu")
"""Kinds of devices of which there may be several, as in cuda:1."""
DEVICES = ("auto", "cpu", *NUMBERED, "coreml", "npu")
"""Kinds of devices; auto stands for the best that is available."""


@dataclass(frozen=True, slots=True)
class Target:
    """A network and what is to run it: model, engine and device, as `parse` reads them."""

    model: str
    """A shipped name, the path of an .onnx or .safetensors file, or torchvision:NAME."""
    engine: str = AUTO
    """Name of an engine in `livecut.engines.ENGINES`, or auto for the one that suits the model."""
    kind: str = AUTO
    """Kind of device, one of `DEVICES`."""
    number: int = 0
    """Number of the device among those of its kind."""
    precision: str = ""
    """Precision that the engine is to take, as in "int8"; empty for its own choice."""

    @classmethod
    def parse(cls, model: str | Path, device: str = AUTO, engine: str = AUTO) -> Self:
        """The target that a person writes by these words, as in "live", "cuda:1" and "onnx:int8".

        Files and devices need not exist. Raises ConfigError for a word that is no device; the names
        of engines are known to `livecut.engines` alone.
        """
        kind, colon, number = device.partition(":")
        if kind not in DEVICES or (colon and not (kind in NUMBERED and number.isdecimal())):
            raise ConfigError(
                f"unknown device '{device}'; expected one of: {', '.join(DEVICES)}; "
                f"{', '.join(NUMBERED)} also with a number, as in cuda:1"
            )
        engine, _, precision = engine.partition(":")
        return cls(str(model), engine, kind, int(number or 0), precision)

    @property
    def device(self) -> str:
        """Kind and number as a person writes them, as in "cuda:1"."""
        return f"{self.kind}:{self.number}" if self.number else self.kind

    @property
    def shipped(self) -> bool:
        """Whether the model is given by a shipped name, so that any of its files will do."""
        return not self.reference and not Path(self.model).suffix

    @property
    def reference(self) -> bool:
        """Whether the model is one of torchvision's."""
        return self.model.startswith(TORCHVISION)

    @property
    def pytorch(self) -> bool:
        """Whether PyTorch is to run it: by the engine's name, or for auto by the model's."""
        weights = self.reference or Path(self.model).suffix == ".safetensors"
        return self.engine == "torch" or (self.engine == AUTO and weights)

    @property
    def allows_pytorch(self) -> bool:
        """Whether PyTorch may run it: `pytorch`, or auto for a model that is no .onnx file."""
        return self.engine == "torch" or (
            self.engine == "auto" and Path(self.model).suffix != ".onnx"
        )

    def default_to(self, kind: str) -> Self:
        """The target with `kind` for a device in place of auto."""
        return replace(self, kind=kind) if self.kind == AUTO else self

    def file(self) -> Path:
        """The model's file for the engine: weights for PyTorch, else .onnx. Raises ModelError."""
        return find_model(self.model, ".safetensors" if self.pytorch else ".onnx")


def models_dir() -> Path:
    """The folder of the shipped weights: in the installed package, or beside it in a checkout."""
    inside = Path(__file__).parent / "models"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "models"


def model_names() -> list[str]:
    """The names of the shipped models, sorted."""
    return sorted(path.stem for path in models_dir().glob("*.safetensors"))


def in_bytes(path: Path) -> Path:
    """Path of the int8 form of a network's .onnx file: NAME.int8.onnx beside NAME.onnx."""
    return path.with_suffix(".int8.onnx")


def find_model(model: str | Path, suffix: str = ".onnx") -> Path:
    """The file of a model given by its shipped name or by its path.

    `suffix` is the form wanted: ".onnx" or ".safetensors". Raises ModelError where there is none.
    """
    given = Path(model)
    if given.suffix in (".onnx", ".safetensors"):
        path = given.with_suffix(suffix)
        if not path.is_file():
            raise ModelError(f"no model file {path}; give the path of an existing {suffix} file")
        return path
    path = models_dir() / f"{model}{suffix}"
    if str(model) != given.name or not path.is_file():
        names = ", ".join(model_names()) or "none"
        raise ModelError(
            f"unknown model '{model}'; shipped are: {names}; or give the path of a {suffix} file"
        )
    return path


def input_size(width: int, height: int, area: int, stride: int) -> tuple[int, int]:
    """The (width, height) at which a network sees a frame of `width` x `height` pixels.

    Both are multiples of `stride`; their product is near `area` pixels and their ratio near the
    frame's, held within 1:3 to 3:1. A 16:9 frame at area 36,864 and stride 16 gives (256, 144).
    """
    aspect = min(max(width / height, 1 / 3), 3.0)
    w = max(1, round(math.sqrt(area * aspect) / stride)) * stride
    h = max(1, round(math.sqrt(area / aspect) / stride)) * stride
    return w, h
