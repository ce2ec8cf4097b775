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
COLUMNS = "fps | age p50 | p99 | "
"""Of each machine, in frames per second and milliseconds."""


def newest() -> list[Path]:
    """The records of the newest version."""
    versions = [p for p in (ROOT / "benchmarks" / "results").iterdir() if p.is_dir()]
    newest = max(versions, key=lambda p: [int(n) for n in p.name.split(".")])
    return sorted(newest.glob("*.json"))


def cells(row: dict[str, Any] | None) -> str:
    """What `COLUMNS` says, of a result."""
    if row is None:
        return " | " * 3
    age = row["stages"]["age"]
    return f"{median(row['fps']):.0f} | {age['p50']:.1f} | {age['p99']:.1f} | "


def table() -> str:
    """The whole table, in Markdown: a line for each case, the machines beside each other."""
    records = {path.stem: read(path)["results"] for path in newest()}
    found = {name: {row["name"]: row for row in rows} for name, rows in records.items()}
    cases = dict.fromkeys(case for rows in found.values() for case in rows)
    head = "".join(f"{name}: {COLUMNS}" for name in found)
    lines = [f"| | {head}", "|---" * (1 + 3 * len(found)) + "|"]
    lines += [
        f"| {case} | " + "".join(cells(rows.get(case)) for rows in found.values()) for case in cases
    ]
    return "".join(line.rstrip() + "\n" for line in lines)


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
