"""Fetch the freely licensed part of a data set from its authors' repository, every file verified."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from vfuse.download import Digest, Patience, fetch
from vfuse.errors import InputError, OutputError, WeightsError

GITHUB_RAW = "https://raw.githubusercontent.com"


@dataclass(frozen=True)
class RemoteFile:
    """One file: its path in the repository, and git's own name of its content."""

    path: str
    blob: str


@dataclass(frozen=True)
class Listing:
    """The files of one commit of a public GitHub repository that make up a split.

    Attributes:
        repository: "owner/name".
        commit: full commit id.
        licence: of the files, with its holder.
        files: what to fetch.
    """

    repository: str
    commit: str
    licence: str
    files: tuple[RemoteFile, ...]


def test_files() -> Listing:
    """The official test split of M3SVD, 30 pairs."""
    text = files("vfuse.io").joinpath("m3svd_test_files.json").read_text(encoding="utf-8")
    facts = json.loads(text)
    listed = tuple(RemoteFile(file["path"], file["git_blob"]) for file in facts["files"])
    return Listing(facts["repository"], facts["commit"], facts["licence"], listed)


def pull_files(
    wanted: Iterable[RemoteFile],
    root: Path,
    *,
    listing: Listing,
    mirror: str = "",
    offline: bool = False,
    patience: Patience | None = None,
) -> int:
    """Bring files to `root` under their paths in the repository; how many were fetched.

    A file that is there and right is left alone; a damaged one is fetched again. An interrupted transfer goes
    on where it stopped.

    Args:
        wanted: of the listing.
        root: made when it is missing.
        listing: says which commit of which repository.
        mirror: address to ask instead of GitHub's; the files must be the same.
        offline: open no connection.
        patience: timeout and retries; None is as for weights.

    Raises:
        InputError: offline, no answer, or another file than expected.
        OutputError: the disk is full or the folder cannot be written.
    """
    host = (mirror or GITHUB_RAW).rstrip("/")
    fetched = 0
    for file in wanted:
        target, digest = root / file.path, Digest("git blob", file.blob)
        if target.is_file() and Digest.of(target, "git blob") == digest:
            continue
        url = f"{host}/{listing.repository}/{listing.commit}/{file.path}"
        try:
            fetch(url, target, digest=digest, offline=offline, patience=patience or Patience())
        except WeightsError as error:
            if isinstance(error.__cause__, OSError):
                raise OutputError(error.what, where=target, todo="Make room, or choose --to") from error
            raise InputError(error.what, where=error.where, todo="Run the command again later") from error
        fetched += 1
    return fetched
