"""What livecut asks of Video4Linux by itself: which nodes there are, and how to feed an output.

Plain `ioctl` on the structures of <linux/videodev2.h>, as the kernel lays them out on the machines
that Python runs on there. Everything is safe to import anywhere; the functions need Linux.
"""

from __future__ import annotations

import errno
import os
import re
import struct
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

LOOPBACK_DRIVER = "v4l2 loopback"
LOAD_LOOPBACK = "load one with: sudo modprobe v4l2loopback exclusive_caps=1 card_label=livecut"
DENIED = (errno.EACCES, errno.EPERM)

_CAPTURE, _OUTPUT = 0x1 | 0x1000, 0x2 | 0x2000  # single-planar and multi-planar
_HAS_DEVICE_CAPS = 0x80000000
_BUF_TYPE_OUTPUT = 2
_FIELD_NONE = 1
_COLORSPACE_SMPTE170M, _YCBCR_ENC_601, _QUANTIZATION_LIMITED, _XFER_FUNC_709 = 1, 1, 2, 1
_PRIV_MAGIC = 0xFEEDCAFE  # says that the fields from `flags` on are filled in

_CAPABILITY = struct.Struct("=16s32s32s3I12x")  # driver, card, bus, version, caps, device caps
_FRAME_SIZE = struct.Struct("=3I6I8x")  # index, fourcc, type; discrete uses two, stepwise six
_PIX_FORMAT = struct.Struct("=12I")
_STREAM_PARM = struct.Struct("=10I164x")  # type; capability, mode, num, den, extended, buffers, 0…
# The format's union holds pointers, so it starts on the boundary of one.
_FORMAT_AT = struct.calcsize("P")
_FORMAT_SIZE = _FORMAT_AT + 200


def _request(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | ord("V") << 8 | number


_WRITE, _READ = 1, 2
_QUERYCAP = _request(_READ, 0, _CAPABILITY.size)
_S_FMT = _request(_READ | _WRITE, 5, _FORMAT_SIZE)
_STREAMON = _request(_WRITE, 18, 4)
_S_PARM = _request(_READ | _WRITE, 22, _STREAM_PARM.size)
_ENUM_FRAMESIZES = _request(_READ | _WRITE, 74, _FRAME_SIZE.size)


@dataclass(frozen=True, slots=True)
class Device:
    """A /dev/video node."""

    path: str
    card: str
    """The name for people, as the driver gives it: "Integrated Camera"."""
    driver: str
    """"uvcvideo", "v4l2 loopback", …; empty where the node could not be opened."""
    bus: str
    """Where it is plugged in: "usb-0000:00:14.0-5"; empty where the node could not be opened."""
    capture: bool
    """Pictures can be read from it now. (A v4l2loopback with exclusive_caps: while it is fed.)"""
    output: bool
    """Pictures can be written to it."""
    error: int = 0
    """The `errno` of why it could not be asked, EACCES for instance; 0 where it could."""


@dataclass(frozen=True, slots=True)
class Format:
    """What a driver granted for an output."""

    size: tuple[int, int]
    """(width, height)"""
    fourcc: str
    bytes_per_line: int
    bytes_per_frame: int


def devices() -> list[Device]:
    """Every /dev/video node, by number; [] where there is no Video4Linux. Raises nothing."""
    found = []
    if sys.platform == "linux":
        nodes = [
            node for node in Path("/dev").glob("video*") if re.fullmatch(r"\d+", node.name[5:])
        ]
        for node in sorted(nodes, key=lambda node: int(node.name[5:])):
            try:
                found.append(device(str(node)))
            except OSError as e:
                card = _card_in_sysfs(node.name)
                if e.errno != errno.ENOTTY:  # what is no V4L2 device at all is left out
                    found.append(
                        Device(str(node), card, "", "", False, False, e.errno or errno.EIO)
                    )
    return found


def device(path: str) -> Device:
    """Asks one node what it is. Raises OSError, with ENOTTY where it is no V4L2 device."""
    fd = os.open(path, os.O_RDWR | getattr(os, "O_NONBLOCK", 0))
    try:
        return query(fd, path)
    finally:
        os.close(fd)


def query(fd: int, path: str) -> Device:
    """Asks an open node what it is; `path` is only its name. Raises OSError."""
    reply = _ioctl(fd, _QUERYCAP, bytearray(_CAPABILITY.size))
    driver, card, bus, _, caps, device_caps = _CAPABILITY.unpack(reply)
    if caps & _HAS_DEVICE_CAPS:
        caps = device_caps
    return Device(
        path, _text(card), _text(driver), _text(bus), bool(caps & _CAPTURE), bool(caps & _OUTPUT)
    )


def frame_sizes(path: str, fourcc: str) -> list[tuple[int, int]]:
    """The sizes (width, height) that a camera has in the form `fourcc`, such as "MJPG".

    Of a range of sizes, the smallest and the largest. [] where the driver cannot say or the node
    cannot be asked. Raises nothing.
    """
    try:
        fd = os.open(path, os.O_RDWR | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return []
    sizes: list[tuple[int, int]] = []
    try:
        while True:
            asked = bytearray(_FRAME_SIZE.size)
            struct.pack_into("=2I", asked, 0, len(sizes), _fourcc(fourcc))
            _, _, kind, a, b, _, c, d, _ = _FRAME_SIZE.unpack(_ioctl(fd, _ENUM_FRAMESIZES, asked))
            if kind != 1:  # a range: (a to b) wide, (c to d) high; it is the only entry
                return [(a, c), (b, d)]
            sizes.append((a, b))
    except OSError:  # EINVAL ends the list
        return sizes
    finally:
        os.close(fd)


def set_output_format(fd: int, size: tuple[int, int]) -> Format:
    """Asks an output for I420 pictures of `size`, BT.601 in the limited range; what was granted.

    The colours are spelt out, or each reader guesses them by the picture's height. The answer may
    differ from what was asked: compare. Raises OSError, with EBUSY where it is in use.
    """
    asked = bytearray(_FORMAT_SIZE)
    struct.pack_into("=I", asked, 0, _BUF_TYPE_OUTPUT)
    width, height = size
    _PIX_FORMAT.pack_into(
        asked, _FORMAT_AT, width, height, _fourcc("YU12"), _FIELD_NONE, width,
        width * height * 3 // 2, _COLORSPACE_SMPTE170M, _PRIV_MAGIC, 0, _YCBCR_ENC_601,
        _QUANTIZATION_LIMITED, _XFER_FUNC_709,
    )  # fmt: skip
    reply = _PIX_FORMAT.unpack_from(_ioctl(fd, _S_FMT, asked), _FORMAT_AT)
    granted = reply[2].to_bytes(4, "little").decode("ascii", "replace")
    return Format((reply[0], reply[1]), granted, reply[4], reply[5])


def set_output_rate(fd: int, fps: float) -> None:
    """Tells an output its frames per second; drivers that know no rate are left as they are."""
    per_frame = 1 / Fraction(fps).limit_denominator(1001)
    asked = bytearray(_STREAM_PARM.size)
    _STREAM_PARM.pack_into(
        asked, 0, _BUF_TYPE_OUTPUT, 0x1000, 0, per_frame.numerator, per_frame.denominator,
        0, 0, 0, 0, 0,
    )  # fmt: skip
    try:
        _ioctl(fd, _S_PARM, asked)
    except OSError as e:
        if e.errno not in (errno.EINVAL, errno.ENOTTY):
            raise


def stream_on(fd: int) -> None:
    """Starts an output for `write`. Raises OSError."""
    try:
        _ioctl(fd, _STREAMON, bytearray(struct.pack("=I", _BUF_TYPE_OUTPUT)))
    except OSError as e:
        if e.errno != errno.EINVAL:  # v4l2loopback 0.15 starts at the first write
            raise


def _ioctl(fd: int, request: int, argument: bytearray) -> bytearray:
    if sys.platform == "win32":
        raise OSError(errno.ENOSYS, "no Video4Linux here")
    import fcntl

    while True:
        try:
            fcntl.ioctl(fd, request, argument, True)
            return argument
        except InterruptedError:
            continue


def _fourcc(code: str) -> int:
    return int.from_bytes(code.encode("ascii").ljust(4)[:4], "little")


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace").strip()


def _card_in_sysfs(node: str) -> str:
    try:
        return Path(f"/sys/class/video4linux/{node}/name").read_text("utf-8", "replace").strip()
    except OSError:
        return ""
