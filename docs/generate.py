"""Write docs/api.md from the docstrings of livecut's public names.

python docs/generate.py [--check]

With --check nothing is written, and the exit status is 1 where the file would change.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import livecut

TARGET = Path(__file__).parent / "api.md"
HEAD = """# The Python API

<!-- Written by docs/generate.py from the docstrings; a test keeps it current. -->

Everything here is `livecut.NAME`. [python.md](python.md) shows how the parts go together.

"""
LONGEST = 88
"""Characters of a signature that stay on one line."""


def members(cls: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that a class of livecut defines or inherits, by name."""
    for name in dir(cls):
        home = next((base for base in cls.__mro__ if name in vars(base)), object)
        public = name == "__call__" or not name.startswith("_")
        if public and home.__module__.startswith("livecut"):
            yield name, inspect.getattr_static(cls, name)


def parameter(value: inspect.Parameter) -> str:
    """One parameter as it stands in the source."""
    text = str(value.replace(annotation=value.empty, default=value.empty))  # with its stars
    if value.annotation is not value.empty:
        text += f": {value.annotation}"
    if value.default is not value.empty:
        plain = isinstance(value.default, str | int | float | tuple | None)
        default = repr(value.default) if plain else "…"
        text += f" = {default}" if value.annotation is not value.empty else f"={default}"
    return text


def signature(name: str, function: Any, *, method: bool) -> str:
    """A function's name, parameters and result, over several lines where they are long."""
    found = inspect.signature(function)
    parts, keyword = [], False
    for value in list(found.parameters.values())[method:]:
        if value.kind is value.KEYWORD_ONLY and not keyword:
            parts.append("*")
        keyword = keyword or value.kind in (value.KEYWORD_ONLY, value.VAR_POSITIONAL)
        parts.append(parameter(value))
    result = found.return_annotation
    arrow = "" if result in (found.empty, None, "None") else f" -> {result}"
    line = f"{name}({', '.join(parts)}){arrow}"
    if len(line) <= LONGEST:
        return line
    return "\n".join([f"{name}(", *(f"    {part}," for part in parts), f"){arrow}"])


def prose(documented: Any) -> str:
    """A docstring as Markdown: its examples and indented parts become code."""
    lines, code = [], False
    for line in (inspect.getdoc(documented) or "").splitlines():
        shown = line.startswith((">>>", "...", "    "))
        if shown != code:
            lines.append("```python" if shown and line.startswith(">>>") else "```")
            if not shown and line:
                lines.append("")
            code = shown
        lines.append(line.split("  # doctest:")[0].rstrip() if shown else line)
    return "\n".join([*lines, *(["```"] if code else [])])


def entry(name: str, value: Any) -> Iterator[str]:
    """The paragraphs on one public name."""
    yield f"## {name}"
    if inspect.isclass(value) and issubclass(value, Exception):
        yield prose(value)
        return
    made = value.__init__ if inspect.isclass(value) else value
    yield f"```python\n{signature(name, made, method=inspect.isclass(value))}\n```"
    yield prose(value)
    if not inspect.isclass(value):
        return
    if made.__doc__ and made.__doc__ != object.__init__.__doc__:
        yield prose(made)
    for member, function in members(value):
        heading = f"### Calling a {name}" if member == "__call__" else f"### {name}.{member}"
        if isinstance(function, property):
            yield heading
            yield prose(function)
        elif inspect.isfunction(function):
            yield heading
            yield f"```python\n{signature(member.strip('_'), function, method=True)}\n```"
            yield prose(function)


def page() -> str:
    """The whole page, in Markdown: names in lower case last, errors after all of them."""
    values = {name: getattr(livecut, name) for name in livecut.__all__}
    errors = [n for n, v in values.items() if inspect.isclass(v) and issubclass(v, Exception)]
    names = [name for name in values if name not in errors] + errors
    contents = "\n".join(f"- [`{name}`](#{name.lower()})" for name in names)
    parts = [part for name in names for part in entry(name, values[name]) if part]
    return HEAD + contents + "\n\n" + "\n\n".join(parts) + "\n"


def main() -> int:
    """Write the page, or compare it."""
    text = page()
    if "--check" in sys.argv:
        return int(not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text)
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
