"""Batches of augmented pictures, each fixed by its seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import cv2
import numpy as np
from torch.utils.data import Dataset, Sampler

from livecut.errors import ConfigError
from livecut.evaluation.dataset import Data
from livecut.frame import Image
from livecut.training.augment import SECOND, pair

WEBCAM_LIKE = 4.0
"""How much more often a picture is drawn that the index does not call unlike a webcam's."""
SHAPES = ((16, 9), (16, 9), (4, 3), (4, 3), (1, 1), (3, 4), (9, 16))
"""The aspect ratios that batches are drawn in; webcams are 16:9 and 4:3."""


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
        second = None
        if rng.random() < SECOND:
            second = self.data.train[rng.integers(len(self.data.train))].read()
        return pair(image, mask, room, size, rng, second)


class Batches(Sampler[list[tuple[int, tuple[int, int], int]]]):
    """Batches `first` to `last` of an endless, seeded order; each has one size and fresh seeds.

    Batch number n depends on the seed and n alone, so a resumed run sees what it would have seen. A
    picture is drawn in proportion to its source's weight in `weights` (1 where it is not there),
    times `WEBCAM_LIKE`. With `share` = (i, n) each batch is every nth of its pictures from the ith
    on.
    """

    def __init__(
        self,
        data: Data,
        batch: int,
        sizes: list[tuple[int, int]],
        seed: int,
        first: int,
        last: int,
        weights: Mapping[str, float] = MappingProxyType({}),
        share: tuple[int, int] = (0, 1),
    ) -> None:
        unknown = sorted(set(weights) - {p.source for p in data.train})
        if unknown:
            there = ", ".join(sorted({p.source for p in data.train}))
            raise ConfigError(
                f"no training picture is from {', '.join(unknown)}; there are {there}"
            )
        each = np.array(
            [
                weights.get(p.source, 1.0) * (1.0 if p.webcam_like is False else WEBCAM_LIKE)
                for p in data.train
            ]
        )
        self.weights = each / each.sum()
        self.batch, self.sizes, self.seed, self.first, self.last = batch, sizes, seed, first, last
        self.share = slice(share[0], None, share[1])

    def __len__(self) -> int:
        return self.last - self.first

    def __iter__(self) -> Iterator[list[tuple[int, tuple[int, int], int]]]:
        for step in range(self.first, self.last):
            rng = np.random.default_rng((self.seed, step))
            size = self.sizes[rng.integers(len(self.sizes))]
            drawn = rng.choice(len(self.weights), self.batch, p=self.weights)
            seeds = rng.integers(2**31, size=self.batch)
            keys = zip(drawn[self.share], seeds[self.share], strict=True)
            yield [(int(i), size, int(s)) for i, s in keys]
