"""Fetch one file over http or https: resumed where it broke off, renamed only when its digest is right."""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

import platformdirs

from vfuse import __version__
from vfuse.errors import WeightsError

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are here and the bytes there will be (None when the host does not say)."""

SLOWEST = 1024  # bytes within the timeout; a host below that counts as silent
CHUNK = 1 << 18  # bytes
WORTH_A_RETRY = {408, 425, 429, 500, 502, 503, 504}  # http answers that may differ in a moment
NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class _InterruptedError(Exception):
    """The transfer stopped for a reason that another attempt may not meet."""


@dataclass(frozen=True)
class Patience:
    """How long to bear with a host.

    Attributes:
        timeout: seconds of silence after which an attempt is given up.
        attempts: how often to try in all.
        pause: seconds between the first two attempts, doubled every time.
    """

    timeout: float = 30.0
    attempts: int = 5
    pause: float = 1.0


@dataclass(frozen=True)
class Digest:
    """How to know that a file is the right one.

    Attributes:
        kind: "sha256" of the bytes, "sha256 start" where only its first digits are known (or none), or "git
            blob", the name git gives a file: SHA-1 over `blob <size>\\0` and the bytes.
        value: the digest in hexadecimal.
    """

    kind: Literal["sha256", "sha256 start", "git blob"]
    value: str

    def fits(self, path: Path) -> bool:
        """Whether a file has this digest."""
        found = Digest.of(path, self.kind)
        return found.value.startswith(self.value) if self.kind == "sha256 start" else found == self

    def __str__(self) -> str:
        return f"{self.kind} {self.value}"

    @classmethod
    def of(cls, path: Path, kind: Literal["sha256", "sha256 start", "git blob"] = "sha256") -> Digest:
        """Read a file once, in pieces, and take its digest."""
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            state = (
                hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
                if kind == "git blob"
                else hashlib.sha256()
            )
            while chunk := file.read(CHUNK):
                state.update(chunk)
        return cls(kind, state.hexdigest())


def data_dir() -> Path:
    """The folder for what vfuse keeps for its user: `VFUSE_DATA_DIR`, or the platform's own place."""
    override = os.environ.get("VFUSE_DATA_DIR")
    return Path(override).expanduser() if override else platformdirs.user_data_path("vfuse", appauthor=False)


def is_offline() -> bool:
    """Whether `VFUSE_OFFLINE` forbids the network."""
    return os.environ.get("VFUSE_OFFLINE", "").strip().lower() not in ("", "0", "no", "false")


def fetch(
    url: str,
    target: Path,
    *,
    digest: Digest,
    size: int | None = None,
    offline: bool = False,
    patience: Patience = Patience(),
    progress: Progress | None = None,
) -> None:
    """Download `url` to `target`, which appears only when it is complete and its digest is right.

    What has arrived waits in `<target>.part`; another attempt, or another call, goes on from there.

    Args:
        digest: what the file must be.
        size: its bytes where known.
        offline: open no connection and fail; `VFUSE_OFFLINE` does the same.
        patience: timeout and retries.
        progress: told about the bytes as they arrive.

    Raises:
        WeightsError: offline, not http(s), no answer, an answer such as 404, a full disk, or another file.
    """
    _refuse(url, offline=offline)
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        inherited = part.exists()
        _insist(url, part, size=size, patience=patience, progress=progress)
        if inherited and not digest.fits(part):  # the rest of some other file: start again
            part.unlink()
            _insist(url, part, size=size, patience=patience, progress=progress)
        if not digest.fits(part):
            found = Digest.of(part, digest.kind)
            part.unlink()
            raise WeightsError(
                f"the host sends another file than expected ({found} instead of {digest}); nothing was kept",
                where=url,
                todo="Try again later or from another network",
            )
        part.replace(target)
    except OSError as error:
        raise _unwritable(error, target) from error


def _refuse(url: str, *, offline: bool) -> None:
    if offline or is_offline():
        raise WeightsError(
            "not downloaded, because vfuse is offline",
            where=url,
            todo="Leave out --offline and VFUSE_OFFLINE",
        )
    if urlsplit(url).scheme not in ("http", "https"):
        raise WeightsError("not an http or https address", where=url)


def _insist(url: str, part: Path, *, size: int | None, patience: Patience, progress: Progress | None) -> None:
    """Repeat `_transfer` until the part is complete, a bounded number of times."""
    reason = ""
    for attempt in range(patience.attempts):
        if attempt:
            time.sleep(patience.pause * 2 ** (attempt - 1))
        try:
            return _transfer(url, part, size=size, timeout=patience.timeout, progress=progress)
        except _InterruptedError as interruption:
            reason = str(interruption)
    raise WeightsError(
        f"not downloaded in {patience.attempts} attempts: {reason}",
        where=url,
        todo="Check the connection and run the command again; it goes on where it stopped",
    )


def _opener() -> request.OpenerDirector:
    """A reader of http and https alone; urllib's default also follows a redirect to ftp: and opens file:."""
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler,
        request.HTTPHandler,
        request.HTTPSHandler,
        request.HTTPDefaultErrorHandler,
        request.HTTPRedirectHandler,
        request.HTTPErrorProcessor,
        request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener


def _transfer(url: str, part: Path, *, size: int | None, timeout: float, progress: Progress | None) -> None:
    """One connection: append to the part what it still lacks."""
    have = part.stat().st_size if part.exists() else 0
    if size is not None and have >= size:
        return  # the digest decides
    headers = {"User-Agent": f"vfuse/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        response = _opener().open(request.Request(url, headers=headers), timeout=timeout)
    except HTTPError as error:
        raise _answer(error, url, part) from None
    except (OSError, http.client.HTTPException) as error:
        raise _InterruptedError(_describe(error)) from error
    assert isinstance(response, http.client.HTTPResponse), "only http handlers are installed"
    with response, part.open("r+b" if have else "wb") as file:
        start = have if response.status == http.client.PARTIAL_CONTENT else 0  # a host may ignore the range
        file.seek(start)
        file.truncate()
        total = start + response.length if response.length is not None else size
        _copy(response, file, start=start, total=total, limit=size, timeout=timeout, progress=progress)


def _copy(
    response: http.client.HTTPResponse,
    file: IO[bytes],
    *,
    start: int,
    total: int | None,
    limit: int | None,
    timeout: float,
    progress: Progress | None,
) -> None:
    done = mark = start
    since = time.monotonic()
    while True:
        try:
            chunk = response.read1(CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise _InterruptedError(f"{_describe(error)} after {done} bytes") from error
        if not chunk:
            break
        file.write(chunk)
        done += len(chunk)
        if progress is not None:
            progress(done, total)
        if limit is not None and done > limit:
            return  # more than the file can have: the digest refuses it
        if time.monotonic() - since > timeout:
            if done - mark < SLOWEST:
                raise _InterruptedError(f"the host sent {done - mark} bytes in {timeout:g} s")
            mark, since = done, time.monotonic()
    if total is not None and done < total:
        raise _InterruptedError(f"the connection closed after {done} of {total} bytes")


def _answer(error: HTTPError, url: str, part: Path) -> Exception:
    """What to make of an http answer that is not a file."""
    with error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)  # longer than the file there: start again
            return _InterruptedError("the host refuses to go on with the part that is here")
        if error.code in WORTH_A_RETRY:
            return _InterruptedError(f"the host answers {error.code} {error.reason}")
        return WeightsError(
            f"the host answers {error.code} {error.reason}",
            where=url,
            todo="The address may have moved: look for a newer vfuse, or give the file with --weights",
        )


def _describe(error: BaseException) -> str:
    """The reason of a network error; urllib hides it one level down."""
    reason = error.reason if isinstance(error, URLError) else error
    return (
        "the host does not answer"
        if isinstance(reason, TimeoutError)
        else str(reason) or type(reason).__name__
    )


def _unwritable(error: OSError, target: Path) -> WeightsError:
    if error.errno in NO_SPACE:
        return WeightsError(
            "the disk is full",
            where=target,
            todo="Make room, or set VFUSE_DATA_DIR to another disk, and run the command again",
        )
    return WeightsError(
        f"cannot be written: {error.strerror or error}",
        where=target,
        todo="Set VFUSE_DATA_DIR to a folder of yours",
    )
