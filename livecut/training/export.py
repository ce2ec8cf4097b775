"""Export of a checkpoint: safetensors for PyTorch, ONNX for everything else."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save as to_bytes

from livecut.errors import ModelError
from livecut.evaluation.dataset import read_folder
from livecut.files import atomic_write
from livecut.network.base import Facts, Network, Portable
from livecut.processors.cuda.precision import HALF_TOLERANCE
from livecut.training.checkpoint import load_earlier
from livecut.training.deploy import deployable, disagreement, write_onnx
from livecut.training.settings import recipe, to_toml

if TYPE_CHECKING:
    from livecut.training.quantise import Figures

TOLERANCE = 1e-3
"""How far ONNX Runtime's alpha (0..1) may lie from PyTorch's: a quarter of one grey level."""


@dataclass(frozen=True)
class Exported:
    """The files written, and how near they are to the checkpoint."""

    files: list[Path]
    difference: float | None
    """The largest of alpha (0..1) between ONNX Runtime and PyTorch; None where there is no ONNX."""
    figures: tuple[Figures, Figures] | None
    """Figures on the validation pictures, exact and in int8; None where there is no int8."""


def export(
    checkpoint: Path,
    out: Path,
    calibrate: Path | None = None,
    others: Sequence[Path] = (),
    *,
    float16: bool = False,
) -> Exported:
    """Write a checkpoint of `livecut train` for use, and the settings that reproduce it (.toml).

    `out` ends in .onnx, which the .safetensors comes beside, or in .safetensors for that alone. A
    .safetensors in place of the checkpoint gives the .onnx alone. With `others`, checkpoints or
    .safetensors of the same network, the mean of all their weights is written, to .onnx and
    .safetensors, for the first's input size (model soups, Wortsman et al., 2022: good where the
    runs began from the same weights). With `calibrate`, a folder of labelled pictures, the network
    is written in int8 too, see `livecut.training.quantise`; with `float16` in half precision
    (.float16.onnx), whose alpha may lie `HALF_TOLERANCE` from the exact one. Raises ModelError, and
    writes nothing, where ONNX Runtime's alpha over random and flat pictures of several shapes
    differs from PyTorch's by more than `TOLERANCE`, the checkpoint is not ours, ONNX cannot
    express it, or int8 loses too much; ConfigError where there are no such pictures.
    """
    if out.suffix not in (".onnx", ".safetensors"):
        raise ModelError(
            f"cannot export to {out}; expected a file that ends in .onnx or .safetensors"
        )
    if not out.parent.is_dir():
        raise ModelError(f"no folder {out.parent} to write {out.name} in; make it first")
    to_onnx = out.suffix == ".onnx"
    anew = bool(others) or checkpoint.suffix != ".safetensors"
    if not to_onnx and (calibrate or float16 or not anew):
        raise ModelError(f"nothing to write to {out.name}; give -o {out.with_suffix('.onnx').name}")
    network, facts, text = _read(checkpoint, out)
    if others:
        text = ""
        _average(network, facts, others, out)
    difference, figures = None, None
    with ExitStack() as files:

        def file(suffix: str) -> Path:
            path = out.with_suffix(suffix)
            part = files.enter_context(atomic_write(path))
            written.append(path)
            return part

        written: list[Path] = []
        if to_onnx:
            part = file(".onnx")
            write_onnx(deployable(network), facts, part)
            difference = disagreement(Portable(network).eval(), facts, part)
            _require_near(difference, TOLERANCE)
            if float16:
                part16 = file(".float16.onnx")
                write_onnx(Portable(copy.deepcopy(network), torch.float16).eval(), facts, part16)
                _require_near(disagreement(Portable(network).eval(), facts, part16), HALF_TOLERANCE)
            if calibrate:
                from livecut.training.quantise import quantise

                figures = quantise(network, facts, read_folder(calibrate), part, file(".int8.onnx"))
        if anew:
            about = {"network": facts.network, "area": str(facts.area)}
            file(".safetensors").write_bytes(to_bytes(network.state_dict(), about))
        if text:
            file(".toml").write_text(text, encoding="utf-8")
    return Exported(written, difference, figures)


def _require_near(difference: float, tolerance: float) -> None:
    """Raise ModelError where alpha is further from PyTorch's than allowed, or not finite."""
    if not difference <= tolerance:
        raise ModelError(
            f"the exported network differs from PyTorch's by {difference:.2g} in alpha, more "
            f"than {tolerance:.2g}; nothing was written"
        )


def _read(path: Path, out: Path) -> tuple[Network, Facts, str]:
    """The network, its facts, and a run's settings as TOML, of one that `out` can hold."""
    network, facts, settings = load_earlier(path)
    if out.suffix == ".onnx" and not network.exportable:
        raise ModelError(
            f"{facts.network} cannot be exported to ONNX; give -o "
            f"{out.with_suffix('.safetensors')}, "
            "which --engine torch runs"
        )
    try:
        return network, facts, to_toml(recipe(settings)) if settings else ""
    except KeyError as error:
        raise ModelError(f"{path} is no checkpoint of 'livecut train': {error}") from error


def _average(network: Network, facts: Facts, others: Sequence[Path], out: Path) -> None:
    """Put the mean of its own and the others' weights into a network; counters stay its own."""
    states = []
    for path in others:
        other, its, _ = _read(path, out)
        if its.network != facts.network:
            raise ModelError(
                f"{path} is {its.network}, the first {facts.network}; expected the same network"
            )
        states.append(other.state_dict())
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.stack([value, *(state[name] for state in states)]).mean(0))
