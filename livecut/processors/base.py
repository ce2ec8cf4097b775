"""The interface of a frame processor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from livecut.backgrounds.base import Background
from livecut.frame import Cutout, Frame, Image, PixelFormat, Size

if TYPE_CHECKING:
    pass


class FrameProcessor(Protocol):
    """Frame in, cutout and composite out. One thread may `infer` while another does the rest."""

    description: str
    """What runs where, for people."""
    takes: Sequence[PixelFormat]
    """The forms in which a frame may be."""

    def deliver(self, pixel_format: PixelFormat) -> PixelFormat:
        """Ask for composites in a form: that in which `compose` writes them from now on.

        Where the one asked for is not made here, it is BGR, or BGRA for a transparent one.
        """

    def frames(self, pixel_format: PixelFormat, size: Size, count: int) -> list[Image]:
        """Buffers for frames of a form, from which they are taken up fastest."""

    def outputs(
        self, pixel_format: PixelFormat, size: Size, count: int
    ) -> list[tuple[Image, Image]]:
        """Pairs of alpha and picture, for `cut` and `compose`, into which both are written fastest."""

    def reset(self) -> None:
        """Forget the frames before."""

    def infer(self, frame: Frame) -> Any:
        """The first half of `cut`: what `finish` is to be given."""

    def finish(self, found: Any, out: Image | None = None) -> Cutout:
        """The second half of `cut`, in the order of the frames."""

    def cut(self, frame: Frame, out: Image | None = None) -> Cutout:
        """A frame with its alpha, uint8 (H, W), written into `out` where that is given."""

    def compose(self, background: Background, cutout: Cutout, out: Image) -> None:
        """Write the composite of the cutout that was made last into `out`."""
