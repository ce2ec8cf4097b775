"""Checkpoints on disk, and the weights of others that a run begins from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from livecut.errors import ModelError
from livecut.files import whole
from livecut.network import build
from livecut.network.base import Network
from livecut.network.unet import MobileUNet
from livecut.network.weights import downloading, load_weights


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A file written by torch.save, tensors and plain values only. Raises ModelError."""
    if not path.is_file():
        raise ModelError(f"no checkpoint {path}; give an existing file")
    try:
        found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelError(f"{path} cannot be read as a PyTorch checkpoint: {error}") from error
    return found


def save(state: dict[str, Any], path: Path) -> None:
    """Write a checkpoint so that it is there whole or not at all."""
    with whole(path) as part:
        torch.save(state, part)


def load_encoder(network: Network, encoder: str) -> None:
    """Put pretrained weights into a network: torchvision's MobileNetV2 for ImageNet into a MobileUNet's
    encoder, what else there is into the others. Raises ModelError.
    """
    if not isinstance(network, MobileUNet):
        network.load_pretrained(encoder)
        return
    if encoder == "imagenet":
        from torchvision.models import MobileNet_V2_Weights

        weights = MobileNet_V2_Weights.IMAGENET1K_V1
        with downloading("torchvision's mobilenet_v2 for ImageNet"):
            state = weights.get_state_dict(progress=False, check_hash=True)
    else:
        state = load_checkpoint(Path(encoder))
    for block, number in zip(network.features, network.numbers, strict=True):
        try:
            block.load_state_dict({k: state[f"features.{number}.{k}"] for k in block.state_dict()})
        except (KeyError, RuntimeError) as error:
            raise ModelError(f"{encoder} is no torchvision mobilenet_v2: {error}") from error


def freeze(network: Network, count: int) -> list[nn.Module]:
    """Keep the first `count` features of a MobileUNet from learning, and return them. Raises ModelError."""
    if not count:
        return []
    if not isinstance(network, MobileUNet):
        raise ModelError(
            "only the networks 'live' and 'deep' have features to freeze; leave --freeze out"
        )
    blocks = list(network.features[:count])
    for block in blocks:
        block.requires_grad_(False)
    return blocks


def load_start(network: Network, path: Path) -> None:
    """Put the weights of an earlier run, a checkpoint or .safetensors, into a network.

    Of a MobileUNet of another depth the blocks that both have are taken. Raises ModelError.
    """
    if path.suffix == ".safetensors":
        earlier, _ = load_weights(path)
    else:
        state = load_checkpoint(path)
        try:
            earlier = build(state["settings"]["model"])
            earlier.load_state_dict(state["averaged"])
        except (KeyError, RuntimeError) as error:
            raise ModelError(f"{path} is no checkpoint of 'livecut train': {error}") from error
    state = earlier.state_dict()
    if isinstance(network, MobileUNet) and isinstance(earlier, MobileUNet):
        own = dict(zip(network.numbers, network.features, strict=True))
        for block, number in zip(earlier.features, earlier.numbers, strict=True):
            if number in own:
                own[number].load_state_dict(block.state_dict())
        rest = {k: v for k, v in state.items() if not k.startswith("features.")}
        state = network.state_dict() | rest
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(f"{path} holds another network than the one to be trained") from error
