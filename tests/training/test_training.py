"""Training, resuming and exporting, on a small data set that the test makes."""

from __future__ import annotations

import math
import platform
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from livecut import ConfigError, EngineError, ModelError, Segmenter  # noqa: E402
from livecut.commands.main import cli  # noqa: E402
from livecut.evaluation.dataset import Data, Pair, read_folder  # noqa: E402
from livecut.network.base import alpha_at, normalise  # noqa: E402
from livecut.network.build import build  # noqa: E402
from livecut.network.unet import DeepMobileUNet, EfficientUNet, MobileUNet  # noqa: E402
from livecut.network.weights import load_weights  # noqa: E402
from livecut.processors.cuda.precision import HALF_TOLERANCE  # noqa: E402
from livecut.training.augment import pair  # noqa: E402
from livecut.training.checkpoint import (  # noqa: E402
    earlier_weights,
    load_checkpoint,
    load_earlier,
    load_encoder,
    load_start,
)
from livecut.training.data import Batches  # noqa: E402
from livecut.training.export import Exported, export  # noqa: E402
from livecut.training.losses import (  # noqa: E402
    LOSSES,
    bce,
    boundary,
    dice,
    ghost,
    l1,
    laplacian,
    measure,
)
from livecut.training.quantise import Figures  # noqa: E402
from livecut.training.run import Teacher, teacher_for, update_average  # noqa: E402
from livecut.training.settings import LOSS_NAMES, TrainSettings, parse_loss, recipe  # noqa: E402
from livecut.training.train import train  # noqa: E402

rng = np.random.default_rng(0)


def make_folder(root: Path, count: int = 12) -> Path:
    """Orange discs on bluish noise; the disc is the person."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    (root / "rooms").mkdir()
    for i in range(count):
        image = rng.integers(60, 160, (64, 96, 3), np.uint8)
        mask = np.zeros((64, 96), np.uint8)
        at = (int(rng.integers(30, 66)), int(rng.integers(30, 50)))
        cv2.circle(image, at, 22, (20, 120, 250), -1)
        cv2.circle(mask, at, 22, 255, -1)
        cv2.imwrite(str(root / "images" / f"{i}.png"), image)
        cv2.imwrite(str(root / "masks" / f"{i}.png"), mask)
        cv2.imwrite(str(root / "rooms" / f"{i}.png"), rng.integers(0, 256, (64, 96, 3), np.uint8))
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("data"))


def settings(data: Path, out: Path, **changes: Any) -> TrainSettings:
    base: dict[str, Any] = {
        "steps": 40,
        "batch": 4,
        "size": (64, 48),
        "validate_every": 20,
        "workers": 0,
        "average": 0.9,
    }
    return TrainSettings(data=data, output=out, **(base | changes))


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    scores: list[float] = []
    train(settings(data, out), report=lambda _step, _loss, s: scores.append(s[0]) if s else None)
    assert len(scores) == 2
    assert scores[-1] > 60, "it learns to find a disc"
    return out


def test_will_not_overwrite_a_run(data: Path, trained: Path) -> None:
    with pytest.raises(ConfigError, match="add --resume"):
        train(settings(data, trained))


def test_resume_needs_a_run(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no checkpoint"):
        train(settings(data, tmp_path / "none"), resume=True)


def test_named_gpu_is_had_or_an_error(data: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="device cuda:99: PyTorch"):
        train(settings(data, tmp_path, device="cuda:99"))
    with pytest.raises(EngineError, match="unknown device 'tpu'"):
        train(settings(data, tmp_path, device="tpu"))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc alone can be told")
def test_freed_memory_is_kept() -> None:
    code = """
import resource, sys, torch
from livecut.training.train import keep_memory
if sys.argv[1] == "kept":
    keep_memory()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(30):
    torch.zeros(16 << 20)
before = faults()
for _ in range(10):
    torch.zeros(16 << 20)
print(faults() - before)
"""
    given_back, kept = (
        int(subprocess.check_output([sys.executable, "-c", code, how]))
        for how in ("given back", "kept")
    )
    assert kept < given_back / 5


@pytest.fixture(scope="module")
def written(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return exported(trained / "best.pt", tmp_path_factory.mktemp("written") / "disc.onnx")


def test_export_agrees_and_both_engines_run_it(written: Exported) -> None:
    out, difference = written.files[0], written.difference
    assert difference is not None
    assert difference < 1e-3
    image = np.full((96, 128, 3), 110, np.uint8)
    cv2.circle(image, (64, 50), 40, (20, 120, 250), -1)
    onnx, tensor = Segmenter(out, device="cpu"), Segmenter(out, engine="torch", device="cpu")
    assert np.abs(onnx(image).astype(int) - tensor(image)).max() <= 1
    assert sorted(p.name for p in out.parent.iterdir()) == [
        "disc.onnx",
        "disc.safetensors",
        "disc.toml",
    ]


def exported(
    checkpoint: Path, out: Path, calibrate: Path | None = None, others: Sequence[Path] = ()
) -> Exported:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter deprecates parts of itself
        return export(checkpoint, out, calibrate, others)


def test_int8_is_written_beside_and_nearly_agrees(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    found = exported(trained / "best.pt", tmp_path / "disc.onnx", data)
    names = {"disc.onnx", "disc.int8.onnx", "disc.safetensors", "disc.toml"}
    assert {path.name for path in found.files} == {p.name for p in tmp_path.iterdir()} == names
    assert found.figures is not None
    plain, whole = found.figures
    assert plain.iou > 60
    assert whole.iou > plain.iou - 0.3
    assert whole.mad < plain.mad + 1
    assert whole.ghosts < plain.ghosts + 0.05
    image = np.asarray(cv2.imread(str(data / "images" / "1.png")), np.uint8)
    exact = Segmenter(tmp_path / "disc.onnx", device="cpu")
    small = Segmenter(tmp_path / "disc.int8.onnx", device="cpu")
    assert small.description.endswith("int8")
    assert np.abs(exact(image).astype(int) - small(image)).mean() < 10


@pytest.mark.parametrize(
    ("worse", "said"),
    [
        (Figures(89.7, 12.0, 0.01), "IoU 89.70 %"),
        (Figures(90.0, 13.0, 0.01), "MAD 13.0 / 1000"),
        (Figures(90.0, 12.0, 0.07), "ghosts 0.07 %"),
    ],
)
def test_int8_that_loses_too_much_is_refused(
    worse: Figures,
    said: str,
    data: Path,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = iter([Figures(90.0, 12.0, 0.01), worse])
    monkeypatch.setattr("livecut.training.quantise.figures", lambda *_: next(both))
    monkeypatch.setattr("livecut.training.quantise._write", lambda *given: given[-1].touch())
    with pytest.raises(ModelError, match=said):
        exported(trained / "best.pt", tmp_path / "disc.onnx", data)
    assert list(tmp_path.iterdir()) == []


def test_weights_are_exported_again(written: Exported, tmp_path: Path) -> None:
    first, weights = written.files[:2]
    found = exported(weights, tmp_path / "b.onnx")
    assert [path.name for path in found.files] == ["b.onnx"]
    assert (tmp_path / "b.onnx").read_bytes() == first.read_bytes()
    with pytest.raises(ModelError, match=r"give -o b\.onnx"):
        export(weights, tmp_path / "b.safetensors")


def test_float16_is_written_beside_and_run(written: Exported, tmp_path: Path) -> None:
    weights, out = written.files[1], tmp_path / "b.onnx"
    done = CliRunner().invoke(cli, ["export", str(weights), "-o", str(out), "--float16"])
    assert done.exit_code == 0, done.output
    half, exact = out.with_suffix(".float16.onnx"), Segmenter(out, device="cpu", engine="onnx")
    assert half.stat().st_size < 0.6 * out.stat().st_size
    image = np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)
    segmenter = Segmenter(half, device="cpu", engine="onnx")
    assert np.abs(segmenter(image).astype(int) - exact(image)).max() <= 255 * HALF_TOLERANCE
    with pytest.raises(ModelError, match=r"give -o b\.onnx"):
        export(weights, tmp_path / "b.safetensors", float16=True)


def test_float16_that_overflows_is_refused(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    differences = iter((0.0, float("nan")))
    monkeypatch.setattr("livecut.training.export.disagreement", lambda *_: next(differences))
    monkeypatch.setattr(
        "livecut.training.export.write_onnx", lambda _p, _f, path: path.write_bytes(b"x")
    )
    with pytest.raises(ModelError, match="by nan"):
        export(trained / "best.pt", tmp_path / "bad.onnx", float16=True)
    assert list(tmp_path.iterdir()) == []


def test_mean_of_several_weights(trained: Path, data: Path, tmp_path: Path) -> None:
    one, other, mean = (
        trained / "best.pt",
        tmp_path / "other.safetensors",
        tmp_path / "a.safetensors",
    )
    train(settings(data, tmp_path / "b", steps=10, validate_every=10, start=str(one)))
    export(tmp_path / "b" / "best.pt", other)
    done = CliRunner().invoke(cli, ["export", *map(str, (one, other, other)), "-o", str(mean)])
    assert done.exit_code == 0, done.output
    assert not mean.with_suffix(".toml").exists(), "of no one recipe"
    first, second = load_checkpoint(one)["averaged"], load_weights(other)[0].state_dict()
    for name, value in load_weights(mean)[0].state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, (first[name] + 2 * second[name]) / 3)
    assert not torch.equal(first["head.weight"], second["head.weight"])
    assert [p.name for p in exported(mean, tmp_path / "c.onnx", others=[one]).files] == [
        "c.onnx",
        "c.safetensors",
    ]


def test_mean_is_for_the_size_of_the_first(trained: Path, data: Path, tmp_path: Path) -> None:
    one, out = trained / "best.pt", tmp_path / "mean.safetensors"
    large = {"size": (96, 64), "start": str(one)}
    train(settings(data, tmp_path / "large", steps=10, validate_every=10, **large))
    export(tmp_path / "large" / "best.pt", out, others=[one])
    assert load_weights(out)[1].area == 96 * 64
    train(settings(data, tmp_path / "deep", steps=10, validate_every=10, model="deep"))
    refused = tmp_path / "refused.safetensors"
    with pytest.raises(ModelError, match="is deep, the first live; expected the same"):
        export(one, refused, others=[tmp_path / "deep" / "best.pt"])
    assert not refused.exists()


def test_the_classic_network_is_exported_too(tmp_path: Path) -> None:
    state = build("unet").state_dict()
    chosen = settings(tmp_path, tmp_path, model="unet").plain()
    torch.save({"averaged": state, "settings": chosen}, tmp_path / "best.pt")
    difference = exported(tmp_path / "best.pt", tmp_path / "classic.onnx").difference
    assert difference is not None
    assert difference < 1e-3
    image = rng.integers(0, 256, (60, 90, 3), np.uint8)
    assert Segmenter(tmp_path / "classic.onnx", device="cpu")(image).shape == (60, 90)


def test_export_refuses_a_network_that_differs(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livecut.training.export.disagreement", lambda *_: 0.5)
    monkeypatch.setattr(
        "livecut.training.export.write_onnx", lambda _p, _f, path: path.write_bytes(b"x")
    )
    with pytest.raises(ModelError, match=r"differs from PyTorch's by 0\.5"):
        export(trained / "best.pt", tmp_path / "bad.onnx")
    assert list(tmp_path.iterdir()) == []


def test_export_refuses_bad_input(trained: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.pt"
    text.write_text("hello")
    other = tmp_path / "other.pt"
    torch.save({"weights": 1}, other)
    for checkpoint, out, match in (
        (tmp_path / "none.pt", tmp_path / "a.onnx", "no checkpoint"),
        (text, tmp_path / "a.onnx", "cannot be read"),
        (other, tmp_path / "a.onnx", "no checkpoint of 'livecut train'"),
        (trained / "best.pt", tmp_path / "a.pt", "ends in .onnx or .safetensors"),
        (trained / "best.pt", tmp_path / "none" / "a.onnx", "no folder"),
    ):
        with pytest.raises(ModelError, match=match):
            export(checkpoint, out)


def test_read_folder_splits_by_name_and_finds_rooms(data: Path) -> None:
    found = read_folder(data)
    assert len(found.train) + len(found.val) == 12
    assert found.val
    assert len(found.rooms) == 12
    assert found == read_folder(data)


def test_read_folder_refuses(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="0 training and 0 validation"):
        read_folder(tmp_path)
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ConfigError, match="no mask for"):
        read_folder(tmp_path)


def test_unequal_image_and_mask_are_refused(data: Path) -> None:
    found = read_folder(data).train[0]
    cv2.imwrite(str(data / "wrong.png"), np.zeros((9, 9), np.uint8))
    with pytest.raises(ConfigError, match="must agree"):
        type(found)(found.image, data / "wrong.png").read()


def test_batches_depend_on_the_seed_and_the_step_alone(data: Path) -> None:
    found = read_folder(data)
    sizes = [(64, 48), (48, 64)]
    every = list(Batches(found, 4, sizes, 7, 0, 10))
    assert list(Batches(found, 4, sizes, 7, 6, 10)) == every[6:]
    assert list(Batches(found, 4, sizes, 8, 0, 10)) != every


def test_batches_draw_by_source_and_likeness() -> None:
    def of(source: str, webcam_like: bool | None) -> Pair:
        return Pair(Path(source), Path(source), source, webcam_like)

    found = Data([of("a", True), of("a", False), of("b", False), of("c", None)], [], [])
    drawn = Batches(found, 1000, [(8, 8)], 0, 0, 1, {"a": 0.5, "b": 3})
    share = np.bincount([key[0] for key in next(iter(drawn))], minlength=4) / 1000
    assert np.abs(share - np.array([2, 0.5, 3, 4]) / 9.5).max() < 0.05
    with pytest.raises(ConfigError, match=r"no training picture is from d; there are a, b, c$"):
        Batches(found, 4, [(8, 8)], 0, 0, 1, {"d": 1})


@pytest.mark.parametrize("text", ["selfies", "=2", "a=b", "a=-1", "a=nan"])
def test_weight_that_is_none(text: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["train", "--data", str(tmp_path), "--weight", text])
    assert done.exit_code == 2
    assert f"'{text}' is not NAME=NUMBER" in done.output


def test_augmented_pairs_stay_aligned() -> None:
    """Orange stays person and blue stays background, whatever was done to the geometry."""
    image = np.full((90, 120, 3), (160, 90, 40), np.uint8)
    mask = np.zeros((90, 120), np.uint8)
    cv2.circle(image, (60, 60), 30, (20, 120, 250), -1)
    cv2.circle(mask, (60, 60), 30, 255, -1)
    room = np.full((50, 50, 3), (150, 140, 30), np.uint8)
    good = 0
    for seed in range(60):
        out, alpha = pair(image, mask, room, (96, 64), np.random.default_rng(seed))
        assert out.shape == (64, 96, 3)
        assert alpha.shape == (64, 96)
        inside, outside = alpha > 250, alpha < 5
        if inside.sum() > 50 and outside.sum() > 50:
            red = out[..., 2].astype(int) - out[..., 0]
            good += red[inside].mean() > red[outside].mean() + 5
    assert good >= 45


def test_losses_by_hand() -> None:
    logits = torch.tensor([[[[0.0, 100.0]]]])
    target = torch.tensor([[[[1.0, 1.0]]]])
    assert bce(logits, target).item() == pytest.approx(math.log(2) / 2)
    assert bce(logits, target, person_weight=3).item() == pytest.approx(3 * math.log(2) / 2)
    # p = (0.5, 1): 1 - (2 * 1.5 + 1) / (1.25 + 2 + 1)
    assert dice(logits, target).item() == pytest.approx(1 - 4 / 4.25)


def test_boundary_loss_is_of_the_edge_alone() -> None:
    target = torch.zeros(1, 1, 8, 16)
    target[..., 8:] = 1
    logits = torch.where(target > 0, 20.0, -20.0)
    assert boundary(logits, target).item() == pytest.approx(0, abs=1e-6)
    logits[..., 0:5] = 3.0  # wrong, and more than two pixels from the edge
    assert boundary(logits, target).item() == pytest.approx(0, abs=1e-6)
    logits[..., 6:8] = 0.0  # two of the four columns near the edge
    assert boundary(logits, target).item() == pytest.approx(math.log(2) / 2, rel=1e-5)
    assert boundary(logits, torch.zeros_like(target)).item() == 0


def test_teacher_gives_its_alpha_and_a_smaller_picture(trained: Path) -> None:
    network, facts, _ = load_earlier(trained / "best.pt")
    teacher = Teacher(network, facts.area)
    assert (teacher.area, teacher.stride) == (facts.area, network.stride) == (64 * 48, 16)
    image, mask = torch.rand(2, 3, 48, 64), torch.rand(2, 1, 48, 64)
    with torch.no_grad():
        both = [network(image), network(image.flip(3)).flip(3)]
        alpha = sum(alpha_at(logits, (64, 48))[:, None] for logits in both) / 2
    same, target = teacher.distillation_target(image, mask, facts.area, 16)
    assert torch.allclose(same, image, atol=1e-5)
    assert torch.allclose(target, (mask + alpha) / 2, atol=0.02)
    small, target = teacher.distillation_target(image, mask, 32 * 32, 16)
    assert small.shape == (2, 3, 32, 32)
    assert target.shape == (2, 1, 32, 32)
    assert target.mean().item() == pytest.approx(((mask + alpha) / 2).mean().item(), abs=0.02)


def test_learns_from_a_teacher(data: Path, trained: Path, tmp_path: Path) -> None:
    """From the same weights, on pictures of the teacher's size, the loss is another."""
    changes = {"steps": 10, "validate_every": 10, "size": (32, 32), "seed": 3}
    losses: list[float] = []
    for teacher in ("", str(trained / "best.pt"), "average"):
        out = tmp_path / f"taught-{len(teacher)}"
        given = settings(data, out, **changes, start=str(trained / "best.pt"), teacher=teacher)
        train(given, report=lambda _, loss, __: losses.append(loss))
    assert len(set(losses)) == len(losses) == 3
    taught = load_checkpoint(out / "best.pt")
    assert taught["settings"]["area"] == 32 * 32
    assert recipe(taught["settings"])["teacher"] == "average"
    with pytest.raises(ModelError, match=r"no checkpoint nosuch\.pt; give an existing file"):
        train(settings(data, tmp_path / "d", teacher="nosuch.pt"))


def test_average_moves_by_its_decay() -> None:
    a, b = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    with torch.no_grad():
        b.weight.copy_(torch.tensor([3.0, -1.0]))
    b(torch.rand(4, 2, 3, 3))
    update_average(a, b, 0.75)
    assert a.weight.tolist() == [1.5, 0.5]
    assert a.num_batches_tracked == 1


def test_losses_by_name() -> None:
    assert tuple(LOSSES) == LOSS_NAMES
    target = (torch.rand(2, 1, 8, 8) > 0.5).float()
    logits = torch.randn(2, 1, 8, 8, requires_grad=True)
    parts = measure(LOSSES, logits, target, 2.0)
    assert parts["bce"] == bce(logits, target, 2.0)
    assert parts["dice"] == dice(logits, target)
    assert parts["boundary"] == boundary(logits, target, 2.0)
    assert list(measure(["dice"], logits, target, 2.0)) == ["dice"]
    torch.autograd.backward(torch.stack(list(parts.values())).sum())
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())


def test_soft_losses_by_hand() -> None:
    logits = torch.full((1, 1, 40, 40), -100.0)
    logits[..., :20] = 100.0
    exact = (logits > 0).float()
    for loss in (l1, laplacian, ghost):
        assert loss(logits, exact).item() == pytest.approx(0, abs=1e-6)
    assert l1(logits, torch.zeros_like(exact)).item() == pytest.approx(0.5)
    assert l1(torch.zeros_like(logits), exact).item() == pytest.approx(0.5)


def test_laplacian_is_of_the_edge_and_of_all_sizes() -> None:
    target = torch.zeros(1, 1, 64, 64)
    target[..., 32:] = 1
    sharp = torch.where(target > 0, 100.0, -100.0)
    shifted = sharp.roll(2, 3)
    ramp = torch.linspace(-8, 8, 64).expand_as(target).contiguous()
    flat = torch.full_like(target, -100.0)
    assert laplacian(flat, torch.zeros_like(target)).item() == pytest.approx(0, abs=1e-6)
    assert 0 < laplacian(shifted, target) < laplacian(shifted.roll(4, 3), target)
    assert laplacian(ramp, target) > 0.01, "an edge that is a ramp"
    one = torch.zeros_like(target)
    one[..., 32, 32] = 1
    # The first level loses of a pixel what it blurs.
    assert laplacian(flat, one, levels=1).item() > 0.9 / 64**2
    tiny = torch.zeros(1, 1, 3, 3)
    assert laplacian(tiny, torch.ones_like(tiny)).item() == 0, "too small for a level"


def test_ghosts_cost_more_the_fainter_they_are() -> None:
    target = torch.zeros(1, 1, 80, 144)
    target[..., 40:, 60:80] = 1

    def cost(alpha: float, column: int) -> float:
        logits = torch.where(target > 0, 20.0, -20.0)
        logits[..., 50:54, column : column + 4] = math.log(alpha / (1 - alpha))
        each: float = ghost(logits, target).item() * target.numel()
        return each / 16

    assert cost(0.5, 80) == pytest.approx(0, abs=1e-3), "within a twentieth of the height"
    assert cost(0.5, 86) == pytest.approx(1.1 * 0.5 / 0.6, rel=1e-3)
    assert cost(0.1, 100) == pytest.approx(0.55, rel=1e-3)
    assert cost(0.1, 100) / 0.1 > 3 * cost(0.9, 100) / 0.9


@pytest.mark.parametrize("text", ["nosuch", "l1=0", "l1=much", "=3", "l1=inf"])
def test_losses_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no loss"):
        parse_loss(text)


def test_losses_are_weighted() -> None:
    target = (torch.rand(2, 1, 16, 16) > 0.5).float()
    logits = torch.randn(2, 1, 16, 16)
    parts = measure(["l1=4", "dice"], logits, target, 1.0)
    assert parts["l1"] == 4 * l1(logits, target)
    assert parts["dice"] == dice(logits, target)


def test_encoder_has_to_fit(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="takes no pretrained weights"):
        load_encoder(build("unet"), "imagenet")
    torch.save({"features.0.0.weight": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match="no torchvision mobilenet_v2"):
        load_encoder(build("live"), str(tmp_path / "w.pth"))


def test_efficientnet_lite_fits_the_quality_network(tmp_path: Path) -> None:
    network = build("quality")
    assert isinstance(network, EfficientUNet)
    state: dict[str, Any] = {}
    for block, number in zip(network.features, network.numbers, strict=True):
        for i, value in enumerate(block.state_dict().values()):
            stem = "_bn0" if i else "_conv_stem"
            state[f"{f'_blocks.{number - 1}' if number else stem}.{i}"] = value + 1
    torch.save(state, tmp_path / "lite.pth")
    levels = torch.randint(0, 256, (1, 8, 8, 3), dtype=torch.uint8)
    lite = (levels.permute(0, 3, 1, 2).flip(1).float() - 127) / 128
    conv, norm = nn.Conv2d(3, 32, 3, bias=False), nn.BatchNorm2d(32)
    conv.weight.data = state["_conv_stem.0"]
    theirs = [state[f"_bn0.{i}"] for i in range(1, 6)]
    norm.load_state_dict(dict(zip(norm.state_dict(), theirs, strict=True)))
    expected = norm.eval()(conv(lite))
    load_encoder(network, str(tmp_path / "lite.pth"))
    own = network.features[0].eval()
    got = own.get_submodule("1")(own.get_submodule("0")(normalise(levels)))[..., 1:3, 1:3]
    assert torch.allclose(got, expected[..., 1:4:2, 1:4:2], atol=1e-3)
    assert torch.equal(network.features[5].state_dict()["conv.2.weight"], state["_blocks.4.12"])


def test_goes_on_from_other_weights(data: Path, trained: Path, tmp_path: Path) -> None:
    def first_loss(out: str, start: str) -> float:
        losses: list[float] = []
        changes = {"steps": 10, "validate_every": 10, "start": start}
        train(
            settings(data, tmp_path / out, **changes),
            report=lambda _, loss, __: losses.append(loss),
        )
        return losses[0]

    assert first_loss("a", str(trained / "best.pt")) < 0.8 * first_loss("b", "")
    with pytest.raises(ModelError, match="another network"):
        load_start(build("unet"), trained / "best.pt")


def test_start_and_teacher_take_shipped_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    network, facts, _ = load_earlier(earlier_weights("fast"))
    assert facts.network == "live"
    load_start(build("live"), earlier_weights("fast"))
    teacher = teacher_for(
        TrainSettings(data=tmp_path, teacher="fast"), network, torch.device("cpu")
    )
    assert teacher is not None
    assert teacher.area == facts.area
    (tmp_path / "fast").write_bytes(b"a file of that name comes first")
    assert earlier_weights("fast") == Path("fast")
    with pytest.raises(ModelError, match="--start and --teacher also take fast, live, quality"):
        load_earlier(earlier_weights("nosuch"))


def test_a_deeper_network_goes_on_from_a_shallower_one(trained: Path) -> None:
    realtime, deep = MobileUNet(), DeepMobileUNet()
    before = {k: v.clone() for k, v in deep.state_dict().items()}
    load_start(realtime, trained / "best.pt")
    load_start(deep, trained / "best.pt")
    source, found = realtime.state_dict(), deep.state_dict()
    weight = "conv.0.0.weight"
    assert torch.equal(found[f"features.11.{weight}"], source[f"features.9.{weight}"])
    assert torch.equal(found["head.weight"], source["head.weight"])
    assert torch.equal(found[f"features.9.{weight}"], before[f"features.9.{weight}"])


def test_frozen_features_stay_as_they_are(data: Path, trained: Path, tmp_path: Path) -> None:
    start = trained / "best.pt"
    changes = {"steps": 10, "validate_every": 10, "start": str(start), "freeze": 4}
    train(settings(data, tmp_path, **changes))
    before = load_checkpoint(start)["averaged"]
    after = load_checkpoint(tmp_path / "last.pt")["averaged"]
    for name, value in before.items():
        block = int(name.split(".")[1]) if name.startswith("features.") else 99
        if block < 4:
            assert torch.allclose(value.float(), after[name].float(), atol=1e-6), name
    assert not torch.equal(before["head.weight"], after["head.weight"])
