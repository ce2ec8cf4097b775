"""Tables of classes by name: livecut's own, and those that other distributions add."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar, cast

from livecut.errors import LivecutError
from livecut.urls import redact

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class Registered(Protocol):
    """What a class in a table says of itself."""

    forms: Sequence[str]
    """Words that it takes, as examples: "blur:0.8", "out.mp4"."""
    help: str
    """What the words name, for people, in lower case and without a full stop."""


class Accepting(Registered, Protocol):
    """A class that says itself which words are its own."""

    def accepts(self, word: str) -> bool:
        """Whether a word of the command line is this class's."""


T = TypeVar("T", bound=Registered)
A = TypeVar("A", bound=Accepting)


class Usage(NamedTuple):
    """One line of a table for people."""

    name: str
    forms: Sequence[str]
    help: str

    @property
    def shown(self) -> str:
        """The forms in one line; of names that differ in their ending the ending alone."""
        return ", ".join(shorten(self.forms))


class Registry(Generic[T]):
    """Classes of one kind by name, each imported when it is first asked for.

    The entry points of other distributions are loaded only for a word that is not livecut's own,
    and for help. One that cannot be loaded is left out and noted in `faults`.
    """

    def __init__(self, base: type[object], own: dict[str, str], *, kind: str, group: str) -> None:
        """`own` maps names to "module:Class"; `group` names the entry points of others.

        All classes are subclasses of `base`; `kind` is what errors call one of them.
        """
        self.kind, self.own, self.faults = kind, own, list[str]()
        self._base, self._group = base, group
        self._others: dict[str, T] | None = None

    def names(self) -> list[str]:
        """The names of all classes, those of others last; nothing is imported."""
        return [*self.own, *self._points()]

    def named(self, name: str) -> T | None:
        """The class with this name; None where there is none, or another's cannot be loaded."""
        if name in self.own:
            return self._load(name)
        return self.others().get(name) if name in self._points() else None

    def usages(self, *, others: bool = True) -> list[Usage]:
        """A line for each class, with a line in place of one that cannot be imported."""
        lines = []
        for name in self.own:
            try:
                own = self._load(name)
                lines.append(Usage(name, own.forms, own.help))
            except Exception as error:
                lines.append(Usage(name, (name,), f"cannot be used here: {one_line(error)}"))
        if others:
            lines += [Usage(name, c.forms, c.help) for name, c in self.others().items()]
        return lines

    def known(self) -> str:
        """All words in one line, for an error, and what of others could not be loaded."""
        words = ", ".join(usage.shown for usage in self.usages())
        return "; ".join([words, *self.faults])

    def others(self) -> dict[str, T]:
        """The classes of others by name, as far as they can be loaded."""
        if self._others is None:
            self._others = {}
            for name, point in self._points().items():
                try:
                    self._others[name] = self._checked(point.load())
                except Exception as error:
                    self._note(f"{name} of {self.home(name)} cannot be loaded", error)
        return self._others

    def home(self, name: str) -> str:
        """The distribution that adds a name, with its version; livecut for its own."""
        point = self._points().get(name)
        distribution = point.dist if point else None
        if distribution is None:
            return "livecut" if name in self.own else "an unnamed distribution"
        return f"{distribution.name} {distribution.version}"

    def _load(self, name: str) -> T:
        module, _, attribute = self.own[name].partition(":")
        return cast("T", getattr(import_module(module), attribute))

    def _points(self) -> dict[str, EntryPoint]:
        """The entry points of others by name; a name of livecut's own stays livecut's."""
        from importlib.metadata import entry_points  # slow to import, and seldom needed

        points = entry_points(group=self._group)
        return {point.name: point for point in points if point.name not in self.own}

    def _checked(self, loaded: Any) -> T:
        """What an entry point leads to, if it is a class that may stand in the table."""
        if not (isinstance(loaded, type) and issubclass(loaded, self._base)):
            home = f"{self._base.__module__}.{self._base.__qualname__}"
            raise TypeError(f"{loaded!r} is no subclass of {home}")
        found = cast("T", loaded)
        if isinstance(found.forms, str) or not found.forms:
            raise TypeError(f"its forms are {found.forms!r}; expected words, as in ('mosaic',)")
        return found

    def _note(self, what: str, error: Exception) -> None:
        fault = redact(f"{self.kind} {what}: {one_line(error)}")
        if fault not in self.faults:
            self.faults.append(fault)


class WordRegistry(Registry[A]):
    """A table that is asked from its top: the first class that accepts a word has it.

    Classes that import much stand at the end.
    """

    def find(self, word: str) -> A | None:
        """The class that a word names; None where there is none."""
        for name in self.own:
            candidate = self._load(name)
            if candidate.accepts(word):
                return candidate
        for name, candidate in self.others().items():
            try:
                if candidate.accepts(word):
                    return candidate
            except Exception as error:
                self._note(f"{name} cannot be asked about '{word}'", error)
        return None


@contextmanager
def one_line_errors(kind: type[object], what: str, error: type[LivecutError]) -> Iterator[None]:
    """Make one line, an `error`, of what a class of another distribution raises.

    Errors of livecut pass, and so do faults of livecut's own classes.
    """
    try:
        yield
    except LivecutError:
        raise
    except Exception as fault:
        if kind.__module__.partition(".")[0] == "livecut":
            raise
        home = f"{kind.__module__}.{kind.__qualname__}"
        raise error(f"{what}: {home} failed: {one_line(fault)}") from fault


def one_line(error: Exception) -> str:
    """An error in one line, with its type."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def shorten(forms: Sequence[str]) -> Iterator[str]:
    """The forms, with the ending alone of a file's name that the one before has too."""
    stem = ""
    for form in forms:
        path = PurePath(form)
        yield path.suffix if path.suffix and path.stem == stem else form
        stem = path.stem if path.suffix else ""
