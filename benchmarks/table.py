"""Draws the tables of speeds from the recorded results: python benchmarks/table.py [--check].

Takes results/VERSION/*.json of the newest version, and writes between the lines `<!-- speed -->`
and `<!-- /speed -->` of two pages: all cases of all machines into benchmarks/README.md, and four
rows of the newest record into README.md. With --check nothing is written, and the exit status is 1
where a page shows something else.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from livecut.bench.record import read, write

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- speed -->\n", "<!-- /speed -->"
COLUMNS = "fps | age p50 | p99 | "
"""Of each machine, in frames per second and milliseconds."""
SIZES = ("1280x720", "1920x1080", "3840x2160")
"""Those that the README shows, with a blurred background."""
Record = dict[str, Any]


def newest() -> dict[str, Record]:
    """The records of the newest version, by the names of their machines."""
    versions = [p for p in (ROOT / "benchmarks" / "results").iterdir() if p.is_dir()]
    newest = max(versions, key=lambda p: [int(n) for n in p.name.split(".")])
    return {path.stem: read(path) for path in sorted(newest.glob("*.json"))}


def by_case(record: Record) -> dict[str, Record]:
    """A record's results by the names of their cases."""
    return {row["name"]: row for row in record["results"]}


def cells(row: Record | None) -> str:
    """What `COLUMNS` says, of a result."""
    if row is None:
        return " | " * 3
    age = row["stages"]["age"]
    return f"{median(row['fps']):.0f} | {age['p50']:.1f} | {age['p99']:.1f} | "


def every_case(records: Mapping[str, Record]) -> str:
    """The whole table, in Markdown: a line for each case, the machines beside each other."""
    found = {name: by_case(record) for name, record in records.items()}
    cases = dict.fromkeys(case for rows in found.values() for case in rows)
    head = "".join(f"{name}: {COLUMNS}" for name in found)
    lines = [f"| | {head}", "|---" * (1 + 3 * len(found)) + "|"]
    lines += [
        f"| {case} | " + "".join(cells(rows.get(case)) for rows in found.values()) for case in cases
    ]
    return "".join(line.rstrip() + "\n" for line in lines)


def short(records: Mapping[str, Record]) -> str:
    """Four rows of the newest record, in Markdown: the cost of a camera, and three frame sizes."""
    name = max(records, key=lambda stem: str(records[stem]["when"]))
    rows, machine = by_case(records[name]), records[name]["machine"]
    camera = rows["1280x720 blur paced"]
    processor = machine["processor"].replace("(R)", "").removesuffix(" Processor")
    lines = [
        f"| {processor}, {machine['cores']} cores | |",
        "|---|---|",
        "| **A 720p camera at 30 frames per second with blur takes "
        f"{median(camera['cpu_percent']):.0f} % of one core and "
        f"{median(camera['alone']['rss_mb']):.0f} MB.** | |",
    ]
    for size in SIZES:
        row = rows[f"{size} blur memory"]
        age = row["stages"]["age"]
        lines.append(
            f"| {size} with blur, frame to composite | {age['p50']:.1f} ms (p99 {age['p99']:.1f}), "
            f"{median(row['fps']):.0f} fps |"
        )
    return "\n".join(lines) + "\n"


def drawn(page: Path, table: str) -> str:
    """A page's text with a table between its marks."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + table + rest[rest.index(END) :]


def main() -> int:
    """Write the tables, or compare them."""
    records = newest()
    pages = {ROOT / "README.md": short(records)}
    pages[ROOT / "benchmarks" / "README.md"] = every_case(records)
    texts = {page: drawn(page, table) for page, table in pages.items()}
    if "--check" in sys.argv:
        return int(any(page.read_text(encoding="utf-8") != text for page, text in texts.items()))
    for page, text in texts.items():
        write(text, page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
