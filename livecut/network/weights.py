"""Networks on disk: safetensors files, which can run no code."""

from __future__ import annotations

import contextlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from livecut.errors import ModelError
from livecut.network import build
from livecut.network.base import Network


@dataclass(frozen=True)
class Facts:
    """What a weights file says of itself."""

    network: str
    area: int


def load_weights(path: Path) -> tuple[Network, Facts]:
    """The network in a safetensors file, in evaluation mode. Raises ModelError."""
    try:
        with path.open("rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))["__metadata__"]
        facts = Facts(header["network"], int(header["area"]))
        network = build(facts.network)
        network.load_state_dict(load_file(path))
    except (OSError, KeyError, ValueError, struct.error, SafetensorError, RuntimeError) as error:
        raise ModelError(f"{path} is no livecut weights file: {error}") from error
    return network.eval(), facts


@contextlib.contextmanager
def downloading(what: str) -> Iterator[None]:
    """Turn a failure of torchvision's downloads into a ModelError."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise ModelError(
            f"{what} cannot be downloaded: {error}; try on a machine with a network, or put the file "
            "into torch's cache of checkpoints"
        ) from error
