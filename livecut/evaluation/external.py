"""Networks of others in the Segmenter's place, each described by a few lines of TOML.

    input = "src"                        # name or number; so too output
    range = [0, 1]                       # what the levels 0 and 255 become
    states = [["r1i", "r1o"]]            # inputs that are an output of the frame before
    extra = {downsample_ratio = 0.25}    # inputs that stay

`Adapter` has all keys; none must be there. Between network and alpha there is nothing but a resize:
no steadying, no refined edges.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from livecut.engines.choice import installed
from livecut.errors import ConfigError, EngineError, ModelError
from livecut.frame import Image, as_image
from livecut.hardware import cpu
from livecut.models import Target
from livecut.options import NetworkOptions
from livecut.segmenter import Segmenter

Array = NDArray[Any]


def is_count(value: object, least: int = 0) -> bool:
    """Whether a value is a whole number from `least` on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def are_numbers(value: object, count: int | None = None) -> bool:
    """Whether a value is a list of finite numbers, `count` of them where that is given."""
    return (
        isinstance(value, list)
        and (count is None or len(value) == count)
        and all(type(v) in (int, float) and math.isfinite(v) for v in value)
    )


def is_range(value: Any) -> bool:
    """Whether a value is a list of two different numbers."""
    return are_numbers(value, 2) and value[0] != value[1]


def is_port(value: object) -> bool:
    """Whether a value is the name or the number of an input or output."""
    return isinstance(value, str) or is_count(value)


def are_states(value: object) -> bool:
    """Whether a value is a list of pairs of names."""
    return isinstance(value, list) and all(
        isinstance(pair, list) and [type(name) for name in pair] == [str, str] for pair in value
    )


def are_extra(value: object) -> bool:
    """Whether a value is a table of numbers, lists of them, or {long_side = N}."""
    return isinstance(value, dict) and all(
        (list(v) == ["long_side"] and is_count(v["long_side"], 1))
        if isinstance(v, dict)
        else are_numbers(v if isinstance(v, list) else [v])
        for v in value.values()
    )


Form = tuple[str, Callable[[Any], bool]]


def one_of(*words: str) -> Form:
    """The form of a value that is one of some words."""
    return " or ".join(words), lambda value: value in words


PORT: Form = "a name or a number from 0", is_port
RANGE: Form = "two different numbers", is_range
FORMS: dict[str, Form] = {
    "input": PORT,
    "layout": one_of("NCHW", "NHWC"),
    "colour": one_of("RGB", "BGR"),
    "range": RANGE,
    "mean": ("three numbers", lambda v: are_numbers(v, 3)),
    "std": ("three numbers, none of them 0", lambda v: are_numbers(v, 3) and all(v)),
    "size": ("[width, height]", lambda v: are_numbers(v, 2) and all(is_count(n, 1) for n in v)),
    "short_side": ("a number of pixels", lambda v: is_count(v, 1)),
    "multiple": ("a number from 1", lambda v: is_count(v, 1)),
    "states": ("[[input, output], ...] by name", are_states),
    "extra": ("a table of numbers, lists or {long_side = N}", are_extra),
    "output": PORT,
    "channel": ("a number from 0", is_count),
    "activation": one_of("none", "sigmoid", "softmax"),
    "output_range": RANGE,
}
"""Expected value and test of each key of the TOML."""


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """How a network takes its picture, and what it gives."""

    input: str | int = 0
    """The picture's input, by name or number."""
    layout: str = "NCHW"
    """Order of dimensions of input and output."""
    colour: str = "RGB"
    range: Sequence[float] = (0, 1)
    """Values that the levels 0 and 255 become."""
    mean: Sequence[float] = (0, 0, 0)
    """Means by channel, subtracted after that."""
    std: Sequence[float] = (1, 1, 1)
    """Deviations by channel, divided by at last."""
    size: Sequence[int] = ()
    """Width and height of the input; empty: those of the picture, changed by the two below."""
    short_side: int = 0
    """To which the picture's shorter side is scaled; 0: as it is."""
    multiple: int = 1
    """Number that both sides become multiples of."""
    states: Sequence[Sequence[str]] = ()
    """Inputs that take an output of the frame before; zeros at first."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Further inputs. {long_side = N} is N over the picture's longer side, 1 at most."""
    output: str | int = 0
    """The output that holds alpha: (1, C, h, w), (1, h, w, C) or (1, h, w)."""
    channel: int = 0
    """The person's."""
    activation: str = "none"
    """Function that the network leaves out; softmax is over the channels."""
    output_range: Sequence[float] = (0, 1)
    """Values that then stand for background and for person."""


def read_adapter(path: Path) -> Adapter:
    """The adapter in a TOML file. Raises ConfigError."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"adapter {path} cannot be read: {error}") from error
    for name, value in values.items():
        if name not in FORMS:
            raise ConfigError(
                f"adapter {path}: unknown key '{name}'; expected some of: {', '.join(FORMS)}"
            )
        expected, valid = FORMS[name]
        if not valid(value):
            raise ConfigError(f"adapter {path}: {name} is {value!r}; expected {expected}")
    return Adapter(**values)


class Network(Protocol):
    """A loaded network of any form."""

    description: str
    inputs: dict[str, tuple[list[int], np.dtype[Any]]]
    """Shape, with 1 where it is open, and kind of number, by name."""
    outputs: list[str]

    def run(self, feeds: dict[str, Array], wanted: list[str]) -> list[Array]:
        """The outputs wanted."""


class OnnxNetwork:
    """Under ONNX Runtime. See `Network`. Raises ModelError and EngineError."""

    def __init__(self, path: Path, device: str, threads: int) -> None:
        if not installed("onnx"):
            raise EngineError(
                f"{path.name} needs ONNX Runtime, which is not installed; install it with: "
                "pip install onnxruntime"
            )
        from livecut.engines.onnx import open_session

        self._session, self.description = open_session(path, Target.parse(path, device), threads)
        kinds = {"float": "float32", "double": "float64"}
        self.inputs = {}
        for port in self._session.get_inputs():
            kind = port.type.removeprefix("tensor(").removesuffix(")")
            shape = [side if isinstance(side, int) else 1 for side in port.shape]
            self.inputs[port.name] = shape, np.dtype(kinds.get(kind, kind))
        self.outputs = [port.name for port in self._session.get_outputs()]

    def run(self, feeds: dict[str, Array], wanted: list[str]) -> list[Array]:
        """The outputs wanted."""
        found: list[Array] = self._session.run(wanted, feeds)
        return found


class LiteRtNetwork:
    """Under LiteRT, on the CPU. See `Network`. Raises ModelError and EngineError."""

    def __init__(self, path: Path, device: str, threads: int) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise EngineError(
                f"{path} needs ai-edge-litert; install it with: pip install ai-edge-litert"
            ) from error
        if device not in ("auto", "cpu"):
            raise EngineError(f"device {device}: a .tflite file runs on the CPU alone; take cpu")
        count = threads or cpu.default_threads()
        try:
            self._interpreter = Interpreter(str(path), num_threads=count)
            self._interpreter.allocate_tensors()
        except Exception as error:
            reason = str(error).splitlines()[0]
            raise ModelError(f"{path} cannot be loaded by LiteRT: {reason}") from error
        self.description = f"LiteRT on the CPU, {count} thread{'s' * (count > 1)}"
        ports = self._interpreter.get_input_details()
        self._at = {port["name"]: port["index"] for port in ports}
        self.inputs = {
            port["name"]: (port["shape"].tolist(), np.dtype(port["dtype"])) for port in ports
        }
        results = self._interpreter.get_output_details()
        self._found_at = {port["name"]: port["index"] for port in results}
        self.outputs = list(self._found_at)

    def run(self, feeds: dict[str, Array], wanted: list[str]) -> list[Array]:
        """The outputs wanted."""
        for name, value in feeds.items():
            self._interpreter.set_tensor(self._at[name], value)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(self._found_at[name]) for name in wanted]


class External:
    """A network of others: image in, alpha out, as a Segmenter has it.

    `path` is an .onnx or .tflite file, `adapter` describes it. With `temporal`, its states are kept
    from frame to frame until `reset()`; without, each picture is its first. Raises ModelError,
    EngineError and ConfigError.
    """

    def __init__(
        self,
        path: Path,
        adapter: Path,
        *,
        device: str = NetworkOptions.device,
        threads: int = NetworkOptions.threads,
        temporal: bool = False,
    ) -> None:
        self._adapter = a = read_adapter(adapter)
        if not path.is_file():
            raise ModelError(f"no model file {path}; give the path of an existing file")
        form = LiteRtNetwork if path.suffix == ".tflite" else OnnxNetwork
        self._network: Network = form(path, device, threads)
        self.description = self._network.description
        inputs = self._network.inputs

        def port(name: str | int, ports: list[str], what: str) -> str:
            if isinstance(name, int) and name < len(ports):
                return ports[name]
            if name not in ports:
                raise ConfigError(
                    f"adapter {adapter}: {path.name} has no {what} {name!r}; it has "
                    f"{', '.join(ports)}"
                )
            return str(name)

        self._input = port(a.input, list(inputs), "input")
        for name in (*a.extra, *(state for state, _ in a.states)):
            port(name, list(inputs), "input")
        self._wanted = [
            port(name, self._network.outputs, "output")
            for name in (a.output, *(output for _, output in a.states))
        ]
        missing = inputs.keys() - {self._input, *a.extra, *(state for state, _ in a.states)}
        if missing:
            raise ConfigError(
                f"adapter {adapter}: nothing for the input {min(missing)} of {path.name}; "
                "name it in extra or states"
            )
        span = (a.range[1] - a.range[0]) / 255
        self._gain = np.array([span / s for s in a.std], np.float32)
        self._shift = np.array(
            [(a.range[0] - m) / s for m, s in zip(a.mean, a.std, strict=True)], np.float32
        )
        self._temporal = temporal
        self.reset()

    def reset(self) -> None:
        """Forget the frames before."""
        self._states = {
            name: np.zeros(*self._network.inputs[name]) for name, _ in self._adapter.states
        }

    def __call__(self, image: Image) -> Image:
        """The alpha (H, W) of a BGR image (H, W, 3), uint8, 255 = person. Raises EngineError."""
        if not self._temporal:
            self.reset()
        feeds = {self._input: self._prepared(image), **self._extra(image), **self._states}
        try:
            alpha, *states = self._network.run(feeds, self._wanted)
        except Exception as error:
            raise EngineError(f"the network failed: {str(error).splitlines()[0]}") from error
        self._states = dict(zip(self._states, states, strict=True))
        full = cv2.resize(self._soft(alpha), image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        return as_image(cv2.convertScaleAbs(full, alpha=255))

    def _prepared(self, image: Image) -> Array:
        a = self._adapter
        height, width = image.shape[:2]
        scale = a.short_side / min(height, width) if a.short_side else 1.0
        size = list(a.size) or [
            max(1, round(side * scale / a.multiple)) * a.multiple for side in (width, height)
        ]
        if size != [width, height]:
            image = as_image(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        if a.colour == "RGB":
            image = as_image(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
        values = image * self._gain + self._shift
        if a.layout == "NCHW":
            values = values.transpose(2, 0, 1)
        return np.ascontiguousarray(values[None], self._network.inputs[self._input][1])

    def _extra(self, image: Image) -> dict[str, Array]:
        found = {}
        for name, value in self._adapter.extra.items():
            if isinstance(value, dict):
                value = min(1.0, value["long_side"] / max(image.shape))
            shape, kind = self._network.inputs[name]
            # A list brings its own length, a single number fills the input's shape.
            found[name] = (
                np.array(value, kind) if isinstance(value, list) else np.full(shape, value, kind)
            )
        return found

    def _soft(self, found: Array) -> NDArray[np.float32]:
        """Alpha float32 (h, w) in 0..1 from what the network gave."""
        a = self._adapter
        planes = found.astype(np.float32)[0]
        if planes.ndim == 2:
            planes = planes[None]
        elif a.layout == "NHWC":
            planes = np.moveaxis(planes, -1, 0)
        if planes.ndim != 3 or a.channel >= len(planes):
            raise EngineError(
                f"the network gave {found.shape}, no channel {a.channel} of a picture; see the "
                "adapter"
            )
        if a.activation == "softmax":
            planes = np.exp(planes - planes.max(0))
            planes /= planes.sum(0)
        soft: NDArray[np.float32] = planes[a.channel]
        if a.activation == "sigmoid":
            soft = np.float32(0.5) * (1 + np.tanh(np.float32(0.5) * soft))
        low, high = a.output_range
        soft = (soft - low) / (high - low)
        if not np.isfinite(soft).all():
            raise EngineError("the network gave no valid alpha (NaN or infinite)")
        return soft.clip(0, 1)


def open_network(
    model: str,
    adapter: Path | None,
    *,
    engine: str,
    device: str,
    threads: int = NetworkOptions.threads,
    temporal: bool = False,
) -> Segmenter | External:
    """A Segmenter, or an External where `adapter` or NAME.adapter.toml beside it describes it.

    `model`, `engine`, `device` and `threads` are as for a Segmenter. Raises ModelError, EngineError
    and ConfigError.
    """
    path = Path(model)
    if adapter is None and path.suffix in (".onnx", ".tflite"):
        beside = path.with_suffix(".adapter.toml")
        if beside.is_file():
            adapter = beside
        elif path.suffix == ".tflite":
            raise ConfigError(f"nothing describes {path}; give --adapter FILE.toml, or {beside}")
    if adapter is None:
        return Segmenter(model, device=device, engine=engine, threads=threads, temporal=temporal)
    if engine == "torch":
        raise ConfigError("the engine torch runs livecut's own networks alone; take auto or onnx")
    return External(path, adapter, device=device, threads=threads, temporal=temporal)
