"""What `livecut export` writes about a network into its ONNX file, read without any library."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from livecut.errors import ModelError

METADATA_PROPS = 14
"""Number of the field of ONNX's `ModelProto` that holds pairs of key (1) and value (2)."""
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types of protocol buffers."""


@dataclass(frozen=True)
class Metadata:
    """What an engine has to know of a network."""

    area: int
    """Pixels of the input that it was trained for."""
    stride: int
    """The input's width and height must be multiples of this."""
    output_stride: int
    """How many times smaller than the input alpha is on each side."""
    int8: bool
    """Whether it computes in bytes."""


def read_metadata(path: Path) -> Metadata:
    """The metadata of an ONNX file. Raises ModelError for a file of another kind or origin."""
    try:
        data = memoryview(path.read_bytes())
        pairs = [dict(fields(props)) for key, props in fields(data) if key == METADATA_PROPS]
        found = {str(pair[1], "utf-8"): str(pair.get(2, b""), "utf-8") for pair in pairs}
    except (OSError, ValueError, IndexError, KeyError, TypeError) as error:
        raise ModelError(f"{path} cannot be loaded: it is no ONNX file ({error})") from error
    try:
        return Metadata(
            int(found["livecut.area"]),
            int(found["livecut.stride"]),
            int(found["livecut.output_stride"]),
            "livecut.int8" in found,
        )
    except (KeyError, ValueError):
        raise ModelError(
            f"{path} was not written by 'livecut export': it lacks livecut's metadata; expected "
            "uint8 BGR (N, H, W, 3) in and float alpha (N, h, w) out, or for livecut eval a TOML "
            "that describes it (--adapter)"
        ) from None


def fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of each field of a message; a number's content is left out.

    Raises ValueError or IndexError where the bytes are no message.
    """
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        kind, length = tag & 7, 0
        if kind == VARINT:
            _, at = varint(data, at)
        elif kind in (FIXED64, FIXED32):
            length = 8 if kind == FIXED64 else 4
        elif kind == BYTES:
            length, at = varint(data, at)
        else:
            raise ValueError(f"wire type {kind} at byte {at}")
        if at + length > len(data):
            raise ValueError(f"it ends at byte {len(data)} of {at + length}")
        yield tag >> 3, data[at : at + length]
        at += length


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number of variable length at a place, and the place after it."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError(f"a number of more than 64 bits at byte {at}")
