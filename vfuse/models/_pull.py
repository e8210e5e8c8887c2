"""Bring weights to this machine on request: download, verify, and convert what its authors published."""

from __future__ import annotations

from pathlib import Path

from vfuse.download import Digest, Progress, fetch
from vfuse.errors import UsageError, WeightsError
from vfuse.models._convert import import_checkpoint
from vfuse.models._registry import GitFile, Weights
from vfuse.models._weights import Choice, WeightFile, choose, download, locate, user_dir, verify

GITHUB_RAW = "https://raw.githubusercontent.com"


def pull(
    name: str, *, mirror: str = "", offline: bool = False, progress: Progress | None = None
) -> WeightFile:
    """Bring weights to this machine and verify them; what is there and right is left alone.

    Args:
        name: `model` or `model.tag`.
        mirror: address to ask instead of the official one; the file must be the same.
        offline: open no connection.
        progress: told about the bytes as they arrive.

    Raises:
        UsageError: unknown name, or a network without weights.
        WeightsError: the download failed, is another file, or holds another network.
    """
    choice = choose(name)
    if choice.weights is None:
        raise UsageError(f"model {name!r} has no weights to pull")
    path = locate(choice.weights)
    if path is not None and path.parent == user_dir() and Digest.of(path).value != choice.weights.sha256:
        path.unlink()  # damaged
        path = None
    if path is None and choice.weights.git:
        return _pull_published(choice, choice.weights, mirror=mirror, offline=offline, progress=progress)
    if path is None and choice.weights.url:
        path = download(choice.weights, mirror=mirror, offline=offline, progress=progress)
    if path is None:
        raise WeightsError(
            "ships with vfuse and has no address", where=choice.weights.file, todo="Reinstall vfuse"
        )
    return WeightFile(path, verify(choice, path), choice.weights)


def _pull_published(
    choice: Choice, weights: Weights, *, mirror: str, offline: bool, progress: Progress | None
) -> WeightFile:
    assert weights.git is not None
    checkpoint = user_dir() / f"{choice.name}{Path(weights.git.path).suffix}"
    fetch(
        address(weights.git, mirror),
        checkpoint,
        digest=Digest("git blob", weights.git.blob),
        offline=offline,
        progress=progress,
    )
    try:
        return import_checkpoint(checkpoint, choice.name, overwrite=True)
    finally:
        checkpoint.unlink()


def address(git: GitFile, mirror: str = "") -> str:
    """Where a public repository serves one file of one commit."""
    return f"{(mirror or GITHUB_RAW).rstrip('/')}/{git.repository}/{git.commit}/{git.path}"
