"""Sequences made from stills, and what is counted on them."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from livecut import ConfigError
from livecut.evaluation import metrics
from livecut.evaluation.dataset import Pair, read_folder
from livecut.evaluation.sequences import FRAMES, SIZE, Sequence, Step, make_sequences, whole
from livecut.evaluation.temporal import Average, Moment, follow, moment, summarise
from livecut.frame import Image
from tests.commands.test_cli import assert_one_clear_line, run

PEOPLE = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half-length figures of one colour each, and rooms of another; one is cut off at its side."""
    root = tmp_path_factory.mktemp("data")
    for part in ("images", "masks", "rooms"):
        (root / part).mkdir()
    rng = np.random.default_rng(0)
    for i in range(PEOPLE):
        image = np.full((120, 100, 3), (40, 90, 40), np.uint8)
        mask = np.zeros((120, 100), np.uint8)
        cv2.ellipse(mask, (50 if i else 10, 120), (30, 90), 0, 0, 360, 255, -1)
        image[mask > 0] = (30, 30, 230)
        cv2.imwrite(str(root / "images" / f"p_{i}.png"), image)
        cv2.imwrite(str(root / "masks" / f"p_{i}.png"), mask)
        room = cv2.resize(rng.integers(60, 250, (9, 12, 1), np.uint8), (256, 192))
        room = cv2.merge([room, room, np.full_like(room, 40)])
        cv2.imwrite(str(root / "rooms" / f"r_{i}.png"), room)
    return root


def people(folder: Path) -> list[Pair]:
    data = read_folder(folder)
    return data.train + data.val


@pytest.fixture(scope="module")
def made(folder: Path) -> list[list[Step]]:
    return [list(s) for s in make_sequences(people(folder), read_folder(folder).rooms, 2, seed=1)]


def test_fixed_by_the_seed(folder: Path) -> None:
    def frames(seed: int) -> list[Step]:
        [sequence] = make_sequences(people(folder), read_folder(folder).rooms, 1, seed)
        return list(islice(sequence, 3))

    for a, b in zip(frames(1), frames(1), strict=True):
        assert (a.image == b.image).all()
        assert (a.mask == b.mask).all()
    assert (frames(1)[0].mask != frames(2)[0].mask).any()


def test_the_mask_is_that_of_the_figure(made: list[list[Step]]) -> None:
    for step in made[0][::4] + made[1][::4]:
        assert step.image.shape == (SIZE[1], SIZE[0], 3)
        blue, _, red = (step.image[..., c].astype(int) for c in range(3))
        seen = np.where(red > blue + 60, 255, 0).astype(np.uint8)
        assert metrics.iou(seen, step.mask) > 0.96
        assert step.mask[-1].max() == 255, "no gap below the figure"
        assert len(np.unique(step.mask)) > 50, "its edge is soft"


def test_still_slow_and_fast_parts(made: list[list[Step]]) -> None:
    changes = [metrics.mad(b.mask, a.mask) for a, b in zip(made[0], made[0][1:], strict=False)]
    assert sum(c == 0 for c in changes) > FRAMES / 5
    assert sum(0 < c < 0.006 for c in changes) > FRAMES / 8
    assert sum(c > 0.01 for c in changes) > FRAMES / 8
    still = changes.index(0)
    a, b = made[0][still : still + 2]
    assert 0.5 < np.abs(a.image.astype(int) - b.image).mean() < 12, "noise where nothing moves"


def test_every_second_has_a_cut(made: list[list[Step]]) -> None:
    for number, sequence in enumerate(made):
        assert len(sequence) == FRAMES
        cut = [i for i, step in enumerate(sequence) if i and not step.since_cut]
        assert cut == ([FRAMES // 2] if number % 2 else [])
        assert sequence[-1].shot == number % 2
    before, after = made[1][FRAMES // 2 - 1 : FRAMES // 2 + 1]
    assert np.abs(before.image.astype(int) - after.image).mean() > 20


def test_only_figures_that_the_lower_edge_cuts_off() -> None:
    mask = np.zeros((50, 50), np.uint8)
    assert not whole(mask)
    mask[20:, 10:40] = 255
    assert whole(mask)
    assert not whole(mask[:-1] * 0)
    assert not whole(np.flipud(mask))
    assert not whole(np.roll(mask, 15, 1))
    assert not whole(mask[:45].copy() * (np.arange(45) < 44)[:, None])


def test_too_few(folder: Path) -> None:
    rooms = read_folder(folder).rooms
    with pytest.raises(ConfigError, match=r"8 sequences need 12 pictures .* there are 11 among 12"):
        next(make_sequences(people(folder), rooms, 8))
    with pytest.raises(ConfigError, match="no rooms"):
        next(make_sequences(people(folder), [], 1))


class Echo:
    """Gives the masks of a sequence, and every third time `error` more; remembers its resets."""

    description = "an echo"

    def __init__(self, steps: list[Step], error: int) -> None:
        self.steps, self.error, self.at, self.resets = steps, error, 0, 0

    def reset(self) -> None:
        self.resets += 1

    def __call__(self, image: Image) -> Image:
        step = self.steps[self.at]
        assert (image == step.image).all()
        self.at += 1
        more = self.error if self.at % 3 == 0 else 0
        return np.minimum(step.mask, 255 - more) + np.uint8(more)


def test_follow_counts_by_way(made: list[list[Step]]) -> None:
    class Held(Sequence):
        def __iter__(self):  # type: ignore[no-untyped-def]
            return iter(made[1])

    right, wrong = Echo(made[1], 0), Echo(made[1], 102)
    found = follow(Held((), ()), right, wrong)  # type: ignore[arg-type]
    assert (right.resets, wrong.resets) == (1, 0), "of a cut nobody tells"
    rows = {way: summarise(moments) for way, moments in found.items()}
    assert (rows["steadied"].iou, rows["steadied"].dtssd, rows["steadied"].flicker) == (100, 0, 0)
    single, average = rows["single"], rows["average"]
    assert single.leak_worst == pytest.approx(40, abs=2)
    assert 0 < average.flicker_calm < single.flicker_calm < 40  # type: ignore[operator]
    assert average.iou_moving < single.iou_moving  # type: ignore[operator]
    assert average.iou_after_cut < 95 < single.iou_after_cut  # type: ignore[operator]
    assert sum(m.after_cut for m in found["single"]) == 3
    assert sum(np.isnan(m.dtssd) for m in found["single"]) == 2, "in no shot's first frame"


def test_moment_by_hand() -> None:
    last, mask = np.zeros((10, 10), np.uint8), np.zeros((10, 10), np.uint8)
    mask[:5] = 255
    alpha = mask.copy()
    alpha[5:] = 51
    step = Step(np.zeros((10, 10, 3), np.uint8), mask, 1, 1)
    found = moment(alpha, last, step, last)
    assert (found.iou, found.moving, found.after_cut) == (100, True, True)
    assert found.leak == pytest.approx(20)
    assert found.flicker == pytest.approx(20)
    assert found.dtssd == pytest.approx(100 * np.sqrt(0.02))
    assert not moment(alpha, alpha, step, mask).moving
    assert not moment(alpha, last, Step(step.image, mask, 0, 0), last).after_cut


def test_summary_by_hand() -> None:
    nan = float("nan")
    found = summarise(
        [
            Moment(90, 1, nan, nan, False, False),
            Moment(80, 7, 2, 4, True, False),
            Moment(100, 2, 1, 1, False, False),
        ]
    )
    assert (found.iou, found.iou_moving, found.iou_after_cut, found.leak_worst) == (90, 80, None, 7)
    assert (found.dtssd, found.dtssd_calm, found.flicker, found.flicker_calm) == (1.5, 1, 2.5, 1)


def test_average_by_hand() -> None:
    average = Average()
    assert average(np.full((2, 2), 100, np.uint8)).tolist() == [[100, 100]] * 2
    assert average(np.full((2, 2), 200, np.uint8)).tolist() == [[150, 150]] * 2
    assert average(np.full((2, 2), 200, np.uint8)).tolist() == [[175, 175]] * 2


def test_the_command(folder: Path) -> None:
    done = run("eval", "--sequences", folder, "--count", "1", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["model"], found["sequences"], found["count"]) == ("live", str(folder), 1)
    for way in ("steadied", "single", "average"):
        assert 0 <= found[way]["iou"] <= 100
        assert found[way]["iou_after_cut"] is None
    assert len({found[way]["flicker"] for way in ("steadied", "single", "average")}) == 3


def test_needs_no_torch() -> None:
    code = (
        "import livecut.evaluation.sequences, livecut.evaluation.temporal, sys; "
        "print('torch' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def test_mistakes(folder: Path, tmp_path: Path) -> None:
    assert_one_clear_line(run("eval"), "--images", "--sequences")
    both = run("eval", "--sequences", folder, "--images", folder / "images")
    assert_one_clear_line(both, "--images")
    assert_one_clear_line(run("eval", "--sequences", tmp_path), str(tmp_path), "0 training")
