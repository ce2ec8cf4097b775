"""Labelled pictures: folders of images and masks, matched by name.

    DIR/train/images  DIR/train/masks     one split for training
    DIR/val/images    DIR/val/masks       one for validation
    DIR/rooms                             pictures without people, for composites (may be absent)
    DIR/index.tsv                         columns split, name, webcam_like, source (may be absent)

Where there is no DIR/train, DIR/images and DIR/masks are taken, and every tenth picture by a hash
of its name is held back for validation.
"""

from __future__ import annotations

import csv
import re
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from livecut.errors import ConfigError
from livecut.frame import Image, as_image
from livecut.pictures import pictures

SOFT_WIDTH = 0.75
"""The share of its outline, two pixels wide, from which on a mask has so many soft pixels that it
is a matte: polygons, reduced, have 0.57 to 0.72 of it."""
BESIDE = 0.3
"""Least size of the part beside a person, as a share of the picture's shorter side."""


@dataclass(frozen=True)
class Pair:
    """One labelled picture: its two files, and what is known of it."""

    image: Path
    mask: Path
    source: str = ""
    """The collection that it is from."""
    webcam_like: bool | None = None
    """One big figure, as a webcam sees it; None where no index says."""

    def read(self) -> tuple[Image, Image]:
        """Image uint8 BGR (H, W, 3) and mask uint8 (H, W). Raises ConfigError."""
        image, mask = cv2.imread(str(self.image)), cv2.imread(str(self.mask), cv2.IMREAD_GRAYSCALE)
        if image is None or mask is None:
            bad = self.image if image is None else self.mask
            raise ConfigError(f"cannot read {bad} as a picture; mend or remove it")
        if image.shape[:2] != mask.shape:
            raise ConfigError(
                f"{self.mask} has shape {mask.shape}, its image {image.shape[:2]}; they must agree"
            )
        return np.asarray(image, np.uint8), np.asarray(mask, np.uint8)


@dataclass(frozen=True)
class Vacant(Pair):
    """The part beside the person of a picture, as `beside` finds it, and a mask of nobody."""

    def read(self) -> tuple[Image, Image]:
        """The part beside the person, and a mask without anybody."""
        part = beside(*super().read())
        assert part is not None
        return np.ascontiguousarray(part), np.zeros(part.shape[:2], np.uint8)


def beside(image: Image, mask: Image) -> Image | None:
    """The largest part left of, right of or above the person; None where all are small."""
    x, y, across, _ = cv2.boundingRect(mask)
    parts = image[:, :x], image[:, x + across :], image[:y, :] if across else image
    largest = max(parts, key=lambda part: part.size)
    least = BESIDE * min(mask.shape)
    return as_image(largest) if min(largest.shape[:2]) >= least else None


@dataclass(frozen=True)
class Data:
    """The contents of a data folder."""

    train: list[Pair]
    val: list[Pair]
    rooms: list[Path]


def pairs_in(images: Path, masks: Path) -> list[Pair]:
    """The pictures of two folders, paired by name. Raises ConfigError where a mask is missing.

    The source of a picture NAME_12 is NAME, that of one without a number is "other".
    """
    by_name = {path.stem: path for path in pictures(masks)}
    found = []
    for image in pictures(images):
        if image.stem not in by_name:
            raise ConfigError(f"no mask for {image}; put one named {image.stem}.png in {masks}")
        numbered = re.fullmatch(r"(.+)_\d+", image.stem)
        found.append(Pair(image, by_name[image.stem], numbered[1] if numbered else "other"))
    return found


def with_index(pairs: list[Pair], split: str, index: Path) -> list[Pair]:
    """`pairs` with source and webcam_like as the rows of `split` in an index say.

    Its columns are separated by tabs. A picture that it does not list stays as it is. Raises
    ConfigError.
    """
    try:
        with index.open(newline="") as file:
            rows = {(r["split"], r["name"]): r for r in csv.DictReader(file, delimiter="\t")}
        return [
            replace(p, source=row.get("source") or p.source, webcam_like=row["webcam_like"] == "1")
            if (row := rows.get((split, p.image.stem)))
            else p
            for p in pairs
        ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"index {index} cannot be read: {error}") from error
    except KeyError as error:
        raise ConfigError(
            f"index {index} has no column {error}; expected columns split, name, webcam_like and "
            "perhaps source, separated by tabs"
        ) from error


def read_folder(folder: Path) -> Data:
    """Everything under a data folder. Raises ConfigError where it holds no pairs."""
    if (folder / "train").is_dir():
        train, val = (
            pairs_in(folder / split / "images", folder / split / "masks")
            for split in ("train", "val")
        )
    else:
        every = pairs_in(folder / "images", folder / "masks")
        held = {p.image for p in every if zlib.crc32(p.image.stem.encode()) % 10 == 0}
        train = [p for p in every if p.image not in held]
        val = [p for p in every if p.image in held]
    if not train or not val:
        raise ConfigError(
            f"{folder} has {len(train)} training and {len(val)} validation pairs; expected "
            "train/images, train/masks, val/images and val/masks, or images and masks"
        )
    index = folder / "index.tsv"
    if index.is_file():
        train, val = with_index(train, "train", index), with_index(val, "val", index)
    return Data(train, val, pictures(folder / "rooms"))


def match_light(person: Image, room: Image, rng: Generator) -> Image:
    """`person` with its mean colour moved part of the way to the room's."""
    shift = (np.array(cv2.mean(room)) - cv2.mean(person)) * rng.uniform(0.0, 0.5)
    return as_image(cv2.add(person, shift))


def is_soft(mask: Image) -> bool:
    """Whether a mask (H, W) is a matte, and not a polygon whose edges are merely smoothed."""
    between = cv2.countNonZero(cv2.inRange(mask, np.array(16), np.array(239)))
    person = (mask > 127).astype(np.uint8)
    outline = cv2.morphologyEx(person, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    return between > SOFT_WIDTH * cv2.countNonZero(outline)


def foreground(image: Image, alpha: Image) -> Image:
    """The person's own colour at each pixel, so that nothing of the old background comes along.

    The mean colours of person and background around, of what is almost wholly the one or the
    other, are the first estimate, which the picture corrects where alpha is high (Forte, 2021, who
    weights by alpha).
    """
    a = (alpha * np.float32(1 / 255))[..., None]
    picture = image.astype(np.float32)
    side = 2 * round(max(alpha.shape) / 12) + 1

    def around(weight: NDArray[np.float32]) -> NDArray[np.float32]:
        weight = weight**8
        total = cv2.blur(weight, (side, side))[..., None]
        return np.asarray(cv2.blur(picture * weight, (side, side)) / (total + np.float32(1e-4)))

    front, back = around(a), around(1 - a)
    own = front + a * (picture - a * front - (1 - a) * back)
    return as_image(np.clip(own, 0, 255).astype(np.uint8))
