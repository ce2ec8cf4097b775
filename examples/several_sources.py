"""Blur several sources on one network: python examples/several_sources.py OUT/ SOURCE SOURCE ..."""

import sys
from pathlib import Path

import livecut


def main(out: str, *sources: str) -> None:
    """Write OUT/1.mp4, OUT/2.mp4 and so on, and say how fast each of them went."""
    Path(out).mkdir(exist_ok=True)
    engine = livecut.SharedEngine()
    pipelines = [
        livecut.Pipeline(source, "blur", [f"{out}/{number}.mp4"], engine=engine)
        for number, source in enumerate(sources, 1)
    ]
    livecut.run_all(pipelines)
    for source, pipeline in zip(sources, pipelines, strict=True):
        print(f"{source}: {pipeline.stats.frames} frames, {pipeline.stats.fps:.0f} a second")


if __name__ == "__main__":
    main(*sys.argv[1:])
