"""Networks by name."""

from __future__ import annotations

from types import ModuleType

from livecut.errors import ModelError
from livecut.models import REFERENCES
from livecut.network.base import Network
from livecut.network.unet import (
    DeepMobileUNet,
    EfficientUNet,
    MobileUNet,
    UNet,
)

NETWORKS: dict[str, type[Network]] = {
    "live": MobileUNet,
    "deep": DeepMobileUNet,
    "quality": EfficientUNet,
    "unet": UNet,
}
"""What `livecut train --model` takes, besides `REFERENCES`."""


def build(name: str) -> Network:
    """A network by its name, with fresh weights.

    Raises ModelError for an unknown name, or where torchvision's is asked for and it is missing.
    """
    if name in NETWORKS:
        return NETWORKS[name]()
    if name not in REFERENCES:
        known = ", ".join((*sorted(NETWORKS), *REFERENCES))
        raise ModelError(f"unknown network '{name}'; known are: {known}")
    network: Network = references().reference(name)
    return network


def references() -> ModuleType:
    """The module of torchvision's networks, which imports torchvision. Raises ModelError without it."""
    try:
        from livecut.network import reference
    except ImportError as error:
        raise ModelError(
            f'this network needs {error.name}; install it with: pip install "livecut[torch]"'
        ) from error
    return reference
