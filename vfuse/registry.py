"""One registry class: names to frozen entries, duplicates refused, mistyped names answered with a guess."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Generic, Protocol, TypeVar

from vfuse.errors import UsageError, did_you_mean


class Named(Protocol):
    """Anything with a unique public name."""

    @property
    def name(self) -> str: ...


class Completed(Named, Protocol):
    """An entry whose name may need more behind a colon."""

    @property
    def argument(self) -> str:
        """What must follow, such as "FILE"; "[NAME]" for what may follow, "" for nothing."""
        ...


E = TypeVar("E", bound=Named)
C = TypeVar("C", bound=Completed)


class Registry(Generic[E]):
    """Entries of one kind, in the order they were added.

    Args:
        kind: what an entry is, for messages ("model", "metric").
        package: the package whose un-underscored modules add the entries; they are imported on first use,
            so that a new file is all a new entry needs.
    """

    def __init__(self, kind: str, *, package: str | None = None) -> None:
        self.kind = kind
        self._package = package
        self._entries: dict[str, E] = {}
        self._discovered = package is None

    def add(self, entry: E) -> E:
        """Add an entry under its name; a name taken twice is a programming error."""
        if entry.name in self._entries:
            raise ValueError(f"{self.kind} {entry.name!r} is registered twice")
        self._entries[entry.name] = entry
        return entry

    def __getitem__(self, name: str) -> E:
        self._discover()
        if name not in self._entries:
            raise UsageError(f"unknown {self.kind} {name!r}", todo=self._suggestion(name))
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        self._discover()
        return name in self._entries

    def __iter__(self) -> Iterator[E]:
        self._discover()
        return iter(list(self._entries.values()))

    def __len__(self) -> int:
        self._discover()
        return len(self._entries)

    def names(self) -> list[str]:
        """All names, in the order of registration."""
        self._discover()
        return list(self._entries)

    def _suggestion(self, name: str) -> str:
        return f"{did_you_mean(name, self._entries)}Known: {', '.join(self._entries)}"

    def _discover(self) -> None:
        if self._discovered or self._package is None:
            return
        self._discovered = True  # before importing: the modules themselves reach for the registry
        package = import_module(self._package)
        for module in iter_modules(package.__path__):
            if not module.name.startswith("_"):
                import_module(f"{self._package}.{module.name}")


def with_argument(registry: Registry[C], name: str) -> tuple[C, str]:
    """The entry that a name such as "onnx:FILE" asks for, and what follows the colon.

    Raises:
        UsageError: an unknown name, nothing behind the colon where something is needed, or the reverse.
    """
    kind, _, argument = name.partition(":")
    entry = registry[kind]
    if bool(argument) != bool(entry.argument) and (argument or not entry.argument.startswith("[")):
        written = f"{kind}:{entry.argument}" if entry.argument else kind
        raise UsageError(f"{registry.kind} {name!r} is not complete", todo=f"Write it as {written}")
    return entry, argument
