"""What a matcher is, and how a name becomes one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from vfuse.align._views import Matrix, View
from vfuse.registry import Registry, with_argument


class Matcher(Protocol):
    """Proposes rough geometries; refining and judging them is the same for all matchers."""

    def __call__(self, ir: View, vis: View, /) -> list[Matrix]:
        """Homographies from visible to infrared pixels, the likeliest first, each right to a few per cent.

        Args:
            ir: infrared view.
            vis: visible view of the same moments, as many frames.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class MatcherEntry:
    """A matcher that can be asked for.

    Attributes:
        name: its name.
        build: makes it from what followed the colon, "" for nothing.
        summary: how it works, in a line.
        origin: who published the method and, if it has weights, under which licence its code is.
        argument: what must follow its name and a colon, such as "FILE"; "" for nothing.
    """

    name: str
    build: Callable[[str], Matcher]
    summary: str
    origin: str
    argument: str = ""


MATCHERS: Registry[MatcherEntry] = Registry("matcher", package="vfuse.align.matchers")


def load_matcher(name: str) -> Matcher:
    """The matcher of a name that `MATCHERS` lists, such as "structure" or "loftr:FILE".

    Raises:
        UsageError: unknown name, a file where none or none where one is needed, or a package is missing.
        WeightsError: its file cannot be used.
    """
    entry, argument = with_argument(MATCHERS, name)
    return entry.build(argument)
