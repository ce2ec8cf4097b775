"""How the bytes of a picture lie: what cameras give, and what sinks take."""

from __future__ import annotations

from dataclasses import dataclass

Size = tuple[int, int]
"""(width, height) in pixels."""

BT601 = (0.299, 0.114)
BT709 = (0.2126, 0.0722)
"""The weights of red and blue in the luma, of ITU-R BT.601 and BT.709."""


@dataclass(frozen=True)
class Form:
    """One way to lay out a picture in uint8.

    BGR (H, W, 3); BGRA and RGBA (H, W, 4), alpha straight; YUYV (H, W, 2), W even; I420 (the planes Y,
    U and V) and NV12 (Y, and U with V pixel by pixel) (H * 3 / 2, W), both even. An odd last row or
    column is left out where it has no place. Those with luma are in the limited range.
    """

    name: str
    weights: tuple[float, float] = BT601
    """The weights of red and blue in the luma, where there is one."""

    def size(self, size: Size) -> Size:
        """What of a picture of `size` is kept."""
        if self.name in ("I420", "NV12"):
            return even(size)
        return (size[0] & ~1, size[1]) if self.name == "YUYV" else size

    def shape(self, size: Size) -> tuple[int, ...]:
        """Of the array that holds a picture of `size`."""
        w, h = self.size(size)
        if self.name in ("I420", "NV12"):
            return h * 3 // 2, w
        return h, w, {"BGR": 3, "YUYV": 2}.get(self.name, 4)

    def count(self, size: Size) -> int:
        """Bytes of a picture of `size`."""
        w, h = self.size(size)
        if self.name in ("I420", "NV12"):
            return w * h * 3 // 2
        return w * h * {"BGR": 3, "YUYV": 2}.get(self.name, 4)

    @property
    def transparent(self) -> bool:
        """Whether it has an alpha channel."""
        return self.name in ("BGRA", "RGBA")


BGR, BGRA, RGBA = Form("BGR"), Form("BGRA"), Form("RGBA")
YUYV, NV12 = Form("YUYV"), Form("NV12")
"""In BT.601, as cameras give them and OpenCV takes them."""


def i420(weights: tuple[float, float]) -> Form:
    """I420 with these weights."""
    return Form("I420", weights)


def even(size: Size) -> Size:
    """The size without its odd last column and row, which 4:2:0 cannot hold."""
    return size[0] & ~1, size[1] & ~1
