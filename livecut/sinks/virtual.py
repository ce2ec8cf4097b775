"""The virtual camera: a v4l2loopback written directly on Linux, pyvirtualcam elsewhere."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from livecut.errors import SinkError
from livecut.frame import Output, Size, even
from livecut.hardware import v4l2
from livecut.kernels.pixels import I420
from livecut.sinks.base import Sink, VideoInfo, require_two_pixels

_DARK = 24
"""Luma of the plain picture that stands in the device before the first frame and after the last."""
_MAX_BUFFERS = 32
"""Number of pictures that a v4l2loopback can hold on to."""


class VirtualCamera(Sink):
    """A v4l2loopback, fed with I420: BT.601, limited range, and the device is told so.

    An odd last row or column is left out. Before the first frame and after the last one it shows a
    plain dark picture, so that no picture of a person is left behind in the device.
    """

    forms = ("virtual", "/dev/video10")
    help = "a virtual camera, for calls and OBS"
    per_source = True
    paced = True

    def __init__(self, path: str, size: Size, fps: float) -> None:
        """Open `path`. Raises SinkError where it is no free v4l2loopback that takes this size."""
        super().__init__(path, size)
        self._fd: int | None = None
        self._picture = I420(size)
        self.pixel_format = self._picture.pixel_format
        try:
            fd = self._fd = os.open(path, os.O_RDWR)
            device = v4l2.query(fd, path)
            if device.driver != v4l2.LOOPBACK_DRIVER:
                raise SinkError(
                    f"{path} is a camera ({device.card}), not a v4l2loopback; {v4l2.LOAD_LOOPBACK}"
                )
            self.name = f"{path} ({device.card})"
            if not device.output:
                raise OSError(errno.EBUSY, "another program feeds it")
            self._set_format(fd, fps)
            self._blank(1)
        except OSError as e:
            self._release()
            raise SinkError(_explain(path, e)) from e
        except SinkError:
            self._release()
            raise

    @classmethod
    def accepts(cls, uri: str) -> bool:
        return uri == "virtual" or (uri.startswith("/dev/") and Path(uri).name.startswith("video"))

    @classmethod
    def open(cls, uri: str, video: VideoInfo) -> Sink:
        """Open "virtual", the first free virtual camera, or the v4l2loopback "/dev/videoN"."""
        require_two_pixels(f"output {uri}", video.size)
        if sys.platform == "linux":
            if uri != "virtual":
                return cls(uri, video.size, video.fps)
            return _first_free(video.size, video.fps)
        if uri != "virtual":
            raise SinkError(f"output {uri}: device names are for Linux; here say `-o virtual`")
        return OtherVirtualCamera(video.size, video.fps)

    def write(self, output: Output) -> None:
        self.check(output.image, output.pixel_format)
        if self._fd is None:
            raise ValueError(f"{self.name} is closed")
        self._picture.take(output)
        try:
            self._send()
        except OSError as e:
            raise SinkError(_explain(self.name, e)) from e

    def close(self) -> None:
        if self._fd is not None:
            try:
                self._blank(_MAX_BUFFERS)
            except OSError as e:
                raise SinkError(_explain(self.name, e)) from e
            finally:
                self._release()

    def abort(self) -> None:
        with contextlib.suppress(SinkError):  # the failure that this follows has been told already
            self.close()

    def _set_format(self, fd: int, fps: float) -> None:
        width, height = self._picture.size
        granted = v4l2.set_output_format(fd, (width, height))
        if (granted.size, granted.fourcc) != ((width, height), "YU12"):
            w, h = granted.size
            raise SinkError(
                f"{self.name} stays at {w}x{h} {granted.fourcc} instead of {width}x{height} YU12, "
                f"probably because a program reads it; end that program, or give --size {w}x{h}"
            )
        if granted.bytes_per_line != width:
            raise SinkError(f"{self.name} takes no pictures {width} wide; give another --size")
        v4l2.set_output_rate(fd, fps)
        v4l2.stream_on(fd)

    def _blank(self, times: int) -> None:
        self._picture.fill(_DARK)
        for _ in range(times):
            self._send()

    def _send(self) -> None:
        assert self._fd is not None
        if os.write(self._fd, self._picture.data) != len(self._picture.data):
            raise OSError(errno.EIO, "it took only a part of a picture")

    def _release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class OtherVirtualCamera(Sink):
    """The virtual camera of macOS or Windows, through pyvirtualcam."""

    paced = True

    def __init__(self, size: Size, fps: float) -> None:
        """Open the camera. Raises SinkError without pyvirtualcam or a virtual camera."""
        super().__init__("virtual", size)
        try:
            import pyvirtualcam
        except ImportError as e:
            raise SinkError(
                'a virtual camera needs pyvirtualcam here: pip install "livecut[virtualcam]"'
            ) from e
        width, height = even(size)
        self._image = np.empty((height, width, 3), np.uint8)
        try:
            self._camera: Any = pyvirtualcam.Camera(
                width=width, height=height, fps=fps, fmt=pyvirtualcam.PixelFormat.BGR
            )
        except (RuntimeError, ValueError) as e:
            reason = " ".join(str(e).split())
            raise SinkError(
                f"no virtual camera: {reason}; install OBS Studio and start its camera once"
            ) from e
        self.name = f"virtual ({self._camera.device})"
        self._blank()

    def write(self, output: Output) -> None:
        self.check(output.image)
        if self._camera is None:
            raise ValueError(f"{self.name} is closed")
        height, width = self._image.shape[:2]
        np.copyto(self._image, output.image[:height, :width])
        self._send()

    def close(self) -> None:
        if self._camera is not None:
            try:
                self._blank()
            finally:
                camera, self._camera = self._camera, None
                camera.close()

    def abort(self) -> None:
        with contextlib.suppress(SinkError):  # the failure that this follows has been told already
            self.close()

    def _blank(self) -> None:
        self._image[:] = _DARK
        self._send()

    def _send(self) -> None:
        try:
            self._camera.send(self._image)
        except RuntimeError as e:
            raise SinkError(f"{self.name}: {' '.join(str(e).split())}") from e


def _first_free(size: Size, fps: float) -> Sink:
    """The first v4l2loopback that nobody feeds."""
    loopbacks = [d for d in v4l2.devices() if d.driver == v4l2.LOOPBACK_DRIVER]
    denied = [d.path for d in v4l2.devices() if d.error in v4l2.DENIED]
    if not loopbacks and denied:
        raise SinkError(_explain(denied[0], OSError(errno.EACCES, "")))
    if not loopbacks:
        raise SinkError(f"there is no v4l2loopback for the virtual camera; {v4l2.LOAD_LOOPBACK}")
    failure: SinkError | None = None
    for loopback in loopbacks:
        try:
            return VirtualCamera(loopback.path, size, fps)
        except SinkError as e:
            failure = failure or e
    assert failure is not None
    raise failure


def _explain(name: str, error: OSError) -> str:
    """One line on why a device could not be opened or written."""
    if error.errno in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        return f"there is no {name} (any more); {v4l2.LOAD_LOOPBACK}"
    if error.errno in v4l2.DENIED:
        return (
            f"no permission to write {name}; join the group that owns it with "
            "`sudo usermod -aG video $USER`, and log in again"
        )
    if error.errno == errno.EBUSY:
        return f"{name} is busy: another program feeds it or reads it; end that program first"
    if error.errno in (errno.ENOTTY, errno.EISDIR):
        return f"{name} is not a video device; {v4l2.LOAD_LOOPBACK}"
    return f"cannot write {name}: {error.strerror}"
