"""The only file that starts a process: the ffmpeg that imageio-ffmpeg brings, driven through ffmpeg-python.

Commands are ffmpeg-python output nodes; nothing here passes through a shell. Every run writes its messages to
a temporary file, never to a pipe, so that a talkative process cannot block the frames.
"""

# pyright: basic

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

import ffmpeg
import imageio_ffmpeg

from vfuse.errors import OutputError

_PIPE_BYTES = 1 << 20  # one VGA frame fits, so that the writer and ffmpeg rarely wait for each other
_QUIET = {"hide_banner": None, "nostats": None, "loglevel": "error"}
_NO_ROOM = re.compile(r"No space left|File too large|Disk quota", re.IGNORECASE)
_SIGXFSZ = 25  # the signal of a file size limit; absent from `signal` on some platforms


@cache
def binary() -> str:
    """Path of the bundled ffmpeg."""
    return imageio_ffmpeg.get_ffmpeg_exe()


def file_url(path: Path) -> str:
    """Name a file so that ffmpeg sees nothing but a file: no protocol or option hides in its name."""
    return f"file:{path.absolute()}"


@cache
def encoders() -> tuple[str, ...]:
    """Names of all video encoders of the bundled ffmpeg."""
    lines = _answer("-encoders").splitlines()
    return tuple(line.split()[1] for line in lines if re.match(r" V\S{5} \w", line))


@cache
def pixel_formats(encoder: str) -> tuple[str, ...]:
    """Pixel formats that an encoder takes; empty when it does not say."""
    found = re.search(r"Supported pixel formats: (.*)", _answer("-h", f"encoder={encoder}"))
    return tuple(found[1].split()) if found else ()


def complaint(node: Any, *, where: Path) -> str | None:  # noqa: ANN401 - ffmpeg-python has no types
    """Run a short command that reads no frames from us; what ffmpeg complains about, None when nothing."""
    with _running(node) as (process, log):
        _stdin(process).close()
        return None if process.wait() == 0 else _reason(process, log, where).what


@dataclass(frozen=True)
class Feed:
    """A running ffmpeg that waits for frames.

    Attributes:
        handle: file descriptor of its stdin.
        failure: waits for it to end and returns why it stopped taking frames.
    """

    handle: int
    failure: Callable[[], OutputError]


@contextmanager
def feeding(node: Any, *, where: Path) -> Generator[Feed]:  # noqa: ANN401 - ffmpeg-python has no types
    """Run a command that reads frames from `pipe:0`.

    Leaving the block closes the pipe and waits for ffmpeg; leaving it with an exception kills ffmpeg.

    Args:
        node: ffmpeg-python output node.
        where: the file the user asked for, named in errors.

    Raises:
        OutputError: ffmpeg failed; its first complaints are quoted.
    """
    with _running(node) as (process, log):

        def failure() -> OutputError:
            process.wait()
            return _reason(process, log, where)

        yield Feed(_stdin(process).fileno(), failure)
        _stdin(process).close()
        if process.wait() != 0:
            raise failure()


@contextmanager
def _running(node: Any) -> Generator[tuple[subprocess.Popen[bytes], IO[bytes]]]:  # noqa: ANN401
    command = ffmpeg.compile(node.global_args(*_flags(_QUIET)), cmd=binary(), overwrite_output=True)
    # A session of its own: Ctrl-C reaches vfuse alone, which then ends ffmpeg and removes what it wrote.
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=log,
            bufsize=0,
            pipesize=_PIPE_BYTES,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process, log
        finally:
            if process.poll() is None:
                process.kill()
            with suppress(OSError):
                _stdin(process).close()


def _stdin(process: subprocess.Popen[bytes]) -> IO[bytes]:
    if process.stdin is None:
        raise RuntimeError("ffmpeg was started without a pipe")
    return process.stdin


def _flags(options: dict[str, str | None]) -> list[str]:
    return [part for key, value in options.items() for part in (f"-{key}", value) if part is not None]


def _reason(process: subprocess.Popen[bytes], log: IO[bytes], where: Path) -> OutputError:
    log.seek(0)
    text = log.read(1 << 16).decode(errors="replace")
    if _NO_ROOM.search(text) or process.returncode == -_SIGXFSZ:
        return OutputError("the disk is full or the file too large", where=where, todo="Free some space")
    # The first complaint is the cause, the rest are its consequences; addresses in brackets say nothing.
    lines = [re.sub(r"^(\[[^\]]*\] ?)+", "", line).strip() for line in text.splitlines()]
    said = "; ".join([line for line in lines if line][:2])
    return OutputError(said or f"ffmpeg ended with code {process.returncode}", where=where)


def _answer(*arguments: str) -> str:
    command = [binary(), "-hide_banner", *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.stdout.decode(errors="replace")
