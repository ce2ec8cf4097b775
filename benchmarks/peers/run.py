"""livecut beside its peers: the same frames, by turns, speed and quality.

    python benchmarks/peers/run.py FOLDER [--threads 1] [--size 1280x720] [--rounds 5] [--data DIR]
        [-o OUT]

FOLDER is what fetch.py filled. Speed is from a BGR frame in memory to a blurred composite in
memory, milliseconds by frame. With --data, a folder of labelled pictures as `livecut train` takes
it, the quality on its validation pictures stands beside it. OUT gets peers.json, peers.md and
peers.png.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from peers import Peer, every

from livecut.bench.cases import held_frames
from livecut.bench.machine import machine
from livecut.bench.record import describe, write
from livecut.evaluation.dataset import read_folder
from livecut.evaluation.metrics import boundary_f1, iou, leak
from livecut.frame import Image


def speed(
    peers: list[Peer], frames: list[Image], rounds: int, seconds: float
) -> list[dict[str, Any]]:
    """Milliseconds of each peer, its alpha and its composite, the rounds by turns."""
    times: list[dict[str, list[float]]] = [
        {"total": [], "alpha": [], "composite": []} for _ in peers
    ]
    for number in range(rounds + 1):
        order = list(zip(peers, times, strict=True))
        for peer, kept in order if number % 2 else reversed(order):
            end, index = time.perf_counter() + seconds, 0
            while time.perf_counter() < end or index < 3:
                image = frames[index % len(frames)]
                begun = time.perf_counter()
                alpha = peer.alpha(image)
                between = time.perf_counter()
                peer.show(image, alpha)
                done = time.perf_counter()
                index += 1
                if number:  # the first round only warms up
                    kept["total"].append(1e3 * (done - begun))
                    kept["alpha"].append(1e3 * (between - begun))
                    kept["composite"].append(1e3 * (done - between))
    return [{name: describe(np.array(v)) for name, v in kept.items()} for kept in times]


def quality(peer: Peer, data: Path) -> dict[str, float]:
    """Mean IoU, boundary F1 and leak in percent, of the webcam-like validation pictures."""
    scores = []
    for pair in read_folder(data).val:
        if pair.webcam_like is False:
            continue
        peer.reset()
        image, mask = pair.read()
        alpha = peer.alpha(image)
        scores.append([iou(alpha, mask), boundary_f1(alpha, mask), leak(alpha, mask)])
    names = ("iou", "boundary_f1", "leak")
    return dict(
        zip(names, (round(float(v), 2) for v in 100 * np.mean(scores, axis=0)), strict=True)
    )


def markdown(rows: list[dict[str, Any]], head: str) -> str:
    """The table."""
    lines = [
        head,
        "",
        "| | p50 ms | p95 | alpha | composite | fps | IoU % | boundary F1 % | leak % |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        s, q = row["speed"], row.get("quality", {})
        scores = [f"{q[k]:.2f}" if k in q else "" for k in ("iou", "boundary_f1", "leak")]
        cells = [row["name"], f"{s['total']['p50']:.2f}", f"{s['total']['p95']:.2f}",
                 f"{s['alpha']['p50']:.2f}", f"{s['composite']['p50']:.2f}",
                 f"{1e3 / s['total']['p50']:.0f}", *scores]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def scatter(rows: list[dict[str, Any]], path: Path) -> None:
    """Quality over time by frame."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    for row in (row for row in rows if "quality" in row):
        at = row["speed"]["total"]["p50"], row["quality"]["iou"]
        axes.plot(*at, "o")
        axes.annotate(row["name"], at, xytext=(6, 4), textcoords="offset points", fontsize=8)
    axes.set(xlabel="ms from frame to composite, p50", ylabel="mean IoU, %", xscale="log")
    axes.grid(alpha=0.3, which="both")
    figure.savefig(path, dpi=110)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--model", action="append", help="of livecut; repeatable, default live")
    parser.add_argument("--data", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    width, height = (int(n) for n in given.size.split("x"))
    cv2.setNumThreads(given.threads)
    peers = every(given.folder, given.model or ["live"], given.threads)
    times = speed(peers, held_frames((width, height)), given.rounds, given.seconds)
    rows = [{"name": p.name, "speed": t} for p, t in zip(peers, times, strict=True)]
    if given.data:
        for row, peer in zip(rows, peers, strict=True):
            if peer.trained:
                row["quality"] = quality(peer, given.data)
    facts = machine()
    head = f"{given.size}, {given.threads} thread{'s' * (given.threads > 1)}, {facts['processor']}"
    text = markdown(rows, head)
    print(text)
    if given.output:
        given.output.mkdir(parents=True, exist_ok=True)
        record = {
            "schema": 1,
            "machine": facts,
            "size": given.size,
            "threads": given.threads,
            "peers": rows,
        }
        write(json.dumps(record, indent=1) + "\n", given.output / "peers.json")
        write(text, given.output / "peers.md")
        if given.data:
            scatter(rows, given.output / "peers.png")


if __name__ == "__main__":
    main()
