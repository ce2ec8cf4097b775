"""Write the table of sources, backgrounds and outputs into the README.

python docs/table.py [--check]

It stands between two comments, <!-- table --> and <!-- /table -->, and is made from what the
classes say of themselves. With --check nothing is written, and the exit status is 1 where it is not
current.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from livecut.commands.usage import markdown_table

README = Path(__file__).parents[1] / "README.md"
PLACE = re.compile(r"(?<=<!-- table -->\n).*?(?=<!-- /table -->)", re.DOTALL)


def fill(text: str) -> str:
    """The page with the table of today. Raises ValueError where it has no place for one."""
    filled, count = PLACE.subn(lambda _: markdown_table() + "\n", text)
    if count != 1:
        raise ValueError(f"{count} places for the table; expected one <!-- table --> in the README")
    return filled


def main() -> int:
    """Write the table, or compare it."""
    text = README.read_text(encoding="utf-8")
    filled = fill(text)
    if "--check" in sys.argv:
        return int(filled != text)
    README.write_text(filled, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
