"""Which weight files there are, where each lies, and whether it is the right one.

A file is looked for at the path the user gives, then among the weights that ship (`weights/`), then in the
user data directory, and is downloaded last. Its sha256 is checked every time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import vfuse
from vfuse.download import Digest, Progress, data_dir, fetch
from vfuse.errors import UsageError, WeightsError
from vfuse.models._registry import MODELS, GitFile, ModelEntry, Weights

MANIFEST = "manifest.json"
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Choice:
    """A network and the weights chosen for it.

    Attributes:
        entry: the network.
        tag: which of its weights; empty for a network without parameters.
        weights: what is known about them, or None for a network without parameters.
    """

    entry: ModelEntry
    tag: str
    weights: Weights | None

    @property
    def name(self) -> str:
        """What the user types for exactly this choice."""
        return f"{self.entry.name}.{self.tag}" if self.tag else self.entry.name


@dataclass(frozen=True)
class WeightFile:
    """A weight file that is there and whose digest was taken.

    Attributes:
        path: the safetensors file.
        sha256: its digest.
        weights: its provenance, or None for a file that the user named.
    """

    path: Path
    sha256: str
    weights: Weights | None


def shipped_dir() -> Path:
    """The weights inside the installed package, or those of the checkout."""
    package = Path(vfuse.__file__).parent
    installed = package / "weights"
    return installed if installed.is_dir() else package.parent / "weights"


def user_dir() -> Path:
    """The weights that were downloaded or imported."""
    return data_dir() / "weights"


def read_manifest() -> dict[str, dict[str, Weights]]:
    """Network to tag to weights, as listed in `weights/manifest.json`.

    Raises:
        WeightsError: the manifest is missing or damaged.
    """
    path = shipped_dir() / MANIFEST
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["weights"]
        listed: dict[str, dict[str, Weights]] = {}
        for row in rows:
            listed.setdefault(row["model"], {})[row["tag"]] = weights_from(row)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"the list of weights cannot be read ({error})", where=path, todo="Reinstall vfuse"
        ) from error
    return listed


def weights_from(row: dict[str, Any]) -> Weights:
    """The record in a row of JSON; what else stands in the row is for readers of the file."""
    known = {field.name: row[field.name] for field in fields(Weights) if field.name in row}
    if known.get("git"):
        known["git"] = GitFile(**known["git"])
    return Weights(**known)


def record_of(path: Path) -> Path:
    """The JSON record beside an imported weight file: its sha256, licence and provenance."""
    return path.with_name(path.name + ".json")


def weights_of(entry: ModelEntry) -> dict[str, Weights]:
    """Tag to weights of a network: listed in the manifest, brought by its own file, imported by this user.

    The first tag is the default.
    """
    known = {**read_manifest().get(entry.name, {}), **entry.weights}
    for record in sorted(user_dir().glob(f"{entry.name}.*{SUFFIX}.json")):
        tag = record.name.removeprefix(f"{entry.name}.").removesuffix(f"{SUFFIX}.json")
        if tag not in known or known[tag].git is not None:  # only an import knows a converted file's sha256
            known[tag] = _read_record(record)
    return known


def _read_record(path: Path) -> Weights:
    try:
        return weights_from(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise WeightsError(
            f"the record of an imported weight file cannot be read ({error})",
            where=path,
            todo="Delete it and import the weights again",
        ) from error


def choose(name: str) -> Choice:
    """The network and weights behind `name` or `name.tag`.

    Raises:
        UsageError: no such network or tag.
    """
    model, _, tag = name.partition(".")
    entry = MODELS[model]
    known = weights_of(entry)
    if tag and tag not in known:
        close = get_close_matches(tag, known, n=1)
        suggestion = f"Did you mean '{model}.{close[0]}'? " if close else ""
        raise UsageError(
            f"unknown weights {name!r}",
            todo=f"{suggestion}Known: {', '.join(f'{model}.{t}' for t in known) or 'none'}",
        )
    tag = tag or next(iter(known), "")
    return Choice(entry, tag, known[tag] if tag else None)


def choices() -> list[Choice]:
    """All weights of all networks; a network without any appears once, with an empty tag."""
    every: list[Choice] = []
    for entry in MODELS:
        known = weights_of(entry)
        every += [Choice(entry, tag, weights) for tag, weights in known.items()] or [Choice(entry, "", None)]
    return every


def locate(weights: Weights) -> Path | None:
    """Where the file lies: shipped before downloaded; None when it is in neither place."""
    if not weights.sha256:
        return None  # published weights that were not pulled yet
    return next((p for folder in (shipped_dir(), user_dir()) if (p := folder / weights.file).is_file()), None)


def verify(choice: Choice, path: Path) -> str:
    """Read the file and return its sha256.

    Raises:
        WeightsError: its size or digest is not that of the chosen weights.
    """
    assert choice.weights is not None, "only weights that are known can be verified"
    shipped = path.parent == shipped_dir()
    todo = "Reinstall vfuse" if shipped else f"Delete it and run: vfuse weights pull {choice.name}"
    size = path.stat().st_size
    if size != choice.weights.bytes:
        raise WeightsError(f"has {size} bytes instead of {choice.weights.bytes}", where=path, todo=todo)
    found = Digest.of(path)
    if found.value != choice.weights.sha256:
        raise WeightsError(
            f"is damaged: sha256 {found.value} instead of {choice.weights.sha256}", where=path, todo=todo
        )
    return found.value


def obtain(choice: Choice, *, offline: bool = False, progress: Progress | None = None) -> WeightFile:
    """The verified file of the chosen weights, downloaded when it is nowhere and has an address.

    Raises:
        WeightsError: not there and not to be had, or damaged.
    """
    weights = choice.weights
    if weights is None:
        raise WeightsError(f"no weights of {choice.name!r} are known", todo="Give a file with --weights")
    path = locate(weights)
    if path is None and weights.url:
        path = download(weights, offline=offline, progress=progress)
    elif path is None:
        todo = (
            f"Run: vfuse weights pull {choice.name}"
            if weights.git
            else "Reinstall vfuse, or give a file with --weights"
        )
        raise WeightsError(
            f"the weights {choice.name!r} are not on this machine", where=weights.file, todo=todo
        )
    return WeightFile(path, verify(choice, path), weights)


def download(
    weights: Weights, *, mirror: str = "", offline: bool = False, progress: Progress | None = None
) -> Path:
    """Fetch a file with an address into the user data directory.

    Args:
        mirror: address of a folder that holds the same file, asked instead of the official one.

    Raises:
        WeightsError: see `vfuse.download.fetch`.
    """
    url = f"{mirror.rstrip('/')}/{weights.file}" if mirror else weights.url
    target = user_dir() / weights.file
    fetch(
        url,
        target,
        digest=Digest("sha256", weights.sha256),
        size=weights.bytes,
        offline=offline,
        progress=progress,
    )
    return target


def named(path: Path) -> WeightFile:
    """The weight file that the user named.

    Raises:
        WeightsError: it is missing, or not a safetensors file.
    """
    if not path.is_file():
        what = "is a folder, not a weight file" if path.is_dir() else "does not exist"
        raise WeightsError(what, where=path, todo="--weights takes a .safetensors file")
    if path.suffix in (".pth", ".pt", ".ckpt", ".bin"):
        raise WeightsError(
            "may hold code and is not loaded",
            where=path,
            todo="Convert it first: vfuse weights import FILE --as MODEL.TAG",
        )
    return WeightFile(path, Digest.of(path).value, None)
