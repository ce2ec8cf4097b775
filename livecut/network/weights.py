"""Networks on disk: safetensors files, which can run no code."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from livecut.errors import ModelError
from livecut.network.base import Facts, Network
from livecut.network.build import build


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
