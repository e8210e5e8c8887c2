"""Packages that tracking needs beyond the core: found, or named with the line that installs them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from vfuse.errors import UsageError


def need(module: str, *, what: str, extra: str = "track") -> Any:  # noqa: ANN401 - a module has no useful type
    """Import an optional module.

    Args:
        module: what to import.
        what: what needs it, for the message.
        extra: the extra of vfuse that brings it.

    Raises:
        UsageError: it is not installed, with the line that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise UsageError(
            f"{what} needs the package {package}, which is missing or broken ({error})",
            todo=f"Install it with  pip install 'vfuse[{extra}]'",
        ) from error
