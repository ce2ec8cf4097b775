"""torchvision's networks under livecut: trained a little, saved, run, and what cannot be done."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from livecut import ModelError, Segmenter  # noqa: E402
from livecut.models import REFERENCES  # noqa: E402
from livecut.network.build import build, references  # noqa: E402
from livecut.network.reference import VOC_PERSON, Instances, instances, reference  # noqa: E402
from livecut.training.checkpoint import load_encoder  # noqa: E402
from livecut.training.export import export  # noqa: E402
from livecut.training.train import train  # noqa: E402
from tests.training.test_training import make_folder, settings  # noqa: E402

DEEPLAB, LRASPP, MASKRCNN = REFERENCES
rng = np.random.default_rng(0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def maskrcnn() -> Instances:
    network = build(MASKRCNN)
    assert isinstance(network, Instances)
    return network


@pytest.mark.parametrize("name", [LRASPP, DEEPLAB])
def test_logits_at_full_size(name: str) -> None:
    network = build(name).eval()
    with torch.inference_mode():
        assert network(torch.randn(2, 3, 48, 64)).shape == (2, 1, 48, 64)
    assert sum(p.numel() for p in network.encoder_parameters()) > 2_900_000


def test_of_several_classes_the_person_is_taken() -> None:
    network = reference(LRASPP, classes=21).eval()
    x = torch.randn(1, 3, 32, 48)
    with torch.inference_mode():
        expected = network.model(x)["out"].softmax(1)[:, VOC_PERSON : VOC_PERSON + 1]
        assert torch.allclose(network(x).sigmoid(), expected, atol=1e-6)


def test_trained_saved_and_run(data: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"model": LRASPP, "steps": 1, "batch": 2}
    best = train(settings(data, tmp_path / "run", **changes))
    header = (tmp_path / "run" / "log.csv").read_text().splitlines()[0]
    assert "loss_bce,loss_dice" in header, "the losses of the other networks"
    weights = tmp_path / "weights.safetensors"
    assert export(best, weights).difference is None
    assert {p.name for p in tmp_path.glob("weights.*")} == {"weights.safetensors", "weights.toml"}
    segmenter = Segmenter(weights, engine="torch", device="cpu")
    assert segmenter(rng.integers(0, 256, (60, 90, 3), np.uint8)).shape == (60, 90)


def test_mask_rcnn_learns_by_its_own_losses(maskrcnn: Instances) -> None:
    target = torch.zeros(2, 1, 64, 64)
    target[0, 0, 10:50, 10:40] = 1  # the second picture is of nobody
    losses = maskrcnn.train().losses(torch.randn(2, 3, 64, 64), target, lambda *_: {})
    names = {"loss_classifier", "loss_box_reg", "loss_mask", "loss_objectness", "loss_rpn_box_reg"}
    assert set(losses) == names
    torch.autograd.backward(torch.stack(list(losses.values())).sum())
    parts = [p.grad for p in maskrcnn.parameters()]
    assert all(g is not None and bool(g.isfinite().all()) for g in parts)
    assert min(float(g.abs().max()) for g in parts[-4:] if g is not None) > 0, "the mask's head too"


def test_mask_rcnn_is_not_for_onnx(
    maskrcnn: Instances, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livecut.training.checkpoint.build", lambda _: maskrcnn)
    chosen = settings(tmp_path, tmp_path, model=MASKRCNN).plain()
    torch.save({"averaged": maskrcnn.state_dict(), "settings": chosen}, tmp_path / "best.pt")
    with pytest.raises(ModelError, match=r"cannot be exported to ONNX; give -o .*a\.safetensors"):
        export(tmp_path / "best.pt", tmp_path / "a.onnx")


def test_instances_are_connected_components() -> None:
    mask = np.zeros((40, 60), np.bool_)
    mask[5:15, 10:30] = True
    mask[20:40, 40:60] = True
    mask[0, 0:3] = True  # a speck
    found = instances(mask, torch.device("cpu"))
    assert found["boxes"].tolist() == [[10, 5, 30, 15], [40, 20, 60, 40]]
    assert found["labels"].tolist() == [1, 1]
    assert found["masks"].sum((1, 2)).tolist() == [200, 400]
    assert (found["masks"].sum(0).numpy() > 0)[1:].tolist() == mask[1:].tolist()
    nobody = instances(np.zeros_like(mask), torch.device("cpu"))
    assert [tuple(v.shape) for v in nobody.values()] == [(0, 4), (0,), (0, 40, 60)]


def test_instances_are_joined_into_one_matte(
    maskrcnn: Instances, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = torch.zeros(4, 1, 32, 32)
    masks[0, 0, 4], masks[1, 0, 4:6], masks[2, 0, 20], masks[3, 0, 25] = 0.6, 0.9, 1.0, 1.0
    found = {
        "labels": torch.tensor([1, 1, 7, 1]),  # the third is no person,
        "scores": torch.tensor([0.9, 0.6, 0.9, 0.4]),  # of the fourth it is not sure
        "masks": masks,
    }
    monkeypatch.setattr(maskrcnn.model, "forward", lambda images: [found for _ in images])
    alpha = maskrcnn(torch.zeros(2, 3, 32, 32)).sigmoid()
    assert alpha.shape == (2, 1, 32, 32)
    assert torch.allclose(alpha[0, 0, 4:6], torch.tensor(0.9))
    assert alpha[0, 0, 6:].max() < 1e-5


def test_weights_that_cannot_be_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", refuse)
    for name in REFERENCES[:2]:
        with pytest.raises(ModelError, match=r"cannot be downloaded: .*no network"):
            Segmenter(name, device="cpu")
    for encoder in ("imagenet", "coco"):
        with pytest.raises(ModelError, match=f"the {encoder} weights of torchvision's lraspp"):
            load_encoder(build(LRASPP), encoder)
    with pytest.raises(ModelError, match=r"mobilenet_v2 for ImageNet cannot be downloaded"):
        load_encoder(build("live"), "imagenet")
    with pytest.raises(ModelError, match="expected imagenet or coco"):
        load_encoder(build(LRASPP), "cityscapes")
    with pytest.raises(ModelError, match="unknown model 'torchvision:resnet18'"):
        Segmenter("torchvision:resnet18", device="cpu")


def test_pretrained_weights_fill_what_has_their_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that torchvision would download are of its own networks, made here."""
    from torchvision.models import get_model

    name = "lraspp_mobilenet_v3_large"
    coco = get_model(name, weights=None, weights_backbone=None).state_dict()
    imagenet = get_model("mobilenet_v3_large", weights=None).state_dict()
    monkeypatch.setattr(
        "torchvision.models._api.load_state_dict_from_url",
        lambda url, **_: coco if "lraspp" in url else imagenet,
    )
    network, facts = references().pretrained(LRASPP)
    assert facts.network == LRASPP
    assert not network.training
    assert all(torch.equal(v, coco[k]) for k, v in network.model.state_dict().items())
    own = build(LRASPP)
    fresh = own.state_dict()["model.classifier.low_classifier.weight"].clone()
    load_encoder(own, "coco")
    state = own.state_dict()
    same = [k for k, v in coco.items() if torch.equal(v, state[f"model.{k}"])]
    assert len(same) == len(coco) - 4, "all but the two last layers, of 21 classes"
    assert torch.equal(state["model.classifier.low_classifier.weight"], fresh)
    load_encoder(own, "imagenet")
    state = own.state_dict()
    assert torch.equal(state["model.backbone.0.0.weight"], imagenet["features.0.0.weight"])
    assert torch.equal(state["model.backbone.16.0.weight"], imagenet["features.16.0.weight"])
