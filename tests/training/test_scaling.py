"""Runs as a person starts them: killed and resumed, by two processes, from a file of settings."""

from __future__ import annotations

import signal
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch")

from livecut import ConfigError, ModelError  # noqa: E402
from livecut.commands.main import cli  # noqa: E402
from livecut.evaluation.dataset import read_folder  # noqa: E402
from livecut.models import model_names, models_dir  # noqa: E402
from livecut.network.weights import load_weights  # noqa: E402
from livecut.training.checkpoint import load_checkpoint  # noqa: E402
from livecut.training.data import Batches  # noqa: E402
from livecut.training.log import Log, read  # noqa: E402
from livecut.training.parallel import Group  # noqa: E402
from livecut.training.run import lr_schedule  # noqa: E402
from livecut.training.settings import TrainSettings, options, recipe, to_toml  # noqa: E402
from livecut.training.train import train  # noqa: E402
from tests.commands.test_cli import assert_one_clear_line, command, run  # noqa: E402
from tests.training.test_training import make_folder, settings  # noqa: E402
from tests.waiting import wait_until  # noqa: E402

CHANGES: dict[str, Any] = {"steps": 16, "validate_every": 16, "save_every": 6}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def alone(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one process that nothing interrupted."""
    out = tmp_path_factory.mktemp("alone")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    train(settings(data, out, **CHANGES))
    torch.set_num_threads(threads)
    return out


def equal(one: Any, two: Any) -> bool:
    """Whether two checkpoints hold the same, bit by bit."""
    if isinstance(one, torch.Tensor):
        return bool(torch.equal(one, two))
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(equal(one[k], two[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(equal, one, two))
    return bool(one == two)


def test_killed_and_resumed_equals_uninterrupted(data: Path, alone: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(to_toml(options(settings(data, tmp_path / "run", **CHANGES).plain())))
    out = tmp_path / "run"
    arguments = command("train", "--config", config)
    process = subprocess.Popen(
        ["env", "OMP_NUM_THREADS=1", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def ten_steps() -> bool:
        assert process.poll() is None, "it ended by itself"
        return (out / "log.csv").exists() and "\n10," in (out / "log.csv").read_text()

    wait_until(ten_steps, timeout=240, every=0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert load_checkpoint(out / "last.pt")["step"] in (6, 12), "between two states"
    done = run("train", "--config", config, "--resume", OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    one, two = load_checkpoint(alone / "last.pt"), load_checkpoint(out / "last.pt")
    del one["settings"], two["settings"]
    assert two["step"] == 16
    assert equal(one, two)
    rows = [
        [[row[c] for c in row if "sec" not in c] for row in read(o / "log.csv")]
        for o in (alone, out)
    ]
    assert rows[0] == rows[1]
    assert [row["step"] for row in read(out / "log.csv")] == ["6", "10", "12", "16"]


PAIRED = """
import sys, torch, tomllib
from pathlib import Path
from livecut.training import run, train
held = []
own = run.Run.__init__
def keep(self, *values):
    own(self, *values)
    held.append(self)
run.Run.__init__ = keep
from tests.training.test_training import settings
data, out = map(Path, sys.argv[1:])
after = dict(start=str(out / "best.pt"), steps=10, teacher="average")
train.train(settings(data, out, **{changes}), settings(data, out / "next", **after))
assert held[0].group.count == 2
names = [name for name, _ in held[0].network.named_parameters()]
torch.save(dict(held[0].network.named_parameters()), out / f"rank{held[0].group.rank}.pt")
"""


def test_two_processes_train_one_network(data: Path, alone: Path, tmp_path: Path) -> None:
    script = tmp_path / "paired.py"
    script.write_text(PAIRED.replace("{changes}", repr(CHANGES)))
    out = tmp_path / "run"
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
    ]
    done = subprocess.run(
        ["env", "OMP_NUM_THREADS=1", "PYTHONPATH=.", *launch, script, data, out],
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    first, second = (torch.load(out / f"rank{i}.pt", weights_only=True) for i in range(2))
    assert equal(first, second), "the processes hold one network"
    assert {p.name for p in out.iterdir()} >= {"best.pt", "last.pt", "log.csv", "settings.toml"}
    assert load_checkpoint(out / "next" / "last.pt")["step"] == 10, "a second stage follows"
    # Half a batch has other batch norm statistics than a whole one; else the runs would be equal.
    losses = np.array([[float(row["loss"]) for row in read(o / "log.csv")] for o in (alone, out)])
    assert np.abs(losses[0] - losses[1]).max() < 0.1 * losses.mean()
    scores = [float(read(o / "log.csv")[-1]["iou"]) for o in (alone, out)]
    assert abs(scores[0] - scores[1]) < 15


def test_shares_of_a_batch_are_the_batch(data: Path) -> None:
    found, sizes = read_folder(data), [(64, 48), (48, 64)]
    atomic_write = list(Batches(found, 6, sizes, 7, 2, 5))
    shares = [list(Batches(found, 6, sizes, 7, 2, 5, share=(i, 3))) for i in range(3)]
    for batch, *parts in zip(atomic_write, *shares, strict=True):
        assert [len(part) for part in parts] == [2, 2, 2]
        assert sorted([*parts[0], *parts[1], *parts[2]]) == sorted(batch)
    cpu = torch.device("cpu")
    assert Group(0, 3, cpu).share(6) == 2
    for batch_size in (7, 3):
        with pytest.raises(ConfigError, match=f"a batch of {batch_size} cannot be shared by 3"):
            Group(0, 3, cpu).share(batch_size)


def test_pace_of_learning() -> None:
    assert [lr_schedule(n, 100) for n in (0, 9, 10)] == [0.1, 1.0, 1.0]
    assert lr_schedule(55, 100) == pytest.approx(0.505)
    assert 0.01 < lr_schedule(99, 100) < 0.02


def test_a_loss_that_is_no_number_ends_the_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "livecut.training.run.measure",
        lambda _n, logits, *_: {"bce": logits.sum() * float("nan")},
    )
    with pytest.raises(ModelError, match="the loss is nan at step 10; resume with a lower --lr"):
        train(settings(data, tmp_path, **CHANGES | {"save_every": 16}))
    assert not (tmp_path / "last.pt").exists()


def test_log_of_a_run_and_its_curve(alone: Path, data: Path) -> None:
    rows = read(alone / "log.csv")
    assert list(rows[0]) == [
        "step",
        "lr",
        "loss",
        "loss_bce",
        "loss_dice",
        "seconds",
        "samples_per_second",
        "iou",
        "iou_webcam",
    ]
    for row in rows:
        parts = float(row["loss_bce"]) + float(row["loss_dice"])
        assert float(row["loss"]) == pytest.approx(parts, rel=1e-4)
    assert [bool(row["iou"]) for row in rows] == [False, False, False, True]
    assert float(rows[-1]["iou"]) == pytest.approx(
        load_checkpoint(alone / "best.pt")["scores"][0], abs=1e-3
    )
    seconds = [float(row["seconds"]) for row in rows]
    assert seconds == sorted(seconds)
    rate = 4 * 4 / (seconds[1] - seconds[0])
    assert float(rows[1]["samples_per_second"]) == pytest.approx(rate, rel=0.05)
    pytest.importorskip("matplotlib")
    curve = cv2.imread(str(alone / "curve.png"))
    assert curve is not None
    assert len(np.unique(curve.reshape(-1, 3), axis=0)) > 50


def test_log_goes_on_where_the_state_is(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    log = Log(path, 0)
    for step in (10, 20, 30):
        log.add(step, 0.1, {"bce": 1.0, "dice": 0.5}, 2.0, 40, (90.0, 91.0) if step == 20 else None)
    with path.open("a") as file:
        file.write("4")  # a row that a kill cut short
    Log(path, 20).add(30, 0.1, {"bce": 2.0, "dice": 0.5}, 1.0, 40, None)
    rows = read(path)
    assert [row["step"] for row in rows] == ["10", "20", "30"]
    assert [float(row["seconds"]) for row in rows] == [2, 4, 5]
    assert [row["iou"] for row in rows] == ["", "90.0000", ""]
    assert rows[2]["loss"] == "2.5"
    with pytest.raises(ConfigError, match="resume with the same losses"):
        Log(path, 30).add(40, 0.1, {"bce": 2.0}, 1.0, 40, None)
    Log(path, 0)
    assert path.read_text() == ""


def test_no_curve_without_matplotlib(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livecut.training.train.find_spec", lambda _: None)
    lines: list[str] = []
    changes = {"steps": 10, "validate_every": 5, "batch": 2}
    train(settings(data, tmp_path, **changes), notice=lines.append)
    assert len(lines) == 1
    assert "livecut[bench]" in lines[0]
    assert not (tmp_path / "curve.png").exists()
    assert len(read(tmp_path / "log.csv")) == 2


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[TrainSettings]:
    """What `livecut train` would have trained with."""
    found: list[TrainSettings] = []

    def take(*given: TrainSettings, **_: object) -> Path:
        found.extend(given)
        return tmp_path

    monkeypatch.setattr("livecut.training.train.train", take)
    return found


@pytest.mark.parametrize("name", model_names())
def test_settings_of_a_shipped_model(name: str, taken: list[TrainSettings], tmp_path: Path) -> None:
    config = str(models_dir() / f"{name}.toml")
    given = ["train", "--config", config, "--data", str(tmp_path), "-o", str(tmp_path)]
    done = CliRunner().invoke(cli, given)
    assert done.exit_code == 0, done.output
    assert taken[-1].model == load_weights(models_dir() / f"{name}.safetensors")[1].network
    for one, other in pairwise(taken):
        assert other.start == str(one.output / "best.pt")


def test_settings_come_back_from_their_file(
    taken: list[TrainSettings], data: Path, tmp_path: Path
) -> None:
    chosen = settings(
        data,
        tmp_path,
        weights=(("desk", 0.5), ("a b", 2)),
        loss=("dice",),
        encoder='ä "b"',
        freeze=2,
    )
    config = tmp_path / "a.toml"
    config.write_text(to_toml(options(chosen.plain())))
    assert CliRunner().invoke(cli, ["train", "--config", str(config)]).exit_code == 0
    more = ["train", "--config", str(config), "--lr", "0.5", "--size", "32x32"]
    assert CliRunner().invoke(cli, more).exit_code == 0
    assert taken[0] == chosen
    assert (taken[1].lr, taken[1].size, taken[1].loss) == (0.5, (32, 32), ("dice",))
    config.write_text("stepz = 3\n")
    assert_one_clear_line(run("train", "--config", config), "unknown key 'stepz'", "steps")


STAGES = """
seed = 3
size = "64x48"
steps = 12
batch = 4
average = 0.9
workers = 0

[[stage]]
model = "live"

[[stage]]
lr = 5e-4
freeze = 2
size = "96x64"
weights = "other=2"
"""


def test_stages_are_runs_one_after_another(data: Path, tmp_path: Path) -> None:
    config, out = tmp_path / "a.toml", tmp_path / "run"
    config.write_text(STAGES)
    given = ("train", "--config", config, "--data", data, "-o", out, "--steps", "10")
    done = run(*given, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    assert f"best checkpoint: {out / '2' / 'best.pt'}" in " ".join(done.stderr.decode().split())
    first, second = (tomllib.loads((out / n / "settings.toml").read_text()) for n in "12")
    assert (first["start"], first["lr"], first["freeze"], first["size"]) == ("", 1e-3, 0, "64x48")
    assert (second["lr"], second["freeze"], second["size"]) == (5e-4, 2, "96x64")
    assert (second["start"], second["weights"]) == (str(out / "1" / "best.pt"), ["other=2"])
    assert (first["seed"], second["seed"], first["steps"], second["steps"]) == (3, 3, 10, 10)
    alone = tmp_path / "alone"
    by_hand = run(
        "train", "--config", out / "2" / "settings.toml", "-o", alone, OMP_NUM_THREADS="1"
    )
    assert by_hand.returncode == 0, by_hand.stderr
    wanted = load_checkpoint(alone / "last.pt")["network"]
    assert equal(load_checkpoint(out / "2" / "last.pt")["network"], wanted)
    (out / "2" / "last.pt").unlink()  # killed before the second stage had saved
    assert run(*given, "--resume", OMP_NUM_THREADS="1").returncode == 0
    assert equal(load_checkpoint(out / "2" / "last.pt")["network"], wanted)
    assert_one_clear_line(run(*given), "1/last.pt is there already; add --resume")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stage = 3", "stage"),
        ("stage = ['a']", "'a' is no stage; expected tables [[stage]]"),
        (
            "[[stage]]\n[[stage]]\nout = 'x'",
            "stage 2: unknown key 'out'; expected some of: average",
        ),
        ("[[stage]]\nsteps = 'many'", "'many' is not a valid integer"),
        ("[[stage]]\nweights = 'a'", "'a' is not NAME=NUMBER"),
    ],
)
def test_stages_that_are_none(text: str, expected: str, data: Path, tmp_path: Path) -> None:
    config = tmp_path / "a.toml"
    config.write_text(text)
    done = run("train", "--config", config, "--data", data, "-o", tmp_path / "run")
    assert_one_clear_line(done, expected)


def test_recipe_names_no_place(tmp_path: Path) -> None:
    chosen = settings(tmp_path, tmp_path, start=str(tmp_path / "a.safetensors"), encoder="imagenet")
    text = to_toml(recipe(chosen.plain()))
    assert str(tmp_path) not in text
    values = tomllib.loads(text)
    assert values["start"] == "a.safetensors"
    assert values["encoder"] == "imagenet"
    assert not values.keys() & {"data", "output", "workers", "device", "area"}
    older = chosen.plain() | {"area": 256 * 144, "out": "runs/x"}
    del older["size"]
    assert recipe(older)["size"] == "256x144"
    assert "out" not in recipe(older)


def test_resuming_another_run_is_refused(alone: Path, data: Path) -> None:
    with pytest.raises(
        ModelError,
        match=r"last\.pt is of another run: .{,60}; resume with --config .*settings\.toml",
    ):
        train(settings(data, alone, **CHANGES, model="deep"), resume=True)
