"""Outputs that are whole or absent: written under a temporary name beside the target, renamed at the end."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path

from vfuse.errors import OutputError

if sys.platform != "win32":
    import fcntl

_NAME_BYTES = 160  # of the target's name in the temporary's, so that long names stay below the usual 255
_ADVICE = {
    errno.ENOSPC: "Free some space",
    errno.EDQUOT: "Free some space",
    errno.EFBIG: "The file system or a limit forbids larger files",
    errno.EACCES: "Check the permissions or write elsewhere",
    errno.EPERM: "Check the permissions or write elsewhere",
    errno.EROFS: "Write elsewhere",
    errno.ENAMETOOLONG: "Use a shorter name",
}


def output_error(error: OSError, where: Path) -> OutputError:
    """The OutputError that says what the operating system refused."""
    todo = _ADVICE.get(error.errno or 0, "")
    return OutputError(f"cannot be written ({error.strerror or error})", where=where, todo=todo)


def check_target(
    target: Path, *, out: Path, folder: bool, inputs: Iterable[str | Path], overwrite: bool
) -> None:
    """Refuse a target that cannot or must not be written.

    Args:
        target: the file or folder that would be written.
        out: what the user asked for, named in errors.
        folder: whether the target is a folder of images.
        inputs: sources that must not be replaced; names that are no existing paths are ignored.
        overwrite: whether an existing target may be replaced.

    Raises:
        OutputError: it exists already, is an input, a device, in a folder that is missing or not writable.
    """
    if any(_same(target, Path(source)) for source in inputs):
        raise OutputError("is an input", where=out, todo="Choose another name for the output")
    parent = target.absolute().parent
    if not parent.exists():
        raise OutputError(f"the folder {parent} does not exist", where=out, todo="Create it first")
    if not parent.is_dir():
        raise OutputError(f"{parent} is not a folder", where=out)
    if not os.access(parent, os.W_OK):
        raise OutputError(f"the folder {parent} is not writable", where=out, todo="Write elsewhere")
    if target.is_dir() != folder and target.exists():
        raise OutputError(
            "is not a folder" if folder else "is a folder", where=out, todo="Choose another name"
        )
    if target.exists():
        _check_existing(target, out, overwrite=overwrite)


def is_pattern(out: Path) -> bool:
    """Whether the name numbers images, as `%05d.png` does."""
    return re.search(r"%0?\d*d", out.name) is not None


@contextmanager
def atomic(target: Path, *, overwrite: bool, folder: bool = False) -> Generator[Path]:
    """A temporary path beside the target that becomes the target when the block ends well.

    An exception, an interrupt and an early stop remove it. What a killed process left behind for the same
    target is removed first; a temporary that another process still writes is left alone.

    Args:
        target: the final path.
        overwrite: whether an existing target may be replaced.
        folder: whether the output is a folder of files.

    Raises:
        OutputError: the operating system refuses.
    """
    target = target.absolute()
    _remove_stale(target)
    # The suffix stays, because it tells encoders the format.
    part = target.with_name(f"{_stem(target)}{secrets.token_hex(4)}.part{target.suffix}")
    lock = _create(part, target, folder=folder)
    try:
        yield part
        _publish(part, target, overwrite=overwrite)
    finally:
        if lock is not None:
            os.close(lock)
        _remove(part)


def _create(part: Path, target: Path, *, folder: bool) -> int | None:
    """Make and lock it: the lock says "alive" to other processes and ends with this one, however it ends."""
    try:
        if folder:
            part.mkdir()
        else:
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        if sys.platform == "win32":  # there an open file can be neither renamed nor removed
            return None
        handle = os.open(part, os.O_RDONLY)
    except OSError as error:
        raise output_error(error, target) from error
    _lock(handle)
    return handle


def _publish(part: Path, target: Path, *, overwrite: bool) -> None:
    if target.exists():  # somebody else was faster
        _check_existing(target, target, overwrite=overwrite)
    try:
        _sync(part)
        _replace(part, target)
        _sync(target.parent)
    except OSError as error:
        raise output_error(error, target) from error


def _stem(target: Path) -> str:
    short = os.fsencode(target.name)[:_NAME_BYTES].decode(errors="ignore")
    return f".{short}."


def _remove_stale(target: Path) -> None:
    pattern = re.compile(re.escape(_stem(target)) + r"[0-9a-f]{8}\.part" + re.escape(target.suffix))
    with suppress(OSError):
        for found in target.parent.iterdir():
            if pattern.fullmatch(found.name) and not _alive(found):
                _remove(found)


def _lock(handle: int) -> bool:
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _alive(part: Path) -> bool:
    if sys.platform == "win32":
        return False
    try:
        handle = os.open(part, os.O_RDONLY)
    except OSError:
        return True  # not ours to judge
    try:
        return not _lock(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    for item in [*path.iterdir(), path] if path.name.endswith(".part") and path.is_dir() else [path]:
        with suppress(OSError):  # some file systems cannot sync a folder
            handle = os.open(item, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _replace(part: Path, target: Path) -> None:
    if part.is_dir() and target.is_dir() and any(target.iterdir()):
        old = target.with_name(f"{_stem(target)}{secrets.token_hex(4)}.part{target.suffix}")
        target.rename(old)
        part.rename(target)
        _remove(old)
    elif part.is_dir() and target.is_dir():
        target.rmdir()
        part.rename(target)
    else:
        os.replace(part, target)


def _check_existing(target: Path, out: Path, *, overwrite: bool) -> None:
    if target.is_dir():
        names = [item.name for item in target.iterdir()]
        if any(not re.fullmatch(r"[^.]*\d+\.\w+", name) for name in names):
            # Replacing a folder means deleting what is in it; only numbered images are worth so little.
            todo = "Choose a new or empty folder, or give a file name with a suffix"
            raise OutputError("is a folder that holds other files", where=out, todo=todo)
        if names and not overwrite:
            raise OutputError("the folder is not empty", where=out, todo="Use -y to replace its images")
    elif not stat.S_ISREG(target.stat().st_mode):
        raise OutputError("is not a regular file", where=out, todo="Choose another name")
    elif not overwrite:
        raise OutputError("exists already", where=out, todo="Use -y to overwrite it")


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return one.absolute() == other.absolute()
