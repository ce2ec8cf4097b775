"""The training loop: AdamW, cosine learning rate, averaged weights, resume from a checkpoint."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

from livecut.errors import ConfigError, ModelError
from livecut.labelled import Pair, read_folder
from livecut.metrics import iou
from livecut.models import input_size
from livecut.network import alpha_at, build, normalise, torch_device
from livecut.network.unet import MobileUNet, UNet
from livecut.network.weights import load_weights
from livecut.training.data import SHAPES, Augmented, Batches
from livecut.training.losses import total


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Everything that a training run depends on."""

    data: Path
    out: Path
    model: str = "live"
    encoder: str = ""
    """ImageNet weights for `live` or `deep`: a torchvision mobilenet_v2 file, or "imagenet" to download it."""
    start: str = ""
    """Weights to go on from: a checkpoint or a .safetensors of the same network."""
    freeze: int = 0
    """How many of the encoder's first features stay as they are, statistics too. Their layers are
    the largest, so that a step costs a third less."""
    steps: int = 8000
    batch: int = 16
    area: int = 256 * 144
    """Pixels of the network's input; its shape varies with the batch."""
    lr: float = 1e-3
    weight_decay: float = 1e-2
    weights: tuple[tuple[str, float], ...] = ()
    """How often a source's pictures are drawn, by source; 1 for those not named."""
    loss: tuple[str, ...] = ("bce", "dice")
    """The losses that are added up, of `livecut.training.losses.LOSSES`."""
    person_weight: float = 1.0
    average: float = 0.998
    """Decay of the exponential average of weights (an average over about 500 steps)."""
    validate_every: int = 1000
    seed: int = 0
    workers: int = 1
    device: str = "auto"


def load_encoder(network: nn.Module, encoder: str) -> None:
    """Put torchvision's ImageNet MobileNetV2 weights into a MobileUNet's encoder. Raises ModelError."""
    if not isinstance(network, MobileUNet):
        raise ModelError(
            "only the networks 'live' and 'deep' take a pretrained encoder; leave --encoder out"
        )
    if encoder == "imagenet":
        from torchvision.models import MobileNet_V2_Weights

        state = MobileNet_V2_Weights.IMAGENET1K_V1.get_state_dict(progress=False, check_hash=True)
    else:
        state = load_checkpoint(Path(encoder))
    for block, number in zip(network.features, network.numbers, strict=True):
        try:
            block.load_state_dict({k: state[f"features.{number}.{k}"] for k in block.state_dict()})
        except (KeyError, RuntimeError) as error:
            raise ModelError(f"{encoder} is no torchvision mobilenet_v2: {error}") from error


def freeze(network: nn.Module, count: int) -> list[nn.Module]:
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


def load_start(network: nn.Module, path: Path) -> None:
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


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A file written by torch.save, tensors and plain values only. Raises ModelError."""
    if not path.is_file():
        raise ModelError(f"no checkpoint {path}; give an existing file")
    try:
        found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelError(f"{path} cannot be read as a PyTorch checkpoint: {error}") from error
    return found


@torch.inference_mode()
def validate(network: UNet | MobileUNet, pairs: list[Pair], area: int) -> tuple[float, float]:
    """Mean IoU at the pictures' own size, in percent: (all, webcam-like; nan where there is none)."""
    network.eval()
    device = next(network.parameters()).device
    scores = []
    for pair in pairs:
        image, mask = pair.read()
        size = (image.shape[1], image.shape[0])
        small = cv2.resize(
            image, input_size(*size, area, network.stride), interpolation=cv2.INTER_AREA
        )
        logits = network(normalise(torch.from_numpy(small)[None].to(device)))
        alpha = (alpha_at(logits, size)[0] * 255).byte().cpu().numpy()
        scores.append(100 * iou(alpha, mask))
    webcam = [s for s, p in zip(scores, pairs, strict=True) if p.webcam_like is not False]
    return float(np.mean(scores)), float(np.mean(webcam)) if webcam else math.nan


def save(state: dict[str, Any], path: Path) -> None:
    """Write a checkpoint so that it is there whole or not at all."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def train(
    settings: TrainSettings,
    *,
    resume: bool = False,
    report: Callable[[int, float, tuple[float, float] | None], None] = lambda *_: None,
) -> Path:
    """Train a network and return the path of its best checkpoint, `out`/best.pt.

    `report` gets (step, smoothed loss, validation IoU or None) after each step. `out`/last.pt holds
    the whole state; with `resume` it is continued from there. Raises ConfigError and ModelError.
    """
    torch.manual_seed(settings.seed)
    data = read_folder(settings.data)
    device = torch_device(settings.device)
    network = build(settings.model).to(device).to(memory_format=torch.channels_last)
    last = settings.out / "last.pt"
    state = load_checkpoint(last) if resume else None
    if state is None and last.exists():
        raise ConfigError(f"{last} is there already; add --resume, or give another --out")
    if state is None and settings.encoder:
        load_encoder(network, settings.encoder)
    if state is None and settings.start:
        load_start(network, Path(settings.start))
    averaged = build(settings.model).to(device)
    averaged.load_state_dict(network.state_dict())
    encoder = (
        {id(p) for p in network.features.parameters()}
        if (settings.encoder or settings.start) and isinstance(network, MobileUNet)
        else set()
    )
    groups = [
        {"params": [p for p in network.parameters() if id(p) in encoder], "lr": settings.lr / 3},
        {"params": [p for p in network.parameters() if id(p) not in encoder], "lr": settings.lr},
    ]
    optimiser = torch.optim.AdamW(
        [g for g in groups if g["params"]], weight_decay=settings.weight_decay
    )
    warm = min(200, settings.steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda n: (
            (n + 1) / warm
            if n < warm
            else 0.01 + 0.99 * (1 + math.cos(math.pi * (n - warm) / (settings.steps - warm))) / 2
        ),
    )
    step, best, smooth = 0, -1.0, math.nan
    if state is not None:
        network.load_state_dict(state["network"])
        averaged.load_state_dict(state["averaged"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        step, best, smooth = state["step"], state["best"], state["loss"]
    settings.out.mkdir(parents=True, exist_ok=True)
    sizes = [input_size(w, h, settings.area, network.stride) for w, h in SHAPES]
    batches = Batches(
        data, settings.batch, sizes, settings.seed, step, settings.steps, dict(settings.weights)
    )
    loader = DataLoader(Augmented(data), batch_sampler=batches, num_workers=settings.workers)
    frozen = freeze(network, settings.freeze)
    for image, mask in loader:
        network.train()
        for block in frozen:
            block.eval()
        target = mask.to(device)[:, None].float() / 255
        target = F.avg_pool2d(target, network.output_stride)
        x = normalise(image.to(device)).contiguous(memory_format=torch.channels_last)
        logits = network(x)
        loss = total(settings.loss, logits, target, settings.person_weight)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        step += 1
        update_average(averaged, network, min(settings.average, (1 + step) / (10 + step)))
        smooth = loss.item() if math.isnan(smooth) else 0.98 * smooth + 0.02 * loss.item()
        scores = None
        if step % settings.validate_every == 0 or step == settings.steps:
            scores = validate(averaged, data.val, settings.area)
            score = scores[0] if math.isnan(scores[1]) else scores[1]
            plain = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(settings).items()}
            done = {
                "averaged": averaged.state_dict(),
                "settings": plain,
                "step": step,
                "scores": list(scores),
            }
            if score > best:
                best = score
                save(done, settings.out / "best.pt")
            whole = {
                "network": network.state_dict(),
                "optimiser": optimiser.state_dict(),
                "schedule": schedule.state_dict(),
                "best": best,
                "loss": smooth,
            }
            save(done | whole, last)
        report(step, smooth, scores)
    return settings.out / "best.pt"


@torch.no_grad()
def update_average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    """Move `averaged` towards `network`; what is not floating point (counters) is copied."""
    for a, b in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
        if a.is_floating_point():
            a.lerp_(b, 1 - decay)
        else:
            a.copy_(b)
