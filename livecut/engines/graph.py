"""ONNX files taken apart, halved and written anew, without the library onnx.

Only as much of protobuf's wire format and of ONNX's messages (onnx.proto) as that takes. A message is
a list of fields; one that is not looked at passes through as the bytes it is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from livecut.errors import ModelError

TYPES = {np.dtype(t): n for n, t in {1: "f4", 2: "u1", 7: "i8", 9: "?", 10: "f2"}.items()}
"""ONNX's numbers of the types that occur here."""
FLOAT, BYTE, HALF = 1, 2, 10
LENGTH, FIXED32, FIXED64 = 2, 5, 1
"""Kinds of fields; 0 is a number of 7 bits a byte."""

Value = int | float | str | Sequence[int]


def number(value: int) -> bytes:
    """A number of any size, 7 bits a byte, the lowest first; negative ones as 64 bits."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(key: int, value: int | float | str | bytes) -> bytes:
    """A field of a message: a number, a 32-bit float, or what has a length."""
    if isinstance(value, int):
        return number(key << 3) + number(value)
    if isinstance(value, float):
        return number(key << 3 | FIXED32) + struct.pack("<f", value)
    data = value.encode() if isinstance(value, str) else value
    return number(key << 3 | LENGTH) + number(len(data)) + data


def fields(data: bytes) -> Iterator[tuple[int, Any, bytes]]:
    """Each field of a message: its key, its value (int, or bytes), and both as they stand there.

    Raises ModelError where that is no message.
    """
    at = 0
    while at < len(data):
        start = at
        tag, at = _read_number(data, at)
        kind = tag & 7
        value: int | bytes
        if kind == 0:
            value, at = _read_number(data, at)
        elif kind in (LENGTH, FIXED32, FIXED64):
            size = {FIXED32: 4, FIXED64: 8}.get(kind, 0)
            if kind == LENGTH:
                size, at = _read_number(data, at)
            value, at = data[at : at + size], at + size
        else:
            raise ModelError("no ONNX file: it has a field of an unknown kind")
        if at > len(data):
            raise ModelError("no whole ONNX file: it ends in the middle of a field")
        yield tag >> 3, value, data[start:at]


def _read_number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data):
            raise ModelError("no whole ONNX file: it ends in the middle of a number")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


class Network:
    """A network's file, taken apart: one input and one output, both of which may be of any size."""

    def __init__(self, model: bytes) -> None:
        """`model` holds the file. Raises ModelError where it is no ONNX, or has more ins and outs."""
        self.nodes: list[bytes] = []
        self.constants: list[bytes] = []
        self.head = b""
        """ONNX's version and those of the operators' sets."""
        self.half = False
        """Whether it computes, and gives its alpha, in float16."""
        self.any_number = True
        """Whether it takes any number of pictures at once."""
        self.facts: dict[str, str] = {}
        """What `livecut export` wrote of it."""
        names: dict[int, list[str]] = {11: [], 12: []}
        for key, value, raw in fields(model):
            if key in (1, 8):  # ir_version, opset_import
                self.head += raw
            elif key == 14:  # metadata_props
                pair = {k: v.decode() for k, v, _ in fields(value)}
                self.facts[pair.get(1, "")] = pair.get(2, "")
            elif key == 7:
                for k, v, _ in fields(value):
                    if k == 1:
                        self.nodes.append(v)
                    elif k == 5:
                        self.constants.append(v)
                    elif k in names:
                        names[k].append(_first(v, 1, b"").decode())
                        self.any_number = self.any_number and not _first_side(v)
        if len(names[11]) != 1 or len(names[12]) != 1:
            raise ModelError("this network has not one input and one output")
        self.input, self.output = names[11][0], names[12][0]
        self.channels = 3 + int(self.facts.get("livecut.memory", 0))
        """Of its input: BGR, and with memory what it gave for the frame before."""

    def to_half(self) -> Network:
        """The same in float16, what steers a Resize left out. Raises ModelError where it cannot be."""
        half = Network.__new__(Network)
        half.__dict__.update(self.__dict__, half=True)
        steering = {
            name.decode()
            for node in self.nodes
            if _first(node, 4, b"") == b"Resize"
            for name in [v for k, v, _ in fields(node) if k == 1][1:]
        }
        half.constants = [
            c if _first(c, 8, b"").decode() in steering else _half_tensor(c) for c in self.constants
        ]
        half.nodes = [_half_node(node) for node in self.nodes]
        return half


def _first(message: bytes, key: int, default: Any) -> Any:
    return next((value for k, value, _ in fields(message) if k == key), default)


def _first_side(info: bytes) -> int:
    """The first side of an input or output, 0 where it is open."""
    for key in (2, 1, 2, 1):  # type, tensor_type, shape, dim
        info = _first(info, key, b"")
    side: int = _first(info, 1, 0)
    return side


def _half_tensor(tensor: bytes) -> bytes:
    """A tensor in float16 where it is float32."""
    if _first(tensor, 2, 0) != FLOAT:
        return tensor
    if (data := _first(tensor, 9, None)) is None:
        raise ModelError("this network's weights are not stored as bytes, and cannot be halved")
    with np.errstate(over="ignore"):
        raw = np.frombuffer(data, "<f4").astype("<f2").tobytes()
    rest = b"".join(whole for k, _, whole in fields(tensor) if k not in (2, 9))
    return rest + field(2, HALF) + field(9, raw)


def _half_node(node: bytes) -> bytes:
    """A node with float16 for float32 in what it casts to and in its constants."""
    kind = _first(node, 4, b"")
    if kind not in (b"Cast", b"Constant"):
        return node
    out = b""
    for key, value, raw in fields(node):
        if key != 5:
            out += raw
            continue
        for k, v, whole in fields(value):
            if kind == b"Cast" and k == 3 and v == FLOAT:
                value = value.replace(whole, field(3, HALF))
            elif k == 5:
                value = value.replace(whole, field(5, _half_tensor(v)))
        out += field(5, value)
    return out


def outside(name: str) -> str:
    """What a graph's input or output is called in the file: as no value of a network is."""
    return f"livecut/{name}"


class Graph:
    """A graph in the making. Each value is known by its name; all shapes are fixed."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []
        self._inputs: list[bytes] = []
        self._outputs: list[bytes] = []
        self._head = b""
        self._number = count()

    def input(self, name: str, dtype: DTypeLike, shape: Sequence[int]) -> str:
        """A value that comes from outside, where it is called as `outside` says."""
        name = outside(name)
        self._inputs.append(_declare(name, dtype, shape))
        return name

    def output(self, name: str, value: str, dtype: DTypeLike, shape: Sequence[int]) -> None:
        """Give a value to the outside."""
        name = outside(name)
        self._add("Identity", [value], [name])
        self._outputs.append(_declare(name, dtype, shape))

    def constant(self, value: NDArray[Any] | Sequence[int] | float) -> str:
        """A value that is fixed: an array as it is, whole numbers as int64, one number as float32."""
        array = np.asarray(value, np.float32 if isinstance(value, float) else None)
        array = array.astype(array.dtype.newbyteorder("<"))
        name = self._name()
        dims = b"".join(field(1, n) for n in array.shape)
        kind = field(2, TYPES[array.dtype])
        self._constants.append(dims + kind + field(8, name) + field(9, array.tobytes()))
        return name

    def __call__(self, op: str, *values: str, **attributes: Value) -> str:
        """The result of an operator of ONNX; a value may be "" where the operator can do without."""
        [name] = self.several(op, 1, *values, **attributes)
        return name

    def several(self, op: str, outputs: int, *values: str, **attributes: Value) -> list[str]:
        """The results of an operator that gives several."""
        names = [self._name() for _ in range(outputs)]
        self._add(op, values, names, attributes)
        return names

    def network(self, network: Network, image: str) -> str:
        """The alpha, float32, that a network makes of an image; once in a graph."""
        self._add("Identity", [image], [network.input])
        self._nodes += network.nodes
        self._constants += network.constants
        self._head = network.head
        return self("Cast", network.output, to=FLOAT) if network.half else network.output

    def __bytes__(self) -> bytes:
        """The file, complete once `network` was called."""
        parts = {1: self._nodes, 5: self._constants, 11: self._inputs, 12: self._outputs}
        whole = b"".join(field(key, part) for key, found in parts.items() for part in found)
        return self._head + field(7, whole + field(2, "livecut"))

    def _name(self) -> str:
        return f"livecut/{next(self._number)}"

    def _add(
        self,
        op: str,
        values: Sequence[str],
        outputs: Sequence[str],
        attributes: dict[str, Value] | None = None,
    ) -> None:
        node = b"".join(field(1, v) for v in values) + b"".join(field(2, o) for o in outputs)
        node += field(3, f"{op}/{outputs[0]}") + field(4, op)
        self._nodes.append(node + b"".join(_attribute(*a) for a in (attributes or {}).items()))


def _attribute(name: str, value: Value) -> bytes:
    if isinstance(value, float):
        body, kind = field(2, value), 1
    elif isinstance(value, int):
        body, kind = field(3, value), 2
    elif isinstance(value, str):
        body, kind = field(4, value), 3
    else:
        body, kind = b"".join(field(8, n) for n in value), 7
    return field(5, field(1, name) + body + field(20, kind))


def _declare(name: str, dtype: DTypeLike, shape: Sequence[int]) -> bytes:
    dims = b"".join(field(1, field(1, n)) for n in shape)
    kind = field(1, TYPES[np.dtype(dtype)]) + field(2, dims)
    return field(1, name) + field(2, field(1, kind))
