"""Reading labelled pictures: folders of images and masks, matched by name.

    DIR/train/images  DIR/train/masks     one split for training
    DIR/val/images    DIR/val/masks       one for validation
    DIR/rooms                             pictures without people, for composites (may be absent)
    DIR/index.tsv                         columns split, name, webcam_like (may be absent)

Where there is no DIR/train, DIR/images and DIR/masks are taken, and every tenth picture by a hash
of its name is held back for validation.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from torch.utils.data import Dataset, Sampler

from livecut.errors import ConfigError
from livecut.frame import Image
from livecut.training.augment import pair

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
SHAPES = ((16, 9), (16, 9), (4, 3), (4, 3), (1, 1), (3, 4), (9, 16))
"""The aspect ratios that batches are drawn in; webcams are 16:9 and 4:3."""


@dataclass(frozen=True)
class Pair:
    """One labelled picture: its two files, and whether it looks like a webcam's."""

    image: Path
    mask: Path
    webcam_like: bool = True

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
class Data:
    """What a data folder holds."""

    train: list[Pair]
    val: list[Pair]
    rooms: list[Path]


def pictures(folder: Path) -> list[Path]:
    """The pictures in a folder, sorted by name; none where there is no such folder."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in found if path.suffix.lower() in SUFFIXES)


def pairs_in(folder: Path) -> list[Pair]:
    """The pairs of folder/images and folder/masks. Raises ConfigError where a mask is missing."""
    masks = {path.stem: path for path in pictures(folder / "masks")}
    found = []
    for image in pictures(folder / "images"):
        if image.stem not in masks:
            raise ConfigError(f"no mask for {image}; put one named {image.stem}.png in masks/")
        found.append(Pair(image, masks[image.stem]))
    return found


def read_folder(folder: Path) -> Data:
    """Everything under a data folder. Raises ConfigError where it holds no pairs."""
    if (folder / "train").is_dir():
        train, val = pairs_in(folder / "train"), pairs_in(folder / "val")
    else:
        every = pairs_in(folder)
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
        with index.open(newline="") as file:
            rows = csv.DictReader(file, delimiter="\t")
            webcam = {(r["split"], r["name"]): r["webcam_like"] == "1" for r in rows}
        train = [Pair(p.image, p.mask, webcam.get(("train", p.image.stem), True)) for p in train]
        val = [Pair(p.image, p.mask, webcam.get(("val", p.image.stem), True)) for p in val]
    return Data(train, val, pictures(folder / "rooms"))


class Augmented(Dataset[tuple[Image, Image]]):
    """Pairs with augmentation; the key says which picture, at what size, with which seed."""

    def __init__(self, data: Data) -> None:
        self.data = data

    def __getitem__(self, key: tuple[int, tuple[int, int], int]) -> tuple[Image, Image]:
        index, size, seed = key
        rng = np.random.default_rng(seed)
        image, mask = self.data.train[index].read()
        room = None
        if self.data.rooms:
            path = self.data.rooms[rng.integers(len(self.data.rooms))]
            read = cv2.imread(str(path))
            if read is None:
                raise ConfigError(f"cannot read {path} as a picture; mend or remove it")
            room = np.asarray(read, np.uint8)
        return pair(image, mask, room, size, rng)


class Batches(Sampler[list[tuple[int, tuple[int, int], int]]]):
    """Batches `first` to `last` of an endless, seeded order; each has one size and fresh seeds.

    Batch number n depends on the seed and n alone, so a resumed run sees what it would have seen.
    Webcam-like pictures are drawn twice as often as the others.
    """

    def __init__(
        self, data: Data, batch: int, sizes: list[tuple[int, int]], seed: int, first: int, last: int
    ) -> None:
        weights = np.array([2.0 if p.webcam_like else 1.0 for p in data.train])
        self.weights = weights / weights.sum()
        self.batch, self.sizes, self.seed, self.first, self.last = batch, sizes, seed, first, last

    def __len__(self) -> int:
        return self.last - self.first

    def __iter__(self) -> Iterator[list[tuple[int, tuple[int, int], int]]]:
        for step in range(self.first, self.last):
            rng = np.random.default_rng((self.seed, step))
            size = self.sizes[rng.integers(len(self.sizes))]
            drawn = rng.choice(len(self.weights), self.batch, p=self.weights)
            yield [
                (int(i), size, int(s))
                for i, s in zip(drawn, rng.integers(2**31, size=self.batch), strict=True)
            ]
