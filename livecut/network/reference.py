"""Networks of torchvision to compare with, trained on the same data or with their own weights.

LR-ASPP (Howard et al., 2019), DeepLabV3 (Chen et al., 2017) and Mask R-CNN (He et al., 2017; the
second recipe of Li et al., 2021).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import get_model

from livecut.errors import ModelError
from livecut.models import REFERENCES, TORCHVISION
from livecut.network.base import Facts, Measure, Network, downloading

VOC_PERSON = 15
"""Channel of the person in torchvision's weights for segmentation, of 21 classes of Pascal VOC."""
COCO_CLASSES = 91
PERSON = 1
"""Label of the person in Mask R-CNN, also in torchvision's weights of `COCO_CLASSES`."""
SCORE = 0.5
"""Score below which an instance is not taken into the matte."""
SMALLEST = 16
"""Least number of pixels of a connected component of a mask that is an instance."""
NORM_MOMENTUM = 0.1
"""Momentum of the running statistics. With the 0.01 of torchvision's MobileNetV3 a hundredth of the
first guess is left after 500 steps, which is too much beside the small variances of a network that
learns from the start."""
PRETRAINED_AREA = 924 * 520
"""Pixels of a 16:9 picture with a shorter side of 520, as torchvision's segmentation expects it."""


class Reference(Network):
    """A network of torchvision; `name` is torchvision's own, `options` go to its maker."""

    stride = 16
    output_stride = 1

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__()
        self.name, self.options = name, options
        self.model: nn.Module = get_model(name, weights=None, weights_backbone=None, **options)
        for module in self.model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = NORM_MOMENTUM

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of the backbone."""
        yield from self.model.get_submodule("backbone").parameters()

    def load_pretrained(self, name: str) -> None:
        """Take torchvision's weights: `imagenet` for the backbone, `coco` for most of it.

        With `coco` the last layers, made there for other classes, stay fresh. Raises ModelError.
        """
        if name not in ("imagenet", "coco"):
            raise ModelError(f"unknown weights '{name}' for {self.name}; expected imagenet or coco")
        with downloading(f"the {name} weights of torchvision's {self.name}"):
            if name == "imagenet":
                options = self.options | {"weights_backbone": "DEFAULT"}
                found = get_model(self.name, weights=None, **options).state_dict()
            else:
                found = get_model(self.name, weights="DEFAULT").state_dict()
        own = self.model.state_dict()
        same = {k: v for k, v in found.items() if k in own and own[k].shape == v.shape}
        self.model.load_state_dict(own | same)


class Semantic(Reference):
    """A network that labels pixels; of several classes the person's probability is kept."""

    def __init__(self, name: str, classes: int = 1) -> None:
        super().__init__(name, num_classes=classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(x)["out"]
        if logits.shape[1] == 1:
            return logits
        others = [i for i in range(logits.shape[1]) if i != VOC_PERSON]
        # softmax(a)_i = sigmoid(a_i - logsumexp of the others)
        rest = torch.logsumexp(logits[:, others], 1, keepdim=True)
        return logits[:, VOC_PERSON : VOC_PERSON + 1] - rest


class Instances(Reference):
    """Mask R-CNN: each person an instance, and the matte the maximum of their soft masks."""

    exportable = False

    def __init__(self, name: str, classes: int = 2) -> None:
        # Colours are normalised outside, and pictures come at the size that was asked for. A few
        # people need fewer boxes than COCO's 512 in a step, and 1,000 and 100 at inference.
        super().__init__(
            name,
            num_classes=classes,
            image_mean=[0.0] * 3,
            image_std=[1.0] * 3,
            box_batch_size_per_image=64,
            box_detections_per_img=20,
            rpn_post_nms_top_n_test=100,
            _skip_resize=True,
        )

    def forward(self, x: Tensor) -> Tensor:
        mattes = []
        for found in self.model(list(x)):
            taken = (found["labels"] == PERSON) & (found["scores"] >= SCORE)
            nobody = x.new_zeros(1, 1, *x.shape[-2:])
            mattes.append(torch.cat([nobody, found["masks"][taken].to(x.dtype)]).amax(0))
        return torch.logit(torch.stack(mattes), eps=1e-6)

    def losses(self, x: Tensor, target: Tensor, measure: Measure) -> dict[str, Tensor]:
        """The five losses of Mask R-CNN itself, in place of `measure`."""
        targets = [instances(mask, x.device) for mask in target[:, 0].cpu().numpy() > 0.5]
        found: dict[str, Tensor] = self.model(list(x), targets)
        return found


def instances(mask: np.ndarray[Any, np.dtype[np.bool_]], device: torch.device) -> dict[str, Tensor]:
    """The connected components of a mask (H, W) as Mask R-CNN takes them.

    `boxes` float (n, 4) as left, top, right, bottom; `labels` int64 (n,); `masks` uint8 (n, H, W).
    """
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    kept = [i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] >= SMALLEST]
    left, top, width, height = stats[kept, :4].astype(np.float32).T
    boxes = np.stack([left, top, left + width, top + height], axis=1)
    masks = parts == np.array(kept, np.int32)[:, None, None]
    return {
        "boxes": torch.from_numpy(boxes).to(device),
        "labels": torch.full((len(kept),), PERSON, device=device),
        "masks": torch.from_numpy(masks.astype(np.uint8)).to(device),
    }


def reference(name: str, **options: int) -> Reference:
    """One of `REFERENCES` by its full name, with fresh weights."""
    short = name.removeprefix(TORCHVISION)
    return (Instances if "rcnn" in short else Semantic)(short, **options)


def pretrained(name: str) -> tuple[Reference, Facts]:
    """One of `REFERENCES` with torchvision's own weights, in evaluation mode. Raises ModelError."""
    if name not in REFERENCES:
        raise ModelError(
            f"unknown model '{name}'; of torchvision there are: {', '.join(REFERENCES)}"
        )
    network = reference(name, classes=COCO_CLASSES if "rcnn" in name else 21)
    network.load_pretrained("coco")
    return network.eval(), Facts(name, PRETRAINED_AREA)
