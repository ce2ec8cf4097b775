"""From a frame to its composite in PyTorch, on an NVIDIA GPU and the same on any device.

Each step mirrors one of `livecut.segmenter`, `livecut.backgrounds` and `livecut.kernels`; the
formulas are in `livecut.kernels.reference`. Planes are (C, H, W) of 0..255. Those of the frame's
size may be float16, small ones are float32: the guided filter's variances, of 0.25 to less than
1e-3, are finer than float16 tells apart. Blurs are pairs of small matrices, one for the rows and
one for the columns.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from livecut.backgrounds.blur import background_size, box_width
from livecut.frame import BGR, BT601, Floats, PixelFormat, Size
from livecut.kernels.constants import (
    ALPHA_MARGIN,
    BACKGROUND_FLOOR,
    CELL_FLOOR,
    CELL_POWER,
    COLOUR_CLEAR,
    COLOUR_NOISE,
    GUIDED_EPSILON,
    HYSTERESIS_HIGH,
    MAX_ALPHA,
    MOTION_WINDOW,
    MOVING_CHANGE,
    PERSON_GAIN,
    SCENE_CUT,
    SMOOTH_LIFT,
    SMOOTH_LIMIT_MOVING,
    SMOOTH_LIMIT_STILL,
    SMOOTH_SHARE,
    STILL_CHANGE,
    TINY,
    WEIGHT_ONE,
)
from livecut.kernels.edges import cell_size, cells_min_size
from livecut.kernels.hysteresis import reach
from livecut.network.base import Portable
from livecut.processors.cuda import colours
from livecut.processors.cuda.scene import (
    Scene,
    blur_matrix,
    halved,
    mean_matrix,
    spread_matrix,
)

HEADER = 16
"""Bytes before the picture on both ways, two int64. Up: the frame's index, and 1 where it follows
the frame before. Down: the receipt, and an unused one."""
INVALID = -(1 << 62)
"""The receipt in place of the frame's index where the network gave no valid alpha."""


class Compositor:
    """The way of frames of one size through one network, on buffers that are allocated once.

    Fill `incoming`, call `run`, read `outgoing`. `network` is in its own precision, `small` is its
    input's size; sizes are (width, height). `pixel_format` is the frames': BGR, YUYV or NV12.
    `dtype` is that of planes of the frame's size. With `temporal` each alpha is smoothed by the
    last, where the header says so.
    """

    def __init__(
        self,
        network: Portable,
        size: Size,
        small: Size,
        scene: Scene,
        pixel_format: PixelFormat = BGR,
        *,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        temporal: bool = False,
    ) -> None:
        (width, height), (w, h) = self._size, self._small = size, small
        self._network, self._scene, self._temporal = network, scene, temporal
        self._pixel_format, shape = pixel_format, pixel_format.shape(size)
        self.mark: Callable[[str], object] = lambda stage: None
        """Called with "start", then with the name of each stage at its end: for measurements."""

        def buffer(*shape: int, dtype: torch.dtype = torch.uint8) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        def pair(rows: Floats, columns: Floats) -> tuple[Tensor, Tensor]:
            return torch.from_numpy(rows).to(device), torch.from_numpy(columns.T.copy()).to(device)

        self.incoming = buffer(HEADER + pixel_format.count(size))
        """The header, then the frame."""
        self.outgoing = buffer(HEADER + width * height + scene.pixel_format.count(size))
        """The header, then alpha (H, W), then the picture."""
        self.picture = buffer(height, width, 3)
        """BGR: what stands behind the person in a scene of kind "picture"."""
        self._index, self._follows = self.incoming[:HEADER].view(torch.int64)
        self._frame = self.incoming[HEADER:].view(shape)
        self._receipt = self.outgoing[:8].view(torch.int64)
        self._invalid = buffer(dtype=torch.int64).fill_(INVALID)
        self._alpha = self.outgoing[HEADER : HEADER + width * height].view(height, width)
        self._out = self.outgoing[HEADER + width * height :]
        self._planes = buffer(3, height, width, dtype=dtype)
        self._grey = buffer(height, width, dtype=torch.float32)
        self._input = buffer(h, w, 3)
        self._small_grey = buffer(h, w, dtype=torch.float32)
        self._last = buffer(h, w, 3)
        coarse = h // network.output_stride, w // network.output_stride
        self._state = buffer(*coarse, dtype=torch.float32)
        self._means = pair(mean_matrix(h), mean_matrix(w))
        to_network = halved(size, small)
        blurs = scene.kind == "blur"
        to_blur = halved(size, background_size(size, scene.strength)) if blurs else []
        to_cells = [] if blurs else halved(size, cells_min_size(size))
        self._to_network, self._to_blur = len(to_network), len(to_blur)
        self._to_cells, self._cell = len(to_cells), cell_size(size)
        cells = -(-height // self._cell), -(-width // self._cell)
        self._spread = pair(*(spread_matrix(n) for n in cells))
        levels = [size, *max(to_network, to_blur, to_cells, key=len)]
        self._halvings = len(levels) - 1
        if blurs:
            blur_width, blur_height = levels[self._to_blur]
            box = box_width(blur_height, scene.strength)
            self._blur = pair(blur_matrix(blur_height, box), blur_matrix(blur_width, box))
        self._from_yuv = colours.from_yuv(pixel_format)
        self._to_yuv = colours.to_yuv(scene.pixel_format).to(device)

    @torch.no_grad()
    def run(self) -> None:
        """Make `outgoing` of `incoming`; nothing here waits for the device."""
        self.mark("start")
        colours.read(self._frame, self._pixel_format, self._from_yuv, self._planes)
        levels = [self._planes]
        for _ in range(self._halvings):
            levels.append(halve(levels[-1]))
        self.mark("preprocess")
        alpha, valid = self._segment(levels[self._to_network])
        self.mark("network")
        self._receipt.copy_(torch.where(valid, self._index, self._invalid))
        drop_ghosts(alpha)
        self._refine(alpha)
        person, shown = self._planes, self._alpha
        if self._scene.kind != "blur":
            person, shown = soft_edges(
                person, shown, levels[self._to_cells], self._cell, *self._spread
            )
        self.mark("refine")
        pixel_format = self._scene.pixel_format
        if pixel_format.transparent:
            out = self._out.view(*self._alpha.shape, 4)
            colours.cutout(person, shown, pixel_format, out)
            self.mark("composite")
            return
        if self._scene.kind == "blur":
            small_alpha = self._alpha[None].to(self._planes.dtype)
            for _ in range(self._to_blur):
                small_alpha = halve(small_alpha)
            blurred = blur_background(levels[self._to_blur], small_alpha[0], *self._blur)
            background = resize(blurred.to(self._planes.dtype), self._size)
            shown = smooth_step(shown)
        else:
            background = self.picture.permute(2, 0, 1).to(self._planes.dtype)
        self.mark("background")
        shown = composite(person, shown, background)
        colours.write(shown, pixel_format, self._to_yuv, self._out)
        self.mark("composite")

    def _segment(self, reduced: Tensor) -> tuple[Tensor, Tensor]:
        """Alpha (h, w), smoothed; and a bool (), whether all of it is numbers in 0..1."""
        self._input.copy_((resize(reduced, self._small) + 0.5).permute(1, 2, 0))
        if not self._temporal:
            alpha = self._network(self._input[None])[0].float()
            return alpha, in_range(alpha)
        change = difference(self._input, self._last, self._network.output_stride)
        self._last.copy_(self._input)
        follows = (self._follows > 0) & (change.mean() < SCENE_CUT)
        alpha = self._network(self._input[None])[0].float()
        valid = in_range(alpha)
        smooth(alpha, self._state, change, follows)
        return alpha, valid & in_range(alpha)

    def _refine(self, alpha: Tensor) -> None:
        """The guided filter, fitted at the network's input size and applied at full size."""
        to_grey(self._input.permute(2, 0, 1), self._small_grey)
        model = fit_lines(self._small_grey, resize(alpha[None], self._small)[0], *self._means)
        slope, offset = resize(model, self._size)
        to_grey(self._planes, self._grey)
        self._alpha.copy_(slope.mul_(self._grey).add_(offset).clamp_(0, 255))


def halve(planes: Tensor) -> Tensor:
    """Planes of half the size, rounded down, as `livecut.kernels.resize.reduce` makes them."""
    height, width = planes.shape[1:]
    if height % 2 or width % 2:
        return resize(planes, (width // 2, height // 2))
    return F.avg_pool2d(planes, 2)


def resize(planes: Tensor, size: Size) -> Tensor:
    """Planes (C, h, w) at another size, linear between pixel centres, as OpenCV's INTER_LINEAR."""
    shape = size[::-1]
    if tuple(planes.shape[1:]) == shape:
        return planes
    return F.interpolate(planes[None], size=shape, mode="bilinear", align_corners=False)[0]


def to_grey(planes: Tensor, out: Tensor) -> None:
    """Write the grey of BGR planes, whole numbers, into `out` float32 (H, W); as COLOR_BGR2GRAY."""
    red, blue = BT601
    out.copy_(planes[0]).mul_(blue)
    out.add_(planes[1], alpha=1 - red - blue).add_(planes[2], alpha=red).round_()


def in_range(alpha: Tensor) -> Tensor:
    """A bool (): whether all of `alpha` is numbers in 0..1."""
    return ((alpha >= 0) & (alpha <= MAX_ALPHA)).all()


def difference(image: Tensor, last: Tensor, stride: int) -> Tensor:
    """Difference in grey of bytes (h, w, 3), averaged over blocks: float32, whole levels."""
    apart = (image.float() - last.float()).abs_().permute(2, 0, 1)
    grey = torch.empty_like(apart[0])
    to_grey(apart, grey)
    return F.avg_pool2d(grey[None], stride)[0].round_()


def smooth(alpha: Tensor, state: Tensor, change: Tensor, follows: Tensor) -> None:
    """Smooth alpha (h, w) by `state`, the last one, in place, where the bool () `follows` is true.

    `change` is (h, w) in levels of grey. Else alpha stays; `state` becomes the result.
    """
    moved = F.max_pool2d(change[None], MOTION_WINDOW, 1, MOTION_WINDOW // 2)[0]
    still = ((MOVING_CHANGE - moved) / (MOVING_CHANGE - STILL_CHANGE)).clamp_(0, 1)
    limit = SMOOTH_LIMIT_MOVING + (SMOOTH_LIMIT_STILL - SMOOTH_LIMIT_MOVING) * still
    d = state - alpha
    share = (1 - d.abs() / limit).clamp_(min=0) * SMOOTH_SHARE
    smoothed = alpha + torch.minimum(d * share, SMOOTH_LIFT + alpha)
    state.copy_(torch.where(follows, smoothed, alpha))
    alpha.copy_(state)


def drop_ghosts(alpha: Tensor) -> None:
    """Set alpha (h, w) to 0 where it belongs to no person, as
    `livecut.kernels.hysteresis.drop_ghosts`.
    """
    kept, faint = (alpha > HYSTERESIS_HIGH).to(alpha.dtype), (alpha >= ALPHA_MARGIN).to(alpha.dtype)
    for _ in range(reach(*alpha.shape)):
        kept = torch.maximum(kept, F.max_pool2d(kept[None], 3, 1, 1)[0] * faint)
    alpha.mul_(kept)


def fit_lines(grey: Tensor, alpha: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Fit the guided filter's lines, and average them: slope and offset (2, h, w) in levels.

    grey is (h, w) of 0..255, alpha (h, w) of 0..1; `rows` and `columns` are those of `mean_matrix`,
    the latter transposed. The same as `livecut.kernels.guided_filter` makes.
    """
    i = grey / 255
    i_mean, p_mean, ip_mean, ii_mean = rows @ torch.stack([i, alpha, i * alpha, i * i]) @ columns
    gain = 1 / (1 - 2 * ALPHA_MARGIN)
    slope = (ip_mean - i_mean * p_mean) / (ii_mean - i_mean * i_mean + GUIDED_EPSILON)
    offset = (p_mean - slope * i_mean - ALPHA_MARGIN) * (gain * 255) + 0.5
    return rows @ torch.stack([slope * gain, offset]) @ columns


def blur_background(image: Tensor, alpha: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Blur planes (3, h, w) without the person, as `livecut.backgrounds.blur.Blur`: float32.

    `alpha` is (h, w) of 0..255; the matrices are those of `blur_matrix`, the latter transposed.
    """
    weight = (1 - alpha.float() / 255).square() + BACKGROUND_FLOOR
    weighted = rows @ torch.cat([image * weight, weight[None]]) @ columns
    return (weighted[:3] / weighted[3:]).clamp_(0, 255)


def soft_edges(
    planes: Tensor, alpha: Tensor, reduced: Tensor, cell: int, rows: Tensor, columns: Tensor
) -> tuple[Tensor, Tensor]:
    """The person's colours, planes of the frame's type, and the alpha to show, uint8 (H, W).

    Where `alpha` uint8 (H, W) is 0 or 255, both are as given. `reduced` is the frame at about the
    size of its cells of `cell` pixels; the matrices are those of `spread_matrix`, the latter
    transposed. The same as `livecut.kernels.edges` and `livecut.kernels.composite` make.
    """
    height, width = alpha.shape
    a = alpha.float() / 255
    mean = F.avg_pool2d(a[None], cell, ceil_mode=True, count_include_pad=False)
    image = resize(reduced, (mean.shape[2], mean.shape[1])).float()
    wide = columns.shape[1] * cell, rows.shape[0] * cell
    half = cell // 2  # corners stand half a cell before the middles of the blocks that they become

    def around(weight: Tensor) -> Tensor:
        weighted = torch.cat([image * weight, weight])
        whole = weighted.sum((1, 2), keepdim=True)
        near = rows @ weighted @ columns
        colour = (near[:3] + whole[:3] / whole[3].clamp(min=TINY) * CELL_FLOOR) / (
            near[3:] + CELL_FLOOR
        )
        return resize(colour, wide)[:, half : half + height, half : half + width]

    person, old = around(mean**CELL_POWER), around((1 - mean) ** CELL_POWER)
    apart = (person - old).square().sum(0)
    along = ((planes - old) * (person - old)).sum(0)
    share = (along / (apart + COLOUR_NOISE)).clamp(0, 1)
    sure = apart / (apart + COLOUR_CLEAR)
    s = a * a * (3 - 2 * a)
    keep = (PERSON_GAIN * share / a.clamp(min=1 / 255)).clamp(max=1)
    less = sure * (1 - keep) * (1 - s)
    shown = (255 * a * (1 - less) + 0.5).to(torch.uint8)
    own = torch.maximum(s, share * sure)
    return torch.lerp(person, planes.float(), own).to(planes.dtype), shown


def smooth_step(alpha: Tensor) -> Tensor:
    """What the frame counts over its own blur, as `livecut.kernels.composite.composite_rows`
    counts it.

    alpha and the result are uint8 (H, W): a^2 (3 - 2 a) of alpha a in 0..1.
    """
    a = alpha.float() / 255
    return (255 * a * a * (3 - 2 * a)).round_().to(torch.uint8)


def composite(planes: Tensor, alpha: Tensor, background: Tensor) -> Tensor:
    """Planes where `alpha` uint8 (H, W) is 255, the background where it is 0; whole numbers."""
    weight = alpha.to(planes.dtype)
    weight = weight.add_(weight >= WEIGHT_ONE // 2).mul_(1 / WEIGHT_ONE)
    return torch.lerp(background, planes, weight).round_()
