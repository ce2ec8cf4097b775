"""Soft edges for hard masks, from a matting network that is right near the edge and often wrong elsewhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np

from livecut.errors import ConfigError
from livecut.files import whole
from livecut.frame import Image, as_image
from livecut.labelled import Pair

REACH = 0.012
"""How far from the mask's edge alpha is taken over, as a share of the diagonal."""
AROUND = 5.0
"""The side of the window in which teacher and mask are compared, in reaches."""
DISAGREE = 0.1
"""The share of such a window's pixels beyond the reach, on which both have to agree, that may differ."""


def soften(mask: Image, alpha: Image) -> Image:
    """The mask uint8 (H, W) with the teacher's alpha near its edge, where both agree on what is around.

    Agreement: of the pixels that are farther from the mask's edge than `REACH`, but in the window round a
    pixel, at most `DISAGREE` are on the other side of one half in `alpha`.
    """
    person = (mask > 127).astype(np.uint8)
    reach = REACH * float(np.hypot(*mask.shape))
    inside, outside = (cv2.distanceTransform(m, cv2.DIST_L2, 3) for m in (person, 1 - person))
    beyond = (np.maximum(inside, outside) > reach).astype(np.float32)
    wrong = beyond * ((alpha > 127) != (person > 0))
    side = 2 * int(AROUND * reach / 2) + 1
    judged, differing = (
        cv2.boxFilter(m, -1, (side, side), borderType=cv2.BORDER_REFLECT) for m in (beyond, wrong)
    )
    agrees = differing <= DISAGREE * judged
    near = (beyond == 0) & agrees & (judged > 0)
    return as_image(np.where(near, alpha, mask))


def soften_folder(
    pairs: Iterable[Pair], teacher: Callable[[Image], Image], folder: Path, out: Path
) -> None:
    """Make `out` a data folder like `folder`, but with softened training masks; those there are kept.

    All else are links to `folder`, or copies where the system has no links, and come last: before that
    `out` is no data folder, and the same call goes on with it. Raises ConfigError where a picture cannot
    be read or written.
    """
    if not (folder / "train").is_dir():
        raise ConfigError(f"{folder} has no train/images and train/masks; those are softened")
    masks = out / "train" / "masks"
    masks.mkdir(parents=True, exist_ok=True)
    for pair in pairs:
        path = masks / f"{pair.mask.stem}.png"
        if path.exists():
            continue
        image, mask = pair.read()
        done, code = cv2.imencode(".png", soften(mask, teacher(image)))
        if not done:
            raise ConfigError(f"cannot write {path} as a picture; mend or remove {pair.mask}")
        with whole(path) as part:
            part.write_bytes(code.tobytes())
    for name in ("val", "rooms", "index.tsv", "train/images"):
        if (folder / name).exists() and not (out / name).exists():
            _link(folder / name, out / name)


def _link(there: Path, here: Path) -> None:
    try:
        os.symlink(there.resolve(), here)
    except OSError:
        (shutil.copytree if there.is_dir() else shutil.copy)(there, here)
