"""The errors vfuse raises on purpose: each names the file, says what is wrong and what to do.

The command line turns every one of them into a single line on stderr and the exit code of its class;
anything else that escapes is a bug (exit code 1).
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from os import PathLike, fspath
from typing import ClassVar


class VfuseError(Exception):
    """Base of all expected failures.

    Args:
        what: what is wrong, in plain words, with the values that disagree.
        where: the file or folder it is about, put first in the message.
        todo: what the user can do about it, put last.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str | PathLike[str] | None = None, todo: str = "") -> None:
        self.what = what
        self.where = where
        self.todo = todo
        place = f"{fspath(where)}: " if where is not None else ""
        advice = f". {todo}" if todo else ""
        super().__init__(f"{place}{what.rstrip('.')}{advice}")


class UsageError(VfuseError):
    """The request itself makes no sense: unknown name, contradicting options, missing extra."""

    exit_code = 2


class InputError(VfuseError):
    """An input cannot be read: missing, empty, not a video, damaged."""

    exit_code = 3


class PairError(VfuseError):
    """Both inputs are readable but do not form a pair: size, length, rate, sync or alignment."""

    exit_code = 4


class WeightsError(VfuseError):
    """A weight file is missing, damaged, of another network, or cannot be downloaded."""

    exit_code = 5


class DeviceError(VfuseError):
    """The device is absent or its memory does not suffice even for the smallest step."""

    exit_code = 6


class OutputError(VfuseError):
    """The output cannot be written, or what was written failed verification."""

    exit_code = 7


class BatchError(VfuseError):
    """A batch finished, but some of its items failed."""

    exit_code = 8


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """How advice on a name that does not exist begins: with a guess at what was meant, or nothing."""
    close = get_close_matches(name, list(known), n=1)
    return f"Did you mean {close[0]!r}? " if close else ""
