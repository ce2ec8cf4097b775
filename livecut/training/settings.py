"""What a training run depends on, and the TOML files that say it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from livecut.models import input_size

OF_THE_MACHINE = ("data", "out", "workers", "device")
"""What a recipe leaves out: it changes where and how fast a run is, not what is learnt."""


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Everything that a training run depends on."""

    data: Path
    out: Path
    model: str = "live"
    encoder: str = ""
    """Pretrained weights. For `live` or `deep` a torchvision mobilenet_v2 file, or "imagenet" to download
    it; for torchvision's networks "imagenet" or "coco", both downloaded."""
    start: str = ""
    """Weights to go on from: a checkpoint or a .safetensors of the same network."""
    freeze: int = 0
    """How many of the encoder's first features stay as they are, statistics too. Their layers are
    the largest, so that a step costs a third less."""
    size: tuple[int, int] = (288, 160)
    """(width, height) of the network's input for a 16:9 picture; others get as many pixels."""
    steps: int = 8000
    batch: int = 16
    """Pictures in a step, of all processes together."""
    lr: float = 1e-3
    weight_decay: float = 1e-2
    weights: tuple[tuple[str, float], ...] = ()
    """How often a source's pictures are drawn, by source; 1 for those not named."""
    loss: tuple[str, ...] = ("bce", "dice")
    """The losses that are added up, NAME or NAME=WEIGHT, of `livecut.training.losses.LOSSES`; Mask R-CNN
    has its own."""
    composites: float = 0.25
    """The share of the pictures whose person is put before a room."""
    teacher: str = ""
    """Weights of a larger network, a .safetensors or a checkpoint; or "average", the run's own averaged ones
    (mean teacher; Tarvainen and Valpola, 2017). Pictures are then made at its size, and what is learnt is
    the mean of the mask and its alpha (distillation; Hinton et al., 2015)."""
    person_weight: float = 1.0
    average: float = 0.998
    """Decay of the exponential average of weights (an average over about 500 steps)."""
    validate_every: int = 1000
    save_every: int = 500
    """Steps between two states that a run can be resumed from; each validation leaves one too."""
    seed: int = 0
    workers: int = 1
    """Processes that read and augment, for each process that trains."""
    device: str = "auto"
    precision: str = "auto"
    """What convolutions are computed in: auto (see `livecut.training.run.precision`), float32 or bfloat16,
    which new CPUs too are faster in."""

    @property
    def area(self) -> int:
        """Pixels of the network's input; its shape varies with the batch."""
        return self.size[0] * self.size[1]

    def plain(self) -> dict[str, Any]:
        """As a checkpoint holds them: paths as text, and `area`, which the network's users need."""
        plain = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(self).items()}
        return plain | {"area": self.area}


def options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint's settings as the options of `livecut train` by name."""
    width, height = settings.get("size") or input_size(16, 9, settings["area"], 16)
    weights = [f"{source}={number:g}" for source, number in settings["weights"]]
    rest = {k: v for k, v in settings.items() if k != "area"}
    return rest | {"size": f"{width}x{height}", "weights": weights}


def recipe(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The options that reproduce a network anywhere: of files their names alone, no `OF_THE_MACHINE`."""
    kept = {k: v for k, v in options(settings).items() if k not in OF_THE_MACHINE}
    return kept | {key: Path(kept[key]).name for key in ("encoder", "start", "teacher")}


def staged(options: Mapping[str, Any], stages: Sequence[Mapping[str, Any]]) -> list[TrainSettings]:
    """What each of several runs one after another depends on: `options`, and the stage's own in their place.

    Each has a folder in `out` by its number, 1 the first; all but the first start from the best checkpoint of
    the one before, where they do not say another.
    """
    found: list[TrainSettings] = []
    for number, stage in enumerate(stages, 1):
        start = {"encoder": "", "start": str(found[-1].out / "best.pt")} if found else {}
        out = {"out": options["out"] / str(number)}
        found.append(TrainSettings(**{**options, **start, **stage, **out}))
    return found


def to_toml(values: Mapping[str, Any]) -> str:
    """Options as a TOML document; JSON's text, numbers, truth and lists are TOML's."""
    lines = [f"{k} = {json.dumps(v, ensure_ascii=False)}" for k, v in values.items()]
    return "\n".join(["# For: livecut train --data DIR --out DIR --config THIS", *lines, ""])
