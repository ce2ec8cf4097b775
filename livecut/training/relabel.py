"""Soft masks by teachers in place of a folder's training masks, where there is reason to believe
them.

Teachers are networks whose alpha of the training pictures stands in a folder, NAME.png each,
beside a table agreement.tsv of the columns name and agree: the IoU, 0..1, between two teachers
that were trained apart.
"""

from __future__ import annotations

import csv
import os
import shutil
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

import cv2
import numpy as np

from livecut.errors import ConfigError
from livecut.evaluation.dataset import Pair
from livecut.evaluation.metrics import iou
from livecut.files import atomic_write
from livecut.frame import Image, as_image

AGREE = 0.85
"""The IoU between the teachers from which on they are believed."""
CONFIRM = 0.9
"""The IoU between mask and teachers from which on the mask, which people made, confirms them."""
TAKEN, CONFIRMED, JOINED, KEPT, LEFT_OUT = "taken", "confirmed", "joined", "kept", "left out"
VERDICTS = (TAKEN, CONFIRMED, JOINED, KEPT, LEFT_OUT)
"""What can become of a mask: the teachers' as they agree; theirs as the mask confirms them; both
together; the mask as it was; none, and the picture goes."""


def judge(
    mask: Image, alpha: Image, agree: float, *, join: bool = False, drop: bool = False
) -> tuple[Image | None, str]:
    """The new mask of a picture and its verdict; None for `LEFT_OUT`.

    `mask` and the teachers' `alpha` are uint8 (H, W), 255 = person. Where the teachers agree
    theirs is taken, right or wrong as the mask may be; where they do not, it is theirs if the mask
    confirms it, else the mask stays or, with `drop`, the picture goes. With `join`, for masks that
    leave out parts of the person such as hands, what is taken or confirmed is the larger of the
    two.
    """
    verdict = TAKEN if agree >= AGREE else CONFIRMED if iou(mask, alpha) >= CONFIRM else ""
    if not verdict:
        return (None, LEFT_OUT) if drop else (mask, KEPT)
    return (as_image(cv2.max(mask, alpha)), JOINED) if join else (alpha, verdict)


def read_agreement(folder: Path) -> dict[str, float]:
    """The agreement by name of a folder of teachers' alpha. Raises ConfigError."""
    path = folder / "agreement.tsv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {r["name"]: float(r["agree"]) for r in csv.DictReader(file, delimiter="\t")}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"table {path} cannot be read: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"table {path} has no columns name and agree, the latter numbers ({error}); "
            "expected both, separated by tabs"
        ) from error


def relabel_folder(
    pairs: Iterable[Pair],
    teachers: Path,
    folder: Path,
    out: Path,
    *,
    joined: Collection[str] = (),
    drop: bool = False,
) -> dict[str, Counter[str]]:
    """Make `out` a data folder like `folder` with new training masks, and count verdicts by source.

    `pairs` are the training pictures of `folder`; `joined` names the sources for whose masks
    `judge` is told to `join`. A picture without teachers' alpha is kept or, with `drop`, left out.
    All else are links to `folder`, or copies where the system has no links. Raises ConfigError
    where a picture cannot be read or written, or `out` is there already.
    """
    if not (folder / "train").is_dir():
        raise ConfigError(f"{folder} has no train/images and train/masks; those are relabelled")
    if (out / "train").exists():
        raise ConfigError(f"{out / 'train'} is there already; name another folder, or move it away")
    agreement = read_agreement(teachers)
    images, masks = out / "train" / "images", out / "train" / "masks"
    images.mkdir(parents=True)
    masks.mkdir()
    found: dict[str, Counter[str]] = {}
    for pair in pairs:
        _, mask = pair.read()
        name = pair.image.stem
        new, verdict = (None, LEFT_OUT) if drop else (mask, KEPT)
        if name in agreement:
            alpha = _read_alpha(teachers / f"{name}.png", mask.shape)
            new, verdict = judge(
                mask, alpha, agreement[name], join=pair.source in joined, drop=drop
            )
        found.setdefault(pair.source, Counter())[verdict] += 1
        if new is not None:
            _write(masks / f"{name}.png", new)
            _link(pair.image, images / pair.image.name)
    for part in ("val", "rooms", "index.tsv"):
        if (folder / part).exists() and not (out / part).exists():
            _link(folder / part, out / part)
    return found


def _read_alpha(path: Path, shape: tuple[int, ...]) -> Image:
    alpha = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if alpha is None:
        raise ConfigError(f"cannot read the teachers' alpha {path}; make it, or its row goes")
    if alpha.shape != shape:
        raise ConfigError(f"{path} has shape {alpha.shape}, its mask {shape}; they must agree")
    return np.asarray(alpha, np.uint8)


def _write(path: Path, mask: Image) -> None:
    done, code = cv2.imencode(".png", mask)
    if not done:
        raise ConfigError(f"cannot write {path} as a picture")
    with atomic_write(path) as part:
        part.write_bytes(code.tobytes())


def _link(there: Path, here: Path) -> None:
    try:
        os.symlink(there.resolve(), here)
    except OSError:
        (shutil.copytree if there.is_dir() else shutil.copy)(there, here)
