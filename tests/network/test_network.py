"""The networks: shapes, sizes, cost."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from livecut import ModelError  # noqa: E402
from livecut.network.base import Portable, alpha_at  # noqa: E402
from livecut.network.blocks import PackedStem, PhasedHead, Up  # noqa: E402
from livecut.network.build import build  # noqa: E402
from livecut.network.unet import DeepMobileUNet, UNet  # noqa: E402


@pytest.mark.parametrize(("height", "width"), [(144, 256), (16, 16), (160, 48), (176, 208)])
def test_live_gives_logits_at_half_size(height: int, width: int) -> None:
    network = build("live").eval()
    x = torch.randn(2, 3, height, width)
    assert network(x).shape == (2, 1, height // 2, width // 2)


@pytest.mark.parametrize(("n_channels", "n_classes"), [(3, 1), (4, 3)])
def test_unet_gives_logits_at_full_size(n_channels: int, n_classes: int) -> None:
    network = UNet(n_channels, n_classes).eval()
    with torch.inference_mode():
        assert network(torch.randn(1, n_channels, 32, 48)).shape == (1, n_classes, 32, 48)


def test_unet_widths() -> None:
    network = UNet()
    blocks = [network.first, *network.down]
    widths = [next(block.parameters()).shape[0] for block in blocks]
    assert widths == [64, 128, 256, 512, 512]


def test_up_takes_the_centre_of_a_larger_skip() -> None:
    up = Up(8, 4).eval()
    skip = torch.randn(1, 4, 13, 11)
    got = up(torch.ones(1, 8, 5, 5), skip)
    assert got.shape == (1, 4, 10, 10)
    changed = skip.clone()
    changed[..., :1, :] += 100
    assert torch.equal(up(torch.ones(1, 8, 5, 5), changed), got), "the border is cropped away"


def test_live_stays_within_its_budget() -> None:
    """About 150 million multiply-accumulates at 256x144."""
    network = build("live").eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.randn(1, 3, 144, 256))
    assert 145 < counter.get_total_flops() / 2e6 < 150


def test_portable_takes_bytes_and_gives_alpha() -> None:
    portable = Portable(build("live")).eval()
    image = torch.randint(0, 256, (1, 32, 48, 3), dtype=torch.uint8)
    with torch.inference_mode():
        alpha = portable(image)
    assert alpha.shape == (1, 16, 24)
    assert alpha.dtype == torch.float32
    assert 0 <= alpha.min() <= alpha.max() <= 1


def test_alpha_at_scales_to_width_and_height() -> None:
    assert alpha_at(torch.zeros(1, 1, 9, 16), (64, 36)).shape == (1, 36, 64)


def test_encoder_has_the_layout_of_torchvisions() -> None:
    models = pytest.importorskip("torchvision.models")
    theirs = models.mobilenet_v2(weights=None).features
    network = DeepMobileUNet()
    for block, number in zip(network.features, network.numbers, strict=True):
        shapes = {k: v.shape for k, v in theirs[number].state_dict().items()}
        assert {k: v.shape for k, v in block.state_dict().items()} == shapes


def test_unknown_network() -> None:
    with pytest.raises(
        ModelError,
        match="unknown network 'resnet'; known are: live, deep, quality, unet",
    ):
        build("resnet")


def test_phased_head_equals_the_plain_one() -> None:
    head = torch.nn.Conv2d(24, 1, 3, padding=1)
    x = torch.randn(2, 24, 8, 12)
    assert torch.allclose(PhasedHead(head)(x), head(x), atol=1e-5)


def test_packed_stem_equals_the_plain_one() -> None:
    stem = torch.nn.Conv2d(3, 8, 3, stride=2, padding=1)
    x = 5 * torch.randn(2, 3, 6, 16)
    expected = torch.nn.functional.relu6(stem(x))
    assert 0 < (expected == 6).float().mean() < 0.5
    assert torch.allclose(PackedStem(stem)(x), expected, atol=1e-5)
