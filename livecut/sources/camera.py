"""A camera, by way of OpenCV; on Linux by V4L2, with what its driver says about it."""

from __future__ import annotations

import errno
import os
import struct
import sys
import time
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from livecut.errors import SourceError
from livecut.frame import BGR, NV12, YUYV, Image, PixelFormat, as_image
from livecut.hardware import v4l2
from livecut.sources.base import Source

# OpenCV prints what is raised here as one line, and printing is the program's affair.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

SIZE, FPS, FOURCC = (1280, 720), 30.0, "MJPG"  # asked for where the user asks for nothing
STALL = 2  # seconds without a picture after which a camera has stopped
PATIENCE = 3  # stalls that are waited for before the first picture; some cameras wake up slowly
NATIVE = {"YUYV": YUYV, "NV12": NV12}
"""Pixel formats that can be handed over as they are, by their four letters."""
OTHERWISE = "use a file (livecut run FILE) or the clip that comes along (livecut run demo)"

_REQBUFS = 0xC0145608  # VIDIOC_REQBUFS of <linux/videodev2.h>


class Camera(Source):
    """A camera; `read` waits for its next picture."""

    forms = ("0", "1", "/dev/video0")
    help = "a camera, by number, device or name; 0 is the default"
    settings = ("size", "fps", "fourcc")
    realtime = True
    frames = None

    def __init__(
        self,
        uri: str,
        *,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        fourcc: str | None = None,
    ) -> None:
        """Open camera number `uri`, or the device file or (on Linux) the camera called `uri`.

        Asked for 1280x720 MJPG at 30 fps where nothing is given; `size` is granted or refused, in
        the rest the camera may differ, and `description` says so. Raises SourceError.
        """
        if fourcc is not None and not (len(fourcc) == 4 and fourcc.isascii()):
            raise SourceError(f"--fourcc {fourcc} is not four letters such as MJPG or YUYV")
        if fps is not None and not 1 <= fps <= 1000:
            raise SourceError(f"--fps {fps:g} is not a rate; give 1 to 1000")
        self._must, self._wanted = size, BGR
        self._asked = (size or SIZE, fourcc or FOURCC, fps or FPS)
        self._capture: cv2.VideoCapture | None = None
        self._index = int(uri) if uri.isdecimal() else None
        self._device: v4l2.Device | None = None
        if sys.platform == "linux":
            self._device = _device(uri)
            if fourcc is None and size is not None:
                self._asked = (size, _fourcc_for(self._device.path, size), self._asked[2])
        elif self._index is None:
            raise SourceError(f"{uri} is not a camera here; give its number: 0, 1, …")
        self._start()
        self.size = self._granted

    @classmethod
    def accepts(cls, uri: str) -> bool:
        if uri.isdecimal() or uri.startswith("/dev/"):
            return True
        if uri in ("-", "demo") or "://" in uri or os.path.exists(uri):
            return False
        return any(device.card == uri for device in v4l2.devices())

    @classmethod
    def open(cls, uri: str, **settings: Any) -> Camera:
        return cls(uri, **settings)

    def _start(self) -> None:
        """Open, ask for the mode, and read back what was granted. Raises SourceError."""
        self.name = (
            f"{self._device.path} ({self._device.card})"
            if self._device
            else (f"camera {self._index}")
        )
        (width, height), fourcc, fps = self._asked
        # The order matters: sizes depend on the pixel format, and rates on both.
        mode = [
            (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*fourcc)),
            (cv2.CAP_PROP_FRAME_WIDTH, width),
            (cv2.CAP_PROP_FRAME_HEIGHT, height),
            (cv2.CAP_PROP_FPS, round(fps)),
        ]
        if self._device:
            os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(STALL))
            capture = cv2.VideoCapture(
                self._device.path, cv2.CAP_V4L2, [number for pair in mode for number in pair]
            )
        else:
            capture = cv2.VideoCapture(self._index or 0)
            for key, value in mode:
                capture.set(key, value)
        if not capture.isOpened():
            capture.release()
            raise self._refusal()
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # what waits in a queue is old
        self._granted = (
            int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
            int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        )
        if self._must and self._granted != self._must:
            capture.release()
            raise self._other_size()
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.fps = rate if rate > 0 else fps
        pixel_format = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little", signed=True)
        letters = pixel_format.decode("ascii", "replace").strip("\0 ")
        granted = "{}x{} {} {:.4g} fps".format(*self._granted, letters, self.fps)
        self.description = f"{granted} (asked {width}x{height} {fourcc} {fps:.4g} fps)"
        self._capture, self._patience = capture, PATIENCE
        native = NATIVE.get(letters) if self._device else None
        self.native = native if native and native.size(self._granted) == self._granted else None
        self.pixel_format = BGR
        if self._wanted != BGR:
            self.give(self._wanted)

    def give(self, pixel_format: PixelFormat) -> str:
        if pixel_format != self.native:
            return super().give(pixel_format)
        self._wanted = pixel_format
        if self._capture is not None:
            self._capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
            if self._capture.get(cv2.CAP_PROP_CONVERT_RGB) != 0:
                return f"OpenCV hands over no {pixel_format.name} of {self.name}, but BGR"
            self.pixel_format = pixel_format
        return ""

    def read(self, out: Image) -> float | None:
        if self._capture is None:
            raise SourceError(f"{self.name} is closed")
        while not self._capture.grab():
            if not self._there():
                raise SourceError(f"{self.name} was unplugged; plug it in again")
            self._patience -= 1
            if self._patience < 1:
                raise SourceError(f"{self.name} has stopped sending pictures; plug it in again")
        timestamp = time.perf_counter()
        self._patience = 1
        good, picture = self._capture.retrieve(out)
        if not good:
            raise SourceError(f"{self.name} sent a picture that cannot be decoded")
        if picture is not out:
            if self.pixel_format != BGR:
                self._take(picture, out)
            else:
                _fit(as_image(picture), out)
        return timestamp

    def _take(self, picture: NDArray[Any], out: Image) -> None:
        """Copy a picture in the camera's own format. Raises SourceError where its size differs."""
        if picture.dtype == np.uint8 and picture.size == out.size:
            np.copyto(out, picture.reshape(out.shape))
            return
        said, self._wanted = self.pixel_format.name, BGR
        self.close()
        self.pixel_format, self.native = BGR, None
        raise SourceError(
            f"{self.name} said {said} and sent {picture.nbytes} bytes, not {out.size}; "
            "from now on it is taken as BGR"
        )

    def reopen(self) -> None:
        self.close()
        if self._device:
            self._device = _again(self._device)
        self._start()

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _there(self) -> bool:
        """Whether the device still answers; true where that cannot be asked."""
        if self._device is None:
            return True
        try:
            return v4l2.device(self._device.path).card == self._device.card
        except OSError:
            return False

    def _refusal(self) -> SourceError:
        """The error that says why OpenCV could not open it."""
        if self._device is None:
            return SourceError(f"{self.name} is not there, or is in use; else {OTHERWISE}")
        if _in_use(self._device.path):
            return SourceError(f"{self.name} is in use by another program; close that, try again")
        return SourceError(f"{self.name} gives no pictures in a form that OpenCV reads")

    def _other_size(self) -> SourceError:
        """The error for a size that the camera does not grant."""
        (width, height), fourcc, _ = self._asked
        message = "{} was asked for {}x{} and grants {}x{}".format(
            self.name, width, height, *self._granted
        )
        offered = v4l2.frame_sizes(self._device.path, fourcc) if self._device else []
        if offered:
            message += "; it offers " + ", ".join(f"{w}x{h}" for w, h in sorted(offered))
        return SourceError(message)


def _device(uri: str) -> v4l2.Device:
    """The capture device that `uri` names. Raises SourceError that says which there are."""
    found = v4l2.devices()
    path = f"/dev/video{int(uri)}" if uri.isdecimal() else os.path.realpath(uri)
    named = [d for d in found if d.capture and d.card == uri]
    device = next((d for d in found if d.path == path), named[0] if named else None)
    if device and device.capture:
        return device
    there = [f"{d.path} ({d.card})" for d in found if d.capture]
    others = f"give one of {', '.join(there)}" if there else f"nor is there another: {OTHERWISE}"
    if device is None:
        raise SourceError(f"there is no camera {uri}; {others}")
    if device.error == errno.EACCES:
        raise SourceError(
            f"{path} may not be opened by you; as a member of the group video you may: "
            "sudo usermod -aG video $USER, then log in again"
        )
    if device.error == errno.EBUSY:
        raise SourceError(f"{path} is in use by another program; close that, try again")
    if device.error:
        raise SourceError(f"{path} cannot be opened: {os.strerror(device.error)}")
    raise SourceError(f"{path} ({device.card}) gives no pictures now; {others}")


def _again(lost: v4l2.Device) -> v4l2.Device:
    """The camera that is called like `lost`, best in the same socket. Raises SourceError."""
    found = [d for d in v4l2.devices() if d.capture and d.card == lost.card]
    if not found:
        raise SourceError(f"{lost.path} ({lost.card}) is not back yet")
    return max(found, key=lambda d: (d.bus == lost.bus, d.path == lost.path))


def _fourcc_for(path: str, size: tuple[int, int]) -> str:
    """MJPG, or YUYV where a camera has this size in no other format."""
    if size in v4l2.frame_sizes(path, "YUYV") and size not in v4l2.frame_sizes(path, FOURCC):
        return "YUYV"
    return FOURCC


def _in_use(path: str) -> bool:
    """Whether another program holds the device's buffers, so that asking for none is refused."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        return error.errno == errno.EBUSY
    try:
        fcntl.ioctl(fd, _REQBUFS, struct.pack("=5I", 0, 1, 1, 0, 0))  # 0 buffers, capture, mmap
    except OSError as error:
        return error.errno == errno.EBUSY
    finally:
        os.close(fd)
    return False


def _fit(picture: Image, out: Image) -> None:
    """Write a picture of another size or number of channels into `out`, BGR (H, W, 3)."""
    if picture.ndim == 2 or picture.shape[2] == 1:
        picture = as_image(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))
    elif picture.shape[2] == 4:
        picture = as_image(cv2.cvtColor(picture, cv2.COLOR_BGRA2BGR))
    elif picture.shape[2] != 3:
        raise SourceError(f"the camera sends pictures of {picture.shape[2]} channels, not 1 or 3")
    cv2.resize(picture, (out.shape[1], out.shape[0]), dst=out, interpolation=cv2.INTER_LINEAR)
