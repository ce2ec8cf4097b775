"""The interface of a frame processor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from livecut.backgrounds.base import Background
from livecut.frame import Buffer, Cutout, Frame, PixelFormat, Size
from livecut.stats import Stats


class FrameProcessor(Protocol):
    """Frame in, cutout and composite out. One thread may `infer` while another does the rest."""

    description: str
    """Engine and device, for people."""
    takes: Sequence[PixelFormat]
    """Formats that a frame may have."""
    background: Background
    """Background behind the person; any thread may change it, for the frames to come."""

    def deliver(self, pixel_format: PixelFormat) -> PixelFormat:
        """Ask for composites in a format; gives that in which `compose` writes them from now on.

        Where the one asked for is not made here, it is BGR, or BGRA for a transparent one.
        """

    def frames(self, pixel_format: PixelFormat, size: Size, count: int) -> list[Buffer]:
        """Buffers for frames of a format, from which they are taken up fastest."""

    def outputs(self, pixel_format: PixelFormat, size: Size, count: int) -> list[Buffer]:
        """Buffers with alpha, for `cut` and `compose`, into which both are written fastest."""

    def reset(self) -> None:
        """Forget the frames before."""

    def infer(self, frame: Frame) -> Any:
        """The first half of `cut`: reads the frame, and gives what `finish` is to be given."""

    def finish(self, inference: Any, out: Buffer | None = None) -> Cutout:
        """The second half of `cut`, in the order of the frames."""

    def cut(self, frame: Frame, out: Buffer | None = None) -> Cutout:
        """A frame with its alpha, uint8 (H, W), written into that of `out` where it is given."""

    def compose(self, cutout: Cutout, out: Buffer) -> None:
        """Write the composite of the cutout that was made last over the background into `out`.

        Raises LivecutError.
        """


@runtime_checkable
class ProcessorFactory(Protocol):
    """Gives pipelines their processors, as `livecut.SharedEngine` does."""

    def open_processor(
        self, *, background: Background, temporal: bool, in_flight: int, stats: Stats
    ) -> FrameProcessor:
        """A processor of its own for one stream; raises as `livecut.processors.open_processor`."""
