"""What counts as a ghost, by hand, and `livecut eval --ghosts` as a person runs it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from livecut.errors import ConfigError
from livecut.evaluation.ghosts import Ghosts, away, find_clips, measure, readability
from livecut.frame import Image, as_image
from tests.clips import write
from tests.commands.test_cli import assert_one_clear_line, run

HEIGHT, WIDTH = 200, 320


def person() -> Image:
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[80:, 110:210] = 255
    return alpha


def page() -> Image:
    """A room full of print."""
    rng = np.random.default_rng(2)
    small = rng.integers(0, 256, (HEIGHT // 2, WIDTH // 2), np.uint8)
    grey = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
    return as_image(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))


class Given:
    """A network whose alpha is known."""

    description = "given"

    def __init__(self, alpha: Image) -> None:
        self.alpha, self.resets = alpha, 0

    def __call__(self, _: Image) -> Image:
        return self.alpha

    def reset(self) -> None:
        self.resets += 1


def figures(alpha: Image, background: str = "blur") -> Ghosts:
    return measure([page(), page()], Given(alpha), background)  # type: ignore[arg-type]


def test_far_is_further_than_a_twentieth_of_the_height() -> None:
    far = away(person())
    assert not far[150, 100:110].any()
    assert not far[150, 101]
    assert far[150, 98]
    assert not far[100:, 110:210].any()
    assert away(np.zeros((HEIGHT, WIDTH), np.uint8)).all()


def test_a_hand_is_a_part_of_the_person_and_a_speck_is_none() -> None:
    alpha = person()
    alpha[20:40, 20:40] = 255
    alpha[20:24, 280:284] = 255
    far = away(alpha)
    assert not far[30, 30]
    assert far[22, 282]


def test_a_person_alone_leaves_nothing_to_be_seen() -> None:
    found = figures(person())
    assert found.frames == 2
    assert (found.area, found.area_worst, found.readable) == (0, 0, 0)
    assert found.readability < 0.2


def test_a_ghost_is_measured_and_read() -> None:
    alpha = person()
    alpha[10:60, 10:90] = 50
    found = figures(alpha)
    assert found.area == pytest.approx(100 * 50 * 80 / alpha.size)
    assert found.readability > 0.9
    assert found.readable == 100
    alpha[10:60, 10:90] = 20
    assert figures(alpha).area == 0, "under 0.1"


def test_without_blur_all_can_be_read_and_behind_a_colour_nothing() -> None:
    assert readability(page(), page(), away(person())) == pytest.approx(1)
    assert figures(person(), "#406080").readability < 1e-3
    assert readability(page(), page(), np.zeros((HEIGHT, WIDTH), bool)) == 0
    plain = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    assert readability(plain, plain, away(person())) == 0, "there is nothing to read"


def test_eval_of_clips(tmp_path: Path) -> None:
    write(tmp_path / "page.mp4", [page()] * 3)
    done = run("eval", "--ghosts", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["model"] == "live"
    assert found["clips"]["page.mp4"]["frames"] == 3
    assert set(found["clips"]["page.mp4"]) == set(Ghosts.__dataclass_fields__)
    shown = run("eval", "--ghosts", tmp_path / "page.mp4")
    assert shown.returncode == 0, shown.stderr
    assert b"page.mp4" in shown.stdout


def test_a_folder_without_clips_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no clips in"):
        find_clips(tmp_path)
    assert_one_clear_line(run("eval", "--ghosts", tmp_path), "no clips in")


def test_ghosts_go_without_labels(tmp_path: Path) -> None:
    for other in ("--images", "--sequences"):
        done = run("eval", "--ghosts", tmp_path, other, tmp_path)
        assert done.returncode == 2
        assert b"--ghosts" in done.stderr
