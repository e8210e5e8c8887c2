"""pair.json: what is known about a pair of cameras, kept for a whole batch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import numpy as np

from vfuse import __version__
from vfuse.align._views import Matrix
from vfuse.align.fit import Fit
from vfuse.errors import InputError, OutputError, PairError
from vfuse.io.probe import VideoInfo
from vfuse.sync.match import SyncFit

VERSION = 1
_END_BYTES = 1 << 20  # of each end of a file: enough to tell recordings apart, quick for large ones


@dataclass(frozen=True)
class Source:
    """One of the two recordings the record was made from.

    Attributes:
        file: its name without folder.
        width, height: pixels as displayed.
        fps: frames a second, exact.
        num_frames: None when unknown.
        fingerprint: SHA-256 over the size and both ends of the file; "" for images.
    """

    file: str
    width: int
    height: int
    fps: str
    num_frames: int | None
    fingerprint: str

    @classmethod
    def of(cls, info: VideoInfo) -> Source:
        """Describe a probed input."""
        name = Path(info.path).name
        return cls(name, info.width, info.height, str(info.fps), info.num_frames, _fingerprint(info))


@dataclass(frozen=True)
class Clocks:
    """A visible moment t is seen by the infrared at `offset + rate * t` seconds; numbers as in `SyncFit`."""

    offset: float
    rate: float
    significance: float
    distinct: float
    segments: int
    agreeing: int

    @classmethod
    def of(cls, fit: SyncFit) -> Clocks:
        """Keep the result of `sync`."""
        return cls(fit.offset, fit.rate, fit.significance, fit.distinct, fit.segments, fit.agreeing)


@dataclass(frozen=True)
class Geometry:
    """The homography from visible to infrared pixels, row by row, and the numbers that speak for it."""

    matrix: tuple[float, ...]
    samples: int
    inliers: int
    matches: int
    error: float
    spread: float
    stability: float
    evidence: float
    overlap: float

    @classmethod
    def of(cls, fit: Fit) -> Geometry:
        """Keep the result of `align`."""
        flat = tuple(float(value) for value in fit.matrix.ravel())
        numbers = (fit.error, fit.spread, fit.stability, fit.evidence, fit.overlap)
        return cls(flat, fit.samples, fit.inliers, fit.matches, *numbers)

    def as_matrix(self) -> Matrix:
        """(3, 3) float64."""
        return np.array(self.matrix).reshape(3, 3)


@dataclass(frozen=True)
class Rig:
    """All that pair.json holds; either part may be missing.

    Attributes:
        ir, vis: the recordings it was made from.
        clocks: from `vfuse sync`, valid for these two recordings alone.
        geometry: from `vfuse align`, valid for every recording of the same rig and sizes.
    """

    ir: Source
    vis: Source
    clocks: Clocks | None = None
    geometry: Geometry | None = None

    def save(self, path: Path) -> None:
        """Write pair.json."""
        record = {"schema_version": VERSION, "vfuse": __version__, **asdict(self)}
        path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

    def geometry_for(self, ir: VideoInfo, vis: VideoInfo, *, where: Path) -> Geometry:
        """The geometry, if it fits the sizes of two inputs; raises PairError otherwise."""
        if self.geometry is None:
            raise PairError("holds no geometry", where=where, todo=f"Run vfuse align ... -o {where.name}")
        for name, source, info in (("infrared", self.ir, ir), ("visible", self.vis, vis)):
            if (source.width, source.height) != (info.width, info.height):
                raise PairError(
                    f"was made for {name} of {source.width}x{source.height}, "
                    f"but {info.path} is {info.width}x{info.height}",
                    where=where,
                    todo="Align these inputs anew with vfuse align",
                )
        return self.geometry

    def clocks_for(self, ir: VideoInfo, vis: VideoInfo, *, where: Path) -> Clocks:
        """The clocks, if they belong to these very recordings; raises PairError otherwise."""
        if self.clocks is None:
            raise PairError("holds no clocks", where=where, todo=f"Run vfuse sync ... -o {where.name}")
        for source, info in ((self.ir, ir), (self.vis, vis)):
            if source.fingerprint != _fingerprint(info):
                raise PairError(
                    f"its clocks belong to {source.file}, another recording than {info.path}",
                    where=where,
                    todo="Run vfuse sync for this pair",
                )
        return self.clocks

    def with_parts(self, *, clocks: Clocks | None = None, geometry: Geometry | None = None) -> Rig:
        """The same record with new parts."""
        return replace(self, clocks=clocks or self.clocks, geometry=geometry or self.geometry)


def load_rig(path: Path) -> Rig:
    """Read pair.json.

    Raises:
        InputError: missing, not a pair.json, damaged, or written by a newer version.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path) from error
    except ValueError as error:
        raise InputError(
            "is no pair.json", where=path, todo="Make one with vfuse align or vfuse sync"
        ) from error
    if not isinstance(record, dict) or "schema_version" not in record:
        raise InputError("is no pair.json", where=path, todo="Make one with vfuse align or vfuse sync")
    fields = cast("dict[str, Any]", record)
    version = fields["schema_version"]
    if version != VERSION:
        raise InputError(
            f"has version {version}, this vfuse reads {VERSION}", where=path, todo="Update vfuse"
        )
    try:
        return _parsed(fields)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"is damaged ({error})", where=path, todo="Make it again with vfuse align"
        ) from error


def store(
    path: Path,
    ir: VideoInfo,
    vis: VideoInfo,
    *,
    clocks: Clocks | None = None,
    geometry: Geometry | None = None,
    overwrite: bool,
) -> None:
    """Write pair.json, or complete one that exists for the same recordings.

    Raises:
        OutputError: it already holds this part and `overwrite` is False, or it cannot be written.
        InputError: what exists is no pair.json.
    """
    rig = Rig(ir=Source.of(ir), vis=Source.of(vis))
    if path.exists():
        old = load_rig(path)
        taken = (clocks and old.clocks) or (geometry and old.geometry)
        if taken and not overwrite:
            raise OutputError("holds this already", where=path, todo="Use -y to replace it")
        if (old.ir, old.vis) == (rig.ir, rig.vis):
            rig = old
    try:
        rig.with_parts(clocks=clocks, geometry=geometry).save(path)
    except OSError as error:
        raise OutputError(f"cannot be written ({error.strerror})", where=path) from error


def _parsed(fields: dict[str, Any]) -> Rig:
    clocks, geometry = fields["clocks"], fields["geometry"]
    if geometry:
        geometry["matrix"] = tuple(float(value) for value in geometry["matrix"])
        matrix = np.array(geometry["matrix"])
        if matrix.shape != (9,) or not np.isfinite(matrix).all() or abs(matrix[8]) < 1e-12:
            raise ValueError("the matrix is no homography")
    return Rig(
        ir=Source(**fields["ir"]),
        vis=Source(**fields["vis"]),
        clocks=Clocks(**clocks) if clocks else None,
        geometry=Geometry(**geometry) if geometry else None,
    )


def _fingerprint(info: VideoInfo) -> str:
    if info.kind != "video":
        return ""
    path = Path(info.path)
    size = path.stat().st_size
    digest = sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(_END_BYTES))
        file.seek(max(0, size - _END_BYTES))
        digest.update(file.read(_END_BYTES))
    return digest.hexdigest()
