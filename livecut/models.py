"""The shipped models: where their files are, and the size at which a network sees a frame."""

from __future__ import annotations

import math
from pathlib import Path

from livecut.errors import ModelError

PRECISIONS = ("float32", "float16", "bfloat16")
"""In which PyTorch can run livecut's own networks."""
DEFAULT_MODEL = "live"
TORCHVISION = "torchvision:"
REFERENCES = (
    "torchvision:deeplabv3_mobilenet_v3_large",
    "torchvision:lraspp_mobilenet_v3_large",
    "torchvision:maskrcnn_resnet50_fpn_v2",
)
"""torchvision's networks that livecut trains and evaluates beside its own."""


def models_dir() -> Path:
    """The folder of the shipped weights: inside the installed package, or beside it in a checkout."""
    inside = Path(__file__).parent / "models"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "models"


def model_names() -> list[str]:
    """The names of the shipped models, sorted."""
    return sorted(path.stem for path in models_dir().glob("*.safetensors"))


def in_bytes(path: Path) -> Path:
    """Where a network's .onnx stands in int8: NAME.int8.onnx beside NAME.onnx."""
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
