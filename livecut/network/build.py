"""Networks by name."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from livecut.errors import ModelError
from livecut.models import REFERENCES

if TYPE_CHECKING:
    from livecut.network.base import Network

NETWORKS = {
    "live": "livecut.network.unet:MobileUNet",
    "deep": "livecut.network.unet:DeepMobileUNet",
    "quality": "livecut.network.unet:EfficientUNet",
    "unet": "livecut.network.unet:UNet",
}
"""Classes of networks, as "module:Class", by the names that `livecut train --model` takes, besides
`REFERENCES`."""


def build(name: str) -> Network:
    """A network by its name, with fresh weights.

    Raises ModelError for an unknown name, or where torchvision's is asked for and it is missing.
    """
    if name in NETWORKS:
        module, _, attribute = NETWORKS[name].partition(":")
        network: Network = getattr(import_module(module), attribute)()
        return network
    if name not in REFERENCES:
        raise ModelError(f"unknown network '{name}'; known are: {', '.join(network_names())}")
    reference: Network = references().reference(name)
    return reference


def network_names() -> list[str]:
    """The names that `build` takes; nothing is imported."""
    return [*NETWORKS, *REFERENCES]


def references() -> ModuleType:
    """The module of torchvision's networks. Raises ModelError where torchvision is missing."""
    try:
        from livecut.network import reference
    except ImportError as error:
        raise ModelError(
            f'this network needs {error.name}; install it with: pip install "livecut[torch]"'
        ) from error
    return reference
