"""How near an alpha comes to the true mask.

Each function takes `alpha` and `mask`, uint8 (H, W) of one shape with 255 = person, and returns a
fraction, 0..1, but for `grad`. In the formulas p and t are the two, divided by 255. Those over time
take the two of the frame before as well; in their formulas Δp and Δt are the changes since.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from livecut.frame import Image, as_image

TOLERANCE = 0.01
"""Largest distance of two boundaries in `boundary_f1`, as a share of the picture's diagonal."""
SIGMA, RADIUS = 1.4, 4
"""Deviation in pixels of `grad`'s Gaussian, as published; beyond the radius it is under 1 %."""


def iou(alpha: Image, mask: Image) -> float:
    """Intersection over union of the persons, both cut at 128; 1 where neither has one.

    Jaccard (1912); as a measure of segmentation Everingham et al. (2010).
    """
    a, b = alpha > 127, mask > 127
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def boundary(mask: Image) -> Image:
    """The outermost pixels of the person, cut at 128: uint8 (H, W), 1 or 0.

    They have one of their four neighbours outside of the person. The picture's border is no
    outline.
    """
    person = (mask > 127).astype(np.uint8)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    return np.asarray(person - cv2.erode(person, cross), np.uint8)


def boundary_f1(alpha: Image, mask: Image) -> float:
    """F1 of the outline's pixels; those within `TOLERANCE` of the other outline are right.

    1 where neither has an outline, 0 where one alone has. Martin, Fowlkes and Malik (2004), over
    each picture as by Csurka et al. (2013), with distances in place of a matching.
    """
    found, true = boundary(alpha), boundary(mask)
    if not found.any() or not true.any():
        return float(not found.any() and not true.any())
    reach = TOLERANCE * math.hypot(*mask.shape)
    precision, recall = (
        (
            cv2.distanceTransform(1 - other, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[one > 0] <= reach
        ).mean()
        for one, other in ((found, true), (true, found))
    )
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def mad(alpha: Image, mask: Image) -> float:
    """Mean absolute difference, |p - t| over the whole picture (Rhemann et al. 2009, as SAD)."""
    return float(cv2.norm(alpha, mask, cv2.NORM_L1)) / (255 * mask.size)


def mse(alpha: Image, mask: Image) -> float:
    """Mean squared error, (p - t)² over the whole picture (Rhemann et al. 2009)."""
    return float(cv2.norm(alpha, mask, cv2.NORM_L2SQR)) / (255**2 * mask.size)


def _slope(alpha: Image) -> NDArray[np.float32]:
    x = np.arange(-RADIUS, RADIUS + 1)
    bell = np.exp(-(x**2) / (2 * SIGMA**2))
    bell, rise = bell / np.linalg.norm(bell), x * bell / np.linalg.norm(x * bell)
    plane = alpha.astype(np.float32) / 255
    across, down = (
        cv2.sepFilter2D(plane, cv2.CV_32F, kx, ky, borderType=cv2.BORDER_REPLICATE)
        for kx, ky in ((rise, bell), (bell, rise))
    )
    return np.hypot(across, down)


def grad(alpha: Image, mask: Image) -> float:
    """Gradient error: the sum over the picture of (|∇p| - |∇t|)², in thousands; 0 and more.

    ∇ is by first derivatives of a Gaussian of deviation `SIGMA`, each filter of unit L2 norm.
    Rhemann et al. (2009), there over the trimap's unknown part; thousands as in their benchmark. A
    larger picture has a larger sum: compare over the same pictures only.
    """
    return float(np.square(_slope(alpha) - _slope(mask)).sum()) / 1000


def leak(alpha: Image, mask: Image) -> float:
    """Background kept: Σ max(p - t, 0) / Σ(1 - t); 0 where there is none.

    With a mask of 0 and 255 alone, the false positive rate weighted by alpha.
    """
    background = float(cv2.sumElems(255 - mask)[0])
    return float(cv2.sumElems(cv2.subtract(alpha, mask))[0]) / background if background else 0.0


def miss(alpha: Image, mask: Image) -> float:
    """Person lost: Σ max(t - p, 0) / Σ t; 0 where there is nobody."""
    return leak(255 - alpha, 255 - mask)


def dtssd(alpha: Image, mask: Image, last_alpha: Image, last_mask: Image) -> float:
    """Root mean square of Δp - Δt over the picture; 0..2.

    Erofeev et al. (2015), their dtSSD; by frame, as RobustVideoMatting (Lin et al. 2022) reports
    it, there times 100.
    """
    difference = _change(alpha, last_alpha) - _change(mask, last_mask)
    return float(cv2.norm(difference, cv2.NORM_L2)) / (255 * math.sqrt(mask.size))


def flicker(alpha: Image, mask: Image, last_alpha: Image, last_mask: Image) -> float:
    """Mean of |Δp| where t is what it was; 0 where it changed everywhere.

    What it counts is seen as flicker, as nothing there moved; it is blind to errors that stay.
    """
    still = as_image(cv2.compare(mask, last_mask, cv2.CMP_EQ))
    return float(cv2.mean(cv2.absdiff(alpha, last_alpha), still)[0]) / 255


def _change(alpha: Image, last: Image) -> NDArray[np.int16]:
    return np.subtract(alpha, last, dtype=np.int16)
