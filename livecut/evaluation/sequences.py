"""Moving sequences with their exact alpha, made from stills: a cut-out person over a room.

The figure moves by an affine map, which moves its mask alike. There is no motion blur, no limb
moves by itself, and the pictures are no sharper than the stills: good for comparing, not for a last
word.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from livecut.errors import ConfigError
from livecut.evaluation.dataset import Pair, foreground, is_soft, match_light
from livecut.frame import Image, as_image
from livecut.pictures import read_picture

SIZE = (640, 360)
FRAMES = 48
"""Frames of each sequence."""
NOISE = (2.0, 6.0)
"""The least and most deviation of the sensor's noise, in levels of 0..255."""
DRIFT = 0.04
"""How far the exposure drifts at most, as a share."""
PAN = 0.08
"""How far a panned room moves to either side, as a share of the width."""
SPEEDS = (0.0, 0.002, 0.05)
"""Cycles of the motion by frame, of its still, slow and fast part: about 0, 1 and 20 pixels."""
INSIDE = 0.02
"""The share of the left, right or top edge of a still that its figure may touch; beyond, it is cut
off there, and cannot be moved."""

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Shot:
    """One person before one room, and how both move: a matrix (N, 2, 3) for each, to `SIZE`."""

    person: Image
    mask: Image
    room: Image
    person_moves: Doubles
    room_moves: Doubles
    gains: Doubles
    """The exposure (N,)."""
    noise: float

    def frames(self, rng: Generator) -> Iterator[tuple[Image, Image]]:
        """Each frame BGR (H, W, 3) and its alpha (H, W)."""
        grain = np.empty((SIZE[1], SIZE[0], 3), np.float32)
        for person, room, gain in zip(self.person_moves, self.room_moves, self.gains, strict=True):
            alpha = as_image(cv2.warpAffine(self.mask, person, SIZE, flags=cv2.INTER_LINEAR))
            front, back = (
                cv2.warpAffine(
                    image, m, SIZE, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
                )
                for image, m in ((self.person, person), (self.room, room))
            )
            share = alpha[..., None].astype(np.float32) * np.float32(gain / 255)
            rng.standard_normal(out=grain, dtype=np.float32)
            image = grain * self.noise + front * share + back * (gain - share)
            yield np.clip(image, 0, 255).astype(np.uint8), alpha


@dataclass(frozen=True)
class Step:
    """One frame of a sequence."""

    image: Image
    """BGR (H, W, 3)."""
    mask: Image
    """Its exact alpha (H, W)."""
    since_cut: int
    """Frames since the shot began."""
    shot: int
    """Counts the shots of the sequence, from 0."""


@dataclass(frozen=True)
class Sequence:
    """One shot, or two with a hard cut between them; fixed by its seed."""

    shots: tuple[Shot, ...]
    seed: tuple[int, ...]

    def __iter__(self) -> Iterator[Step]:
        rng = np.random.default_rng(self.seed)
        for number, shot in enumerate(self.shots):
            for since, (image, mask) in enumerate(shot.frames(rng)):
                yield Step(image, mask, since, number)


def curve(phase: Doubles, rng: Generator) -> Doubles:
    """A smooth random curve in -1..1 over `phase` (N,), whose cycle is about 1."""
    waves = rng.uniform(0.5, 1.2, 3)
    shares = rng.dirichlet(np.ones(3))
    return np.sin(2 * np.pi * (phase[:, None] * waves + rng.random(3))) @ shares


def phases(frames: int, rng: Generator) -> Doubles:
    """The motion's phase at each frame (N,): a still, a slow and a fast part in random order."""
    speeds = rng.permutation(SPEEDS)
    speed = np.repeat(speeds, math.ceil(frames / 3))[:frames]
    smooth = np.convolve(np.pad(speed, 2, mode="edge"), np.full(5, 0.2), mode="valid")
    return np.cumsum(smooth)


def motion(mask: Image, frames: int, rng: Generator) -> tuple[Doubles, Doubles]:
    """The matrices (N, 2, 3) to `SIZE` of a figure with this mask, and the phase (N,) of its
    motion.

    The figure's lower edge stays below that of the frame.
    """
    width, height = SIZE
    top = int(np.flatnonzero(mask.max(1) > 127)[0])
    columns = np.flatnonzero(mask[-1] > 127)
    phase = phases(frames, rng)
    tall = height * rng.uniform(0.75, 1.05)
    scale = tall / (mask.shape[0] - top) * np.exp(0.1 * curve(phase, rng))
    angle = np.deg2rad(6) * curve(phase, rng)
    across, along = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.stack([np.stack([across, -along], 1), np.stack([along, across], 1)], 1)
    middle = np.array([columns.mean(), mask.shape[0] - 1.0])
    target = np.stack(
        [
            width * (rng.uniform(0.4, 0.6) + 0.18 * curve(phase, rng)),
            height * (1.05 + 0.05 * curve(phase, rng)),
        ],
        1,
    )
    moves = np.concatenate([turn, (target - turn @ middle)[..., None]], 2)
    corners = np.array(
        [[columns[0], mask.shape[0] - 1.0, 1], [columns[-1], mask.shape[0] - 1.0, 1]]
    )
    lowest = (moves[:, 1] @ corners.T).min()
    moves[:, 1, 2] += max(0.0, height - lowest)
    return moves, phase


def panned(room: Image, phase: Doubles, amount: float, rng: Generator) -> Doubles:
    """The matrices (N, 2, 3) by which a room fills `SIZE`, panned by `amount` of the width."""
    width, height = SIZE
    scale = max(width * (1 + 2 * amount) / room.shape[1], height / room.shape[0])
    moves = np.zeros((len(phase), 2, 3))
    moves[:, 0, 0] = moves[:, 1, 1] = scale
    moves[:, 0, 2] = (width - scale * room.shape[1]) / 2 + amount * width * curve(phase, rng)
    moves[:, 1, 2] = (height - scale * room.shape[0]) * rng.random()
    return moves


def shoot(person: Image, mask: Image, room: Image, frames: int, rng: Generator) -> Shot:
    """A shot of `frames` frames; every second time the room is panned.

    The still's own background must not shine through at the edge: a soft mask is alpha as it is,
    and the person has the `foreground`'s colours; a hard one is made smaller and soft.
    """
    if is_soft(mask):
        person, soft = foreground(person, mask), mask
    else:
        smaller = cv2.erode(mask, np.ones((3, 3), np.uint8))
        soft = as_image(cv2.GaussianBlur(smaller, (0, 0), 0.8))
    moves, phase = motion(mask, frames, rng)
    steady = np.linspace(0, 1, frames)
    return Shot(
        match_light(person, room, rng),
        soft,
        room,
        moves,
        panned(room, phase, PAN if rng.random() < 0.5 else 0.0, rng),
        1 + DRIFT * curve(steady, rng),
        rng.uniform(*NOISE),
    )


def whole(mask: Image) -> bool:
    """Whether a figure is cut off by the lower edge of its picture, and by no other."""
    person = mask > 127
    others = (person[:, 0], person[:, -1], person[0])
    return bool(person[-1].any()) and all(edge.mean() <= INSIDE for edge in others)


def make_sequences(
    people: list[Pair], rooms: list[Path], count: int, seed: int = 0
) -> Iterator[Sequence]:
    """`count` sequences of `FRAMES` frames; every second has a cut in its middle.

    People are pictures of one big figure that the lower edge alone cuts off; none comes twice.
    Raises ConfigError where they or the rooms are too few.
    """
    rng = np.random.default_rng(seed)
    if not rooms:
        raise ConfigError("no rooms; put pictures without people into the folder rooms")
    big = (people[i] for i in rng.permutation(len(people)) if people[i].webcam_like is not False)
    needed = count + count // 2
    figures = list(islice((pair for pair in big if whole(pair.read()[1])), needed))
    if len(figures) < needed:
        raise ConfigError(
            f"{count} sequences need {needed} pictures of one big figure that the lower edge "
            "alone cuts "
            f"off; there are {len(figures)} among {len(people)}; ask for fewer sequences"
        )
    for number in range(count):
        cuts = number % 2
        shots = []
        for _ in range(1 + cuts):
            room = read_picture(rooms[rng.integers(len(rooms))])
            person, mask = figures.pop().read()
            shots.append(shoot(person, mask, room, FRAMES // (1 + cuts), rng))
        yield Sequence(tuple(shots), (seed, number))
