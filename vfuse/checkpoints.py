"""Checkpoints of other networks that vfuse can use but does not ship: where they belong and come from.

They are not fusion networks and need no conversion: whoever uses one defines its network and loads the file
strictly, running nothing in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vfuse.download import Digest, Progress, data_dir, fetch
from vfuse.errors import WeightsError
from vfuse.registry import Registry


@dataclass(frozen=True)
class Checkpoint:
    """One file that a user can bring or have fetched.

    Attributes:
        name: what the user types, as in `vfuse weights pull NAME`.
        file: its name at its authors', and here in `checkpoints_dir`.
        url: where its authors keep it.
        sha256: its digest or the start of it, as far as its authors tell; empty where they do not.
        licence: SPDX name.
        used_for: what vfuse does with it.
    """

    name: str
    file: str
    url: str
    sha256: str
    licence: str
    used_for: str

    @property
    def path(self) -> Path:
        """Where it lies, or would."""
        return data_dir() / "checkpoints" / self.file

    @property
    def digest(self) -> Digest:
        """What a whole file has."""
        return Digest("sha256 start", self.sha256)


CHECKPOINTS: Registry[Checkpoint] = Registry("checkpoint")
for checkpoint in (
    Checkpoint(
        name="vgg19",
        file="vgg19-dcbb9e9d.pth",
        url="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        sha256="dcbb9e9d",
        licence="BSD-3-Clause",
        used_for="teacher of TemCoCo's visual features (loss.distill=vgg or both)",
    ),
    Checkpoint(
        name="dinov2",
        file="dinov2_vitl14_pretrain.pth",
        url="https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
        sha256="",
        licence="Apache-2.0",
        used_for="teacher of TemCoCo's semantic features (loss.distill=dino or both)",
    ),
    Checkpoint(
        name="raft",
        file="raft_large_C_T_SKHT_V2-ff5fadd5.pth",
        url="https://download.pytorch.org/models/raft_large_C_T_SKHT_V2-ff5fadd5.pth",
        sha256="ff5fadd5",
        licence="BSD-3-Clause",
        used_for="optical flow of temporal metrics (--flow raft)",
    ),
    Checkpoint(
        name="sea-raft",
        file="sea-raft-Tartan-C-T-TSKH-spring540x960-M.safetensors",
        url="https://huggingface.co/MemorySlices/Tartan-C-T-TSKH-spring540x960-M/resolve/main/model.safetensors",
        sha256="",
        licence="BSD-3-Clause",
        used_for="optical flow of temporal metrics (--flow sea-raft)",
    ),
    Checkpoint(
        name="sea-raft-s",
        file="sea-raft-Tartan-C-T-TSKH-spring540x960-S.safetensors",
        url="https://huggingface.co/MemorySlices/Tartan-C-T-TSKH-spring540x960-S/resolve/main/model.safetensors",
        sha256="",
        licence="BSD-3-Clause",
        used_for="optical flow of temporal metrics (--flow sea-raft-s)",
    ),
    Checkpoint(
        name="resnet18",
        file="resnet18-f37072fd.pth",
        url="https://download.pytorch.org/models/resnet18-f37072fd.pth",
        sha256="f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
        licence="BSD-3-Clause",
        used_for="features of temporal metrics (--features resnet18)",
    ),
):
    CHECKPOINTS.add(checkpoint)


def require(name: str) -> Path:
    """The file on this machine; nothing is downloaded.

    Raises:
        WeightsError: it is not there, or is another file; says how to get it.
    """
    known = CHECKPOINTS[name]
    if not known.path.is_file():
        todo = f"Run: vfuse weights pull {name} (or put {known.url} there)"
        raise WeightsError("is not on this machine", where=known.path, todo=todo)
    if not known.digest.fits(known.path):
        raise WeightsError(
            f"is damaged or another file: its sha256 does not start with {known.sha256}",
            where=known.path,
            todo=f"Delete it and run: vfuse weights pull {name}",
        )
    return known.path


def pull(name: str, *, mirror: str = "", offline: bool = False, progress: Progress | None = None) -> Path:
    """Fetch a checkpoint from its authors, or from `mirror`; what is there and right is left alone.

    Raises:
        UsageError: no such checkpoint.
        WeightsError: see `vfuse.download.fetch`.
    """
    known = CHECKPOINTS[name]
    if not (known.path.is_file() and known.digest.fits(known.path)):
        url = f"{mirror.rstrip('/')}/{known.file}" if mirror else known.url
        fetch(url, known.path, digest=known.digest, offline=offline, progress=progress)
    return known.path
