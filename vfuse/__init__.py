"""vfuse: fuse an infrared and a visible video into one clear, steady video."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# Resolved on first use, so that `vfuse --help` and `import vfuse` do not wait for torch.
_LAZY = {
    "fuse_video": "vfuse.pipeline",
    "FuseOptions": "vfuse.pipeline",
    "load_model": "vfuse.models._load",
}

if TYPE_CHECKING:
    from vfuse.models._load import load_model
    from vfuse.pipeline import FuseOptions, fuse_video

__all__ = ["FuseOptions", "__version__", "fuse_video", "load_model"]


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'vfuse' has no attribute {name!r}")
