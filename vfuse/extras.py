"""Packages beyond the core: found, or named with the line that installs them."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

from vfuse.errors import UsageError


def need(module: str, *, what: str, extra: str) -> Any:  # noqa: ANN401 - a module has no useful type
    """Import an optional module.

    Args:
        module: what to import.
        what: what needs it, for the message.
        extra: the extra of vfuse that brings it.

    Raises:
        UsageError: it is not installed, with the line that installs it.
    """
    try:
        return quietly_imported(module)
    except (ImportError, RuntimeError) as error:  # torchvision built for another torch raises the latter
        package = module.partition(".")[0]
        reason = " ".join(str(error).split())[:200]
        raise UsageError(
            f"{what} needs the package {package}, which is missing or broken ({reason})",
            todo=f"Install it with  pip install 'vfuse[{extra}]'",
        ) from error


def quietly_imported(module: str) -> Any:  # noqa: ANN401 - a module has no useful type
    """Import a module without what packages tell each other, such as torchvision about torch's jit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return import_module(module)
