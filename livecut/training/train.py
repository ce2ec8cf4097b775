"""The training loop, and what its first process keeps in the run's folder."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import math
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import torch

from livecut.errors import ConfigError, missing
from livecut.evaluation.dataset import Data, Pair, read_folder
from livecut.evaluation.metrics import iou
from livecut.files import atomic_write
from livecut.models import input_size
from livecut.network.base import Network, alpha_at, normalise
from livecut.training.checkpoint import load_checkpoint, save
from livecut.training.log import Log, draw
from livecut.training.parallel import Group, process_group
from livecut.training.run import Run
from livecut.training.settings import TrainSettings, options, to_toml

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of mallopt, from glibc's malloc.h."""
LOG_EVERY = 10
"""Steps between two rows of the log, and two looks at the loss, for which CUDA has to wait."""

Report = Callable[[int, float, tuple[float, float] | None], None]
Notice = Callable[[str], None]
LOG = logging.getLogger("livecut")


@torch.inference_mode()
def validate(network: Network, pairs: list[Pair], area: int) -> tuple[float, float]:
    """Mean IoU at the pictures' own size, in percent: (all, webcam-like; nan without any)."""
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


class RunWriter:
    """Validates, logs, and saves into the run's folder."""

    def __init__(self, run: Run, data: Data, report: Report, notice: Notice) -> None:
        self._run, self._pairs, self._report = run, data.val, report
        self._out = run.settings.output
        self._out.mkdir(parents=True, exist_ok=True)
        with atomic_write(self._out / "settings.toml") as part:
            part.write_text(to_toml(options(run.settings.plain())), encoding="utf-8")
        self._log = Log(self._out / "log.csv", run.step)
        self._draws = find_spec("matplotlib") is not None
        if not self._draws:
            notice(f"no curve.png: {missing('matplotlib')}")
        self._step, self._since = run.step, time.perf_counter()

    def keep(self, losses: dict[str, float], *, validates: bool, saves: bool) -> None:
        """Write a row of the log, and what else is due."""
        run, settings = self._run, self._run.settings
        seconds = time.perf_counter() - self._since
        samples = (run.step - self._step) * settings.batch
        scores = validate(run.averaged, self._pairs, settings.area) if validates else None
        lr = run.optimiser.param_groups[-1]["lr"]
        self._log.add(run.step, lr, losses, seconds, samples, scores)
        if scores:
            score = scores[0] if math.isnan(scores[1]) else scores[1]
            if score >= run.best:
                run.best = score
                save(run.result() | {"scores": list(scores)}, self._out / "best.pt")
            if self._draws:
                draw(self._log.path, self._out / "curve.png")
        if saves:
            save(run.state(), self._out / "last.pt")
        self._report(run.step, sum(losses.values()), scores)
        self._step, self._since = run.step, time.perf_counter()


def keep_memory() -> None:
    """Let this process keep what it frees, where the C library is glibc; call it before training on
    a CPU.

    Else glibc gives large tensors back at once, and the system clears each page of them anew: up to
    a third of the time of a step.
    """
    with contextlib.suppress(OSError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, -1)


def train(
    *stages: TrainSettings,
    resume: bool = False,
    report: Report = lambda *_: None,
    notice: Notice = LOG.warning,
) -> Path:
    """Train a network in one stage or several and return the path of its best checkpoint,
    `output`/best.pt.

    Each stage's `output`, a folder of its own, gets that and last.pt, which holds the whole state
    and from where `resume` goes on, settings.toml, log.csv and, where matplotlib is installed,
    curve.png. Every `LOG_EVERY` steps `report` gets (step, over all stages; loss; validation IoU or
    None); `notice` gets a line for people. Raises ConfigError and ModelError.
    """
    done = 0
    with process_group(stages[0].device) as group:
        for number, settings in enumerate(stages):
            begun = (settings.output / "last.pt").exists()
            _stage(settings, group, resume and (begun or not number), _after(done, report), notice)
            group.wait()
            done += settings.steps
    return stages[-1].output / "best.pt"


def _after(done: int, report: Report) -> Report:
    return lambda step, loss, scores: report(done + step, loss, scores)


def _stage(
    settings: TrainSettings, group: Group, resume: bool, report: Report, notice: Notice
) -> None:
    data = read_folder(settings.data)
    group.share(settings.batch)
    last = settings.output / "last.pt"
    if not resume and last.exists():
        raise ConfigError(f"{last} is there already; add --resume, or give another --output")
    run = Run(settings, group, load_checkpoint(last) if resume else None)
    keeper = RunWriter(run, data, report, notice) if group.first else None
    for batch in run.loader(data):
        run.advance(*batch)
        validates = run.step % settings.validate_every == 0 or run.step == settings.steps
        saves = validates or run.step % settings.save_every == 0
        if saves or run.step % LOG_EVERY == 0:
            losses = run.losses()
            if keeper:
                keeper.keep(losses, validates=validates, saves=saves)
