"""Single pictures: the composite of one, and what `livecut image` makes of many."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from livecut.backgrounds import open_background
from livecut.backgrounds.base import Background
from livecut.backgrounds.picture import Still
from livecut.errors import ConfigError, LivecutError
from livecut.files import require_free
from livecut.frame import Cutout, Frame, Image, checked_alpha, checked_bgr
from livecut.pictures import READABLE, WRITABLE, pictures, read_picture, save_picture
from livecut.pipeline.options import StillOptions
from livecut.segmenter import Segmenter


@dataclass(frozen=True, kw_only=True)
class StillJob(StillOptions):
    """The result wanted of each picture: `kind` is composite, alpha, mask or cutout."""

    def apply(self, image: Image, alpha: Image) -> Image:
        """The result for one picture BGR (H, W, 3) and its alpha (H, W), both of one size."""
        if self.kind == "alpha":
            return alpha
        if self.kind == "mask":
            return np.where(alpha >= self.threshold * 255, np.uint8(255), np.uint8(0))
        return composite(image, alpha, "transparent" if self.kind == "cutout" else self.background)


def composite(image: Image, alpha: Image, background: str | Image = "blur") -> Image:
    """Put another background behind the person in a picture: BGR uint8 (H, W, 3).

    >>> alpha = Segmenter()(image)   # doctest: +SKIP
    >>> livecut.composite(image, alpha, "beach.jpg")   # doctest: +SKIP

    `image` is BGR uint8 (H, W, 3) and `alpha` uint8 (H, W), 255 = person, as `Segmenter` gives it;
    views are copied where they are not C-contiguous. `background` is what `livecut run -b` takes
    ("blur", "blur:0.8", "#00b140", a file's name, ...; with "transparent" the result is BGRA (H, W,
    4)), or a picture BGR uint8 of any size, which is scaled to cover. It is made anew in each call:
    for many frames a Pipeline is faster. Raises TypeError, ValueError, and ConfigError for the
    background.
    """
    image = checked_bgr(image)
    alpha = np.ascontiguousarray(checked_alpha(alpha, image.shape[:2]))
    size = image.shape[1], image.shape[0]
    behind: Background
    if isinstance(background, str):
        behind = open_background(background, size)
    else:
        behind = Still("a picture", checked_bgr(background, "background"), size)
    out = np.zeros((*alpha.shape, 4 if behind.transparent else 3), np.uint8)
    behind.compose(Cutout(Frame(image, 0, 0.0, 0.0), alpha), out)
    return out


def gather(inputs: list[Path]) -> list[Path]:
    """The pictures named, and those in the folders named. Raises ConfigError."""
    found: list[Path] = []
    for path in inputs:
        if path.is_dir():
            inside = pictures(path)
            if not inside:
                raise ConfigError(f"no pictures in {path}; expected {', '.join(sorted(READABLE))}")
            found += inside
        else:
            found.append(path)
    return found


def process_stills(
    inputs: list[Path],
    output: Path,
    job: StillJob,
    segmenter: Segmenter,
    *,
    track: Callable[[list[Path]], Iterable[Path]] = lambda paths: paths,
) -> list[LivecutError]:
    """Process every picture and return the errors of those that failed; the others are done.

    `output` is a picture where there is one input and it has a picture's suffix; else a folder,
    made if absent. `track` wraps the loop, for a progress bar. Raises ConfigError before anything
    is done, and SinkError where an input would be written over, or, without `job.overwrite`, any
    file.
    """
    paths = gather(inputs)
    single = output.suffix.lower() in WRITABLE and not output.is_dir()
    if single and len(paths) > 1:
        raise ConfigError(
            f"{len(paths)} pictures cannot go into the one file {output}; name a folder"
        )
    if not single and output.suffix:
        raise ConfigError(
            f"cannot write {output}; expected a folder, or a picture: {', '.join(WRITABLE)}"
        )
    if not output.parent.is_dir():
        raise ConfigError(f"no folder {output.parent} to write {output.name} in; make it first")
    rgba = job.kind == "cutout" or (job.kind == "composite" and job.background == "transparent")
    if single and rgba and output.suffix.lower() not in (".png", ".webp"):
        raise ConfigError(f"{output} cannot hold transparency; name a .png")
    targets = [output if single else output / f"{path.stem}.png" for path in paths]
    twice = (
        {t for t in targets if targets.count(t) > 1} if len(set(targets)) < len(targets) else set()
    )
    if twice:
        raise ConfigError(
            f"several inputs would be written to {min(twice)}; give them different names"
        )
    require_free(targets, overwrite=job.overwrite, inputs=[*paths, Path(job.background)])
    if job.kind == "composite":
        open_background(job.background, (64, 64))
    if not single:
        output.mkdir(exist_ok=True)
    failed: list[LivecutError] = []
    for path, target in zip(track(paths), targets, strict=True):
        try:
            image = read_picture(path)
            save_picture(target, job.apply(image, segmenter(image)), overwrite=job.overwrite)
        except LivecutError as error:
            failed.append(error)
    return failed
