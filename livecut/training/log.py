"""The log of a training run, log.csv, and curve.png drawn from it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from livecut.errors import ConfigError
from livecut.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Log:
    """A CSV file of the columns step, lr, loss, loss_PART ..., seconds, samples_per_second, iou,
    iou_webcam.

    Losses and samples per second are means since the row before; seconds are those of training,
    without validation and pauses; iou, in percent, is there where there was a validation. A run
    that is resumed at `step` goes on in the file that is there, and drops the later rows; else it
    is begun anew.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        lines = path.read_text().splitlines(keepends=True) if step and path.exists() else []
        ended = [line for line in lines[1:] if line.endswith("\n")]
        kept = [line for line in ended if int(line.split(",")[0]) <= step]
        with atomic_write(path) as part:
            part.write_text("".join(lines[:1] + kept))
        self._columns = lines[0].strip().split(",") if lines else []
        self._seconds = float(read(path)[-1]["seconds"]) if kept else 0.0

    def add(
        self,
        step: int,
        lr: float,
        losses: dict[str, float],
        seconds: float,
        samples: int,
        scores: tuple[float, float] | None,
    ) -> None:
        """Write a row; `seconds` and `samples` are those since the row before.

        Raises ConfigError where the file has other losses.
        """
        self._seconds += seconds
        row = {"step": f"{step}", "lr": f"{lr:.6g}", "loss": f"{sum(losses.values()):.6g}"}
        row |= {f"loss_{part}": f"{value:.6g}" for part, value in losses.items()}
        row |= {"seconds": f"{self._seconds:.2f}", "samples_per_second": f"{samples / seconds:.2f}"}
        found = ["", ""] if scores is None else [f"{score:.4f}" for score in scores]
        row |= dict(zip(("iou", "iou_webcam"), found, strict=True))
        fresh = not self._columns
        self._columns = self._columns or list(row)
        if self._columns != list(row):
            raise ConfigError(
                f"{self.path} has the columns {', '.join(self._columns)}; resume with the same "
                "losses, or move it away"
            )
        with self.path.open("a") as file:
            file.writelines(
                ",".join(cells) + "\n" for cells in [list(row)] * fresh + [row.values()]
            )


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a log, by column."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def draw(path: Path, out: Path) -> None:
    """Draw a log: losses and the validation's IoU. Raises ImportError without matplotlib."""
    from matplotlib.figure import Figure

    rows = read(path)
    figure: Figure = Figure(figsize=(9, 5), layout="constrained")
    losses: Axes = figure.add_subplot()
    steps = [int(row["step"]) for row in rows]
    for column in (name for name in rows[0] if name.startswith("loss")):
        losses.plot(steps, [float(row[column]) for row in rows], label=column, linewidth=1)
    losses.set(xlabel="step", ylabel="loss", yscale="log")
    losses.grid(alpha=0.3)
    ious = losses.twinx()
    checked = [row for row in rows if row["iou"]]
    for column, style in (("iou", "k.-"), ("iou_webcam", "k.--")):
        values = [float(row[column]) for row in checked]
        ious.plot([int(row["step"]) for row in checked], values, style, label=column)
    ious.set(ylabel="validation IoU, %")
    figure.legend(loc="outside lower center", ncols=6)
    with atomic_write(out) as part:
        figure.savefig(part, dpi=110, format="png")
