"""URLs as people may see them: without user, password and query, where keys and tokens stand."""

from __future__ import annotations

import re

_START = r"[A-Za-z][\w+.-]*://+|[A-Za-z][\w+.-]+:/"  # X:/ alone is a drive of Windows
_SCHEME = re.compile(rf"({_START})(.*)", re.DOTALL)
_IN_TEXT = re.compile(rf"(?:{_START})[^\s'\"<>]*?(?=[),.;:]*(?:[\s'\"<>]|$))")
_HOST = re.compile(r"(?:\[[^\]]*\]|[^:\[\]]*)(?::(?:\d*|PORT))?")  # PORT: in livecut's own texts
_USER = re.compile(r"(?<![^\s'\"(,;=])[^\s/\\:@'\"]+:[^\s/\\@'\"]*@(?=[\w\[])")
"""A user and a password before a host, where the scheme was left out."""


def public_url(word: str) -> str:
    """A word of the command line without user, password, query and fragment, if it is a URL.

    Other words, such as the names of files, stay as they are. Characters that belong escaped into a
    password (a slash, a question mark) do not let a part of it through; for that, a path with an @
    in it is shown from the @ on.
    """
    parts = _SCHEME.fullmatch(word)
    if parts is None:
        return _USER.sub("", word)
    scheme, rest = parts.groups()
    place = _place(rest)
    if not _HOST.fullmatch(place.partition("/")[0]):  # a password cut off in its middle
        place = _place(rest.rpartition("@")[2]) if "@" in rest else place.partition(":")[0]
    return scheme + place


def _place(rest: str) -> str:
    """Host and path of what follows the scheme."""
    return re.split("[?#]", rest, maxsplit=1)[0].rpartition("@")[2]


def redact(text: str) -> str:
    """A text with each URL in it as `public_url` has it."""
    if "@" not in text and ":/" not in text:
        return text
    return _USER.sub("", _IN_TEXT.sub(lambda found: public_url(found[0]), text))
