"""A training run: AdamW, cosine learning rate, averaged weights, mixed precision on CUDA."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from livecut.errors import ModelError
from livecut.evaluation.dataset import Data
from livecut.models import input_size
from livecut.network.base import Network, normalise
from livecut.network.build import build
from livecut.training.checkpoint import (
    earlier_weights,
    freeze,
    load_earlier,
    load_encoder,
    load_start,
)
from livecut.training.data import SHAPES, Augmented, Batches
from livecut.training.losses import measure
from livecut.training.parallel import Group
from livecut.training.settings import TrainSettings

PREFETCH = 4
"""Batches that each worker has ready."""


AVERAGE = "average"
"""Name in the settings for a run's own averaged weights as the teacher."""


class Teacher:
    """A network that another learns from: its alpha of a picture and of its mirror image."""

    def __init__(self, network: Network, area: int) -> None:
        self._network = network.eval()
        self.area, self.stride = area, network.stride

    @torch.no_grad()
    def distillation_target(
        self, image: Tensor, target: Tensor, area: int, stride: int
    ) -> tuple[Tensor, Tensor]:
        """The image for another network, of `area` pixels, and the mean of target and own alpha as
        its target.

        `image` is float RGB (N, 3, H, W) of the teacher's size, `target` (N, 1, H, W).
        """
        mirrored = self._network(image.flip(3)).flip(3)
        alpha = (torch.sigmoid(self._network(image).float()) + torch.sigmoid(mirrored.float())) / 2
        full = F.interpolate(alpha, target.shape[2:], mode="bilinear", align_corners=False)
        mean = (target + full) / 2
        width, height = input_size(image.shape[3], image.shape[2], area, stride)
        if (height, width) == image.shape[2:]:
            return image, mean
        small, mean = (
            F.interpolate(x, (height, width), mode="bilinear", antialias=True)
            for x in (image, mean)
        )
        return small.contiguous(memory_format=torch.channels_last), mean


def teacher_for(settings: TrainSettings, averaged: Network, device: torch.device) -> Teacher | None:
    """The teacher that a run's settings name, if any. Raises ModelError where it cannot be one."""
    if not settings.teacher:
        return None
    if settings.teacher == AVERAGE:
        return Teacher(averaged, settings.area)
    network, facts, _ = load_earlier(earlier_weights(settings.teacher))
    return Teacher(network.to(device).to(memory_format=torch.channels_last), facts.area)


class Objective(nn.Module):
    """Bytes in, losses by name out.

    Images are uint8 BGR (N, H, W, 3), masks uint8 (N, H, W), 255 = person.
    """

    def __init__(self, network: Network, settings: TrainSettings, teacher: Teacher | None) -> None:
        super().__init__()
        self.network = network
        self._settings, self._teacher = settings, teacher

    def forward(self, image: Tensor, mask: Tensor) -> dict[str, Tensor]:
        settings = self._settings
        x, target = channels_last(image), mask[:, None].float() / 255
        if self._teacher:
            x, target = self._teacher.distillation_target(
                x, target, settings.area, self.network.stride
            )
        return self.network.losses(x, target, self._measure)

    def _measure(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        return measure(self._settings.loss, logits, target, self._settings.person_weight)


def channels_last(image: Tensor) -> Tensor:
    """Bytes as the network takes them."""
    return normalise(image).contiguous(memory_format=torch.channels_last)


def precision(device: torch.device, chosen: str) -> torch.dtype:
    """What convolutions are computed in, by its name; "auto" is bfloat16 or float16 on CUDA as the
    card has it, else float32.
    """
    if chosen != "auto":
        found = getattr(torch, chosen)
        assert isinstance(found, torch.dtype)
        return found
    if device.type != "cuda":
        return torch.float32
    own = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if own else torch.float16


def lr_schedule(step: int, steps: int) -> float:
    """The share of the peak learning rate at a step: a short linear start, then a cosine to 1 %."""
    warm = min(200, steps // 10)
    if step < warm:
        return (step + 1) / warm
    return 0.01 + 0.99 * (1 + math.cos(math.pi * (step - warm) / (steps - warm))) / 2


class Run:
    """A training run: all that last.pt holds, and what moves it on by a step.

    On the CPU a step depends on the state, the seed and the number of the step alone, so that a run
    that was killed and resumed equals one that was not, bit by bit. On CUDA the samples and the
    first weights do; its kernels add up in no fixed order.
    """

    def __init__(self, settings: TrainSettings, group: Group, state: dict[str, Any] | None) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.group = settings, group
        network = build(settings.model)
        if state is None and settings.encoder:
            load_encoder(network, settings.encoder)
        if state is None and settings.start:
            load_start(network, earlier_weights(settings.start))
        network.to(group.device).to(memory_format=torch.channels_last)
        self.averaged = copy.deepcopy(network)
        self._teacher = teacher_for(settings, self.averaged, group.device)
        group.synchronise_norms(network)
        self.network = network
        slow = (
            {id(p) for p in network.encoder_parameters()}
            if settings.encoder or settings.start
            else set()
        )
        groups = [
            {"params": [p for p in network.parameters() if id(p) in slow], "lr": settings.lr / 3},
            {"params": [p for p in network.parameters() if id(p) not in slow], "lr": settings.lr},
        ]
        self.optimiser = torch.optim.AdamW(
            [g for g in groups if g["params"]], weight_decay=settings.weight_decay
        )
        self._peaks = [group["lr"] for group in self.optimiser.param_groups]
        dtype = precision(group.device, settings.precision)
        self._cast = torch.autocast(group.device.type, dtype, enabled=dtype != torch.float32)
        self._scaler = torch.amp.GradScaler(group.device.type, enabled=dtype == torch.float16)
        self.step, self.best = 0, -1.0
        if state is not None:
            try:
                network.load_state_dict(state["network"])
                self.averaged.load_state_dict(state["averaged"])
                self.optimiser.load_state_dict(state["optimiser"])
                self._scaler.load_state_dict(state["scaler"])
                self.step, self.best = state["step"], state["best"]
            except (KeyError, RuntimeError, ValueError) as error:
                reason = str(error).splitlines()[0].rstrip(":")
                raise ModelError(
                    f"{settings.output / 'last.pt'} is of another run: {reason}; resume with "
                    "--config "
                    f"{settings.output / 'settings.toml'}, or give another --output"
                ) from error
        self._frozen = freeze(network, settings.freeze)
        self._objective = group.averaging(Objective(network, settings, self._teacher))
        self._sums: dict[str, Tensor] = {}
        self._summed = 0

    def loader(self, data: Data) -> Iterable[tuple[Tensor, ...]]:
        """The process's share of the batches that are left; its workers last for all of them."""
        settings, cuda = self.settings, self.group.device.type == "cuda"
        seen = self._teacher or settings
        stride = self._teacher.stride if self._teacher else self.network.stride
        batches = Batches(
            data,
            settings.batch,
            [input_size(w, h, seen.area, stride) for w, h in SHAPES],
            settings.seed,
            self.step,
            settings.steps,
            dict(settings.weights),
            share=(self.group.rank, self.group.count),
        )
        loader: Iterable[tuple[Tensor, ...]] = DataLoader(
            Augmented(data),
            batch_sampler=batches,
            num_workers=settings.workers,
            prefetch_factor=PREFETCH if settings.workers else None,
            pin_memory=cuda,
            worker_init_fn=one_thread,
        )
        return loader

    def advance(self, *batch: Tensor) -> None:
        """Learn from the process's share of a batch, which are `Objective`'s arguments."""
        settings, device = self.settings, self.group.device
        place = (settings.seed, self.step, self.group.rank)
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0]))
        self.network.train()
        for block in self._frozen:
            block.eval()
        for group, peak in zip(self.optimiser.param_groups, self._peaks, strict=True):
            group["lr"] = peak * lr_schedule(self.step, settings.steps)
        there = [x.to(device, non_blocking=True) for x in batch]
        with self._cast:
            losses = self._objective(*there)
        loss = torch.stack(list(losses.values())).sum()
        self.optimiser.zero_grad()
        torch.autograd.backward(self._scaler.scale(loss))
        self._scaler.unscale_(self.optimiser)
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self._scaler.step(self.optimiser)
        self._scaler.update()
        self.step += 1
        decay = min(settings.average, (1 + self.step) / (10 + self.step))
        update_average(self.averaged, self.network, decay)
        self._summed += 1
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0) + value.detach()

    def losses(self) -> dict[str, float]:
        """Means by name over the steps since the last call and all processes, each of which must
        call.

        Raises ModelError where they are no numbers.
        """
        means = self.group.mean(torch.stack(list(self._sums.values())) / self._summed).tolist()
        found = dict(zip(self._sums, means, strict=True))
        self._sums, self._summed = {}, 0
        if not all(map(math.isfinite, means)):
            raise ModelError(
                f"the loss is {sum(means)} at step {self.step}; resume with a lower --lr"
            )
        return found

    def result(self) -> dict[str, Any]:
        """State that can be exported."""
        return {
            "averaged": self.averaged.state_dict(),
            "settings": self.settings.plain(),
            "step": self.step,
        }

    def state(self) -> dict[str, Any]:
        """State that the run can be resumed from."""
        return self.result() | {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self._scaler.state_dict(),
            "best": self.best,
        }


def one_thread(_: int) -> None:
    """Keep OpenCV to one thread in a worker of the loader: more would fight for the cores."""
    cv2.setNumThreads(1)


@torch.no_grad()
def update_average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    """Move `averaged` towards `network`; what is not floating point (counters) is copied."""
    both = [*zip(averaged.state_dict().values(), network.state_dict().values(), strict=True)]
    for a, b in both:
        if not a.is_floating_point():
            a.copy_(b)
    floats = [pair for pair in both if pair[0].is_floating_point()]
    move = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    move([a for a, _ in floats], [b for _, b in floats], 0)
