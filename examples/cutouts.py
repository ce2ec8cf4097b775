"""Go through a source frame by frame: python examples/cutouts.py SOURCE"""

import sys

import livecut


def main(source: str) -> None:
    """Print how much of each frame is person, in percent."""
    for cutout in livecut.stream(source):
        print(f"{cutout.alpha.mean() / 2.55:.1f} %")


if __name__ == "__main__":
    main(*sys.argv[1:])
