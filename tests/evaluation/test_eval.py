"""`livecut eval` as a person runs it, and what it counts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from livecut import ConfigError, Segmenter, open_source
from livecut.evaluation import metrics
from livecut.evaluation.dataset import Pair, pairs_in, with_index
from livecut.evaluation.pictures import CELL, LINE, Score, find_pairs, report, summarise
from livecut.frame import Image, as_image
from tests.commands.test_cli import assert_one_clear_line, run

NAMES = ("desk_1", "desk_2", "sofa_1")


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures of the demo clip; the masks are right, a little off and wrong."""
    root = tmp_path_factory.mktemp("data") / "val"
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    with open_source("demo") as demo:
        frame = np.zeros((demo.size[1], demo.size[0], 3), np.uint8)
        demo.read(frame)
    segmenter = Segmenter()
    alphas: dict[str, Image] = {}
    for name, image in zip(NAMES, (frame, frame[:, 150:490], frame[::2, ::2]), strict=True):
        image = np.ascontiguousarray(image)
        cv2.imwrite(str(root / "images" / f"{name}.png"), image)
        alphas[name] = segmenter(image)
    alphas["desk_2"] = np.roll(alphas["desk_2"], 20, 1)
    alphas["sofa_1"] = 255 - alphas["sofa_1"]
    for name, mask in alphas.items():
        cv2.imwrite(str(root / "masks" / f"{name}.png"), mask)
    return root


def folders(split: Path) -> list[str | Path]:
    return ["--images", split / "images", "--masks", split / "masks"]


def test_json_without_an_index(split: Path) -> None:
    done = run("eval", *folders(split), "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["model"] == "live"
    assert " on the CPU, " in found["network"]
    assert found["images"] == str(split / "images")
    assert found["webcam_like"] is None
    assert list(found["sources"]) == ["desk", "sofa"]
    assert [found["sources"][s]["pictures"] for s in ("desk", "sofa")] == [2, 1]
    every = found["overall"]
    segmenter = Segmenter()
    for name, measure in (
        ("iou", metrics.iou),
        ("boundary_f1", metrics.boundary_f1),
        ("mad", metrics.mad),
        ("mse", metrics.mse),
        ("leak", metrics.leak),
        ("miss", metrics.miss),
        ("grad", metrics.grad),
    ):
        each = []
        for image, mask in (p.read() for p in pairs_in(split / "images", split / "masks")):
            each.append(measure(segmenter(image), mask) * (1 if name == "grad" else 100))
        assert every[name] == pytest.approx(np.mean(each)), name
        assert found["sources"]["sofa"][name] == pytest.approx(each[2]), name
        if name == "iou":
            assert each[0] == 100
            assert each[2] < 5
            assert every["iou_median"] == pytest.approx(each[1])
            assert every["iou_worst_tenth"] == pytest.approx(each[2])
    assert 0 < every["ms_p50"] < 10_000


def test_nobody_is_measured_beside_the_persons(tmp_path: Path) -> None:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for number, right in ((1, 40), (2, 200)):
        mask = np.zeros((120, 200), np.uint8)
        mask[:, :right] = 255
        for part in ("images", "masks"):
            cv2.imwrite(str(tmp_path / part / f"desk_{number}.png"), mask)
    given = ("eval", *folders(tmp_path), "--nobody", "--json")
    found = json.loads(run(*given).stdout)["overall"]
    assert found["pictures"] == 1, "the other has nothing beside its person"
    black = np.zeros((120, 160, 3), np.uint8)
    assert found["leak"] == pytest.approx(100 * Segmenter()(black).mean() / 255, abs=1e-4)
    assert (found["miss"], found["mad"]) == (0.0, pytest.approx(found["leak"]))
    (tmp_path / "images" / "desk_1.png").unlink()
    assert_one_clear_line(run(*given), "the persons fill all pictures", "leave --nobody out")
    refused = run("eval", "--sequences", tmp_path, "--nobody")
    assert_one_clear_line(refused, "--sequences goes without", "--nobody")


def test_table_fits_and_has_the_index(split: Path, tmp_path: Path) -> None:
    index = tmp_path / "index.tsv"
    index.write_text(
        "split\tname\tsource\twebcam_like\nval\tdesk_1\tmine\t1\nval\tdesk_2\tmine\t0\ntrain\tsofa_1\tx\t1\n"
    )
    arguments = (*folders(split), "--index", index)
    done = run("eval", *arguments, COLUMNS="80")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().splitlines()
    assert max(map(len, lines)) <= 80
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:]}
    assert list(rows) == ["mine", "sofa", "webcam-like", "all"]
    assert [row[0] for row in rows.values()] == ["2", "1", "1", "3"]
    assert rows["webcam-like"][1:-1] == ["100.00"] * 4 + ["0.00"] * 5
    found = json.loads(run("eval", *arguments, "--json").stdout)
    assert rows["all"][:-1] == ["3", *(f"{v:.2f}" for v in list(found["overall"].values())[1:-1])]


def test_index_two_folders_up_is_found(split: Path, tmp_path: Path) -> None:
    index = split.parent / "index.tsv"
    index.write_text("split\tname\twebcam_like\nval\tsofa_1\t1\nval\tdesk_1\t0\n")
    try:
        pairs = find_pairs(split / "images", split / "masks")
    finally:
        index.unlink()
    assert [(p.source, p.webcam_like) for p in pairs] == [
        ("desk", False),
        ("desk", None),
        ("sofa", True),
    ]


def test_worst_first_on_the_contact_sheet(split: Path, tmp_path: Path) -> None:
    done = run("eval", *folders(split), "--worst", tmp_path / "worst.png")
    assert done.returncode == 0, done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["worst.png"]
    sheet = as_image(cv2.imread(str(tmp_path / "worst.png")))
    assert sheet.shape == (2 * (CELL + LINE), 6 * CELL, 3)
    green = (sheet == (0x40, 0xB1, 0)).all(2)
    worst, right = sheet[: CELL + LINE, : 3 * CELL], sheet[CELL + LINE :, : 3 * CELL]
    middle = np.s_[CELL // 2, CELL : 3 * CELL]
    assert not (worst[middle][:CELL] == worst[middle][CELL:]).all(), "the inverted mask"
    assert (green[: CELL + LINE][middle][:CELL] != green[: CELL + LINE][middle][CELL:]).mean() > 0.8
    assert (right[middle][:CELL] == right[middle][CELL:]).all(), "mask and alpha are the same"
    assert 0.2 < green[CELL + LINE :][middle].mean() < 0.9
    assert not green[:, :CELL].any(), "the picture as it is"
    assert right[CELL + 4 :, :CELL].max() > 200, "a name under it"
    assert not sheet[CELL + LINE :, 3 * CELL :].any(), "there is no fourth"


def test_runs_without_torch(split: Path) -> None:
    code = (
        "import sys; from livecut.commands.main import cli; "
        "cli.main(sys.argv[1:], standalone_mode=False); "
        "print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, "eval", *map(str, folders(split)), "--json"]
    assert subprocess.check_output(command, text=True).splitlines()[-1] == "False"


def test_mistakes(split: Path, tmp_path: Path) -> None:
    images, masks, empty = tmp_path / "images", tmp_path / "masks", tmp_path / "empty"
    for folder in (images, masks, empty):
        folder.mkdir()
    image, mask, index = images / "a.png", masks / "a.png", tmp_path / "a.tsv"
    picture = cv2.imencode(".png", np.zeros((20, 30, 3), np.uint8))[1].tobytes()
    image.write_bytes(picture)

    def refused(*words: str, more: tuple[str | Path, ...] = ()) -> None:
        assert_one_clear_line(run("eval", "--images", images, "--masks", masks, *more), *words)

    refused("no mask for", "a.png", str(masks))
    mask.write_bytes(picture[:40])
    refused("cannot read", str(mask))
    mask.write_bytes(cv2.imencode(".png", np.zeros((20, 31), np.uint8))[1].tobytes())
    refused("(20, 31)", "(20, 30)", "must agree")
    mask.write_bytes(picture)
    image.write_bytes(b"")
    refused("cannot read", str(image))
    image.write_bytes(picture)
    refused("nosuch", more=("--images", tmp_path / "nosuch"))
    refused("nosuch", more=("--masks", tmp_path / "nosuch"))
    refused("no pictures in", str(empty), ".png", more=("--images", empty))
    refused("index", "cannot be read", more=("--index", tmp_path / "none.tsv"))
    index.write_text("name\tsource\na\tx\n")
    refused("no column 'split'", "webcam_like", more=("--index", index))
    index.write_text("split\tname\twebcam_like\nelse\ta\t1\n")
    refused("lists no picture of", tmp_path.name, more=("--index", index))
    refused("sheet.txt", ".png", more=("--worst", tmp_path / "sheet.txt"))
    refused("no folder", more=("--worst", tmp_path / "none" / "sheet.png"))
    refused("unknown model 'nosuch'", more=("--model", "nosuch"))
    assert_one_clear_line(run("eval", "--images", images), "--masks")
    assert {p.name for p in tmp_path.iterdir()} == {"images", "masks", "empty", "a.tsv"}


def some(iou: float, pair: Pair) -> Score:
    return Score(pair, iou, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)


def test_summary_by_hand() -> None:
    pair = Pair(Path("a"), Path("a"), "a")
    found = summarise(some(iou, pair) for iou in (90, 10, 80, 70, 60, 100, 50, 20, 40, 30, 99))
    assert found.pictures == 11
    assert found.iou == pytest.approx(649 / 11)
    assert found.iou_median == 60
    assert found.iou_worst_tenth == 15, "the worst two of eleven"
    assert (found.boundary_f1, found.mad, found.mse, found.grad) == (1, 2, 3, 4)
    assert (found.leak, found.miss, found.ms_p50) == (5, 6, 7)


def test_report_by_source_and_webcam() -> None:
    a, b = Pair(Path("a"), Path("a"), "a", False), Pair(Path("b"), Path("b"), "all", True)
    found = report([some(50, b), some(70, a), some(90, b)])
    assert {name: s.iou for name, s in found.sources.items()} == {"a": 70, "all": 70}
    assert found.webcam_like
    assert found.webcam_like.pictures == 2
    assert found.overall.pictures == 3
    assert report([some(70, a)]).webcam_like is None


def test_sources_come_from_names(tmp_path: Path) -> None:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
        for name in ("me.jpg", "a_b_12.jpg", "12.jpg", "c_1_x.jpg"):
            (tmp_path / part / name).touch()
    pairs = pairs_in(tmp_path / "images", tmp_path / "masks")
    assert {p.image.stem: p.source for p in pairs} == {
        "me": "other",
        "a_b_12": "a_b",
        "12": "other",
        "c_1_x": "other",
    }


def test_index_without_the_column_that_counts(tmp_path: Path) -> None:
    index = tmp_path / "index.tsv"
    index.write_text("split\tname\nval\ta\n")
    with pytest.raises(ConfigError, match="no column 'webcam_like'"):
        with_index([Pair(Path("a.png"), Path("a.png"))], "val", index)
