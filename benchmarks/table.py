"""Draws the README's table of speeds from the recorded results: python benchmarks/table.py [--check].

Takes results/VERSION/*.json of the newest version, and writes between the README's lines
`<!-- speed -->` and `<!-- /speed -->`; with --check nothing is written, and it exits with 1 where the
README shows something else.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from typing import Any

from livecut.bench.record import read, write

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- speed -->\n", "<!-- /speed -->"
HEAD = "| machine | case | fps | age p50 ms | p95 | p99 | network p50 |\n|---|---|---|---|---|---|---|\n"


def newest() -> list[Path]:
    """The records of the newest version."""
    versions = [p for p in (ROOT / "benchmarks" / "results").iterdir() if p.is_dir()]
    newest = max(versions, key=lambda p: [int(n) for n in p.name.split(".")])
    return sorted(newest.glob("*.json"))


def line(machine: str, row: dict[str, Any]) -> str:
    """A line of the table."""
    age, network = row["stages"]["age"], row["stages"]["network"]
    return (
        f"| {machine} | {row['name']} | {median(row['fps']):.0f} | {age['p50']:.1f} | "
        f"{age['p95']:.1f} | {age['p99']:.1f} | {network['p50']:.1f} |\n"
    )


def table() -> str:
    """The whole table, in Markdown."""
    records = [(path.stem, read(path)) for path in newest()]
    return HEAD + "".join(line(name, row) for name, record in records for row in record["results"])


def main() -> int:
    """Write the table, or compare it."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest[rest.index(END) :]
    drawn = before + BEGIN + table() + after
    if "--check" in sys.argv:
        return int(drawn != text)
    write(drawn, readme)
    return 0


if __name__ == "__main__":
    sys.exit(main())
