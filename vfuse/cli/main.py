"""The command line: one app, one list of commands, and the one place where errors become exit codes."""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from vfuse import __version__
from vfuse.allocator import keep_freed_memory
from vfuse.cli._options import EXIT_CODES
from vfuse.errors import DeviceError, UsageError, VfuseError

COMMANDS = (  # one module of vfuse.cli each, in the order of the help
    "fuse",
    "inspect",
    "sync",
    "align",
    "compare",
    "sample",
    "train",
    "degrade",
    "data",
    "score",
    "track",
    "segment",
    "metrics",
    "models",
    "weights",
)

SPIN_COUNT = "10000"  # turns, see `main`

INTERRUPTED = 130
TERMINATED = 143


class ErrorBoundary(TyperGroup):
    """Runs a command and turns whatever escapes it into one line on stderr and an exit code."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,  # noqa: ANN401 - the signature of the overridden method
    ) -> NoReturn:
        del standalone_mode
        try:
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
            sys.stdout.flush()
        except BrokenPipeError:
            _silence_stdout()  # whoever read our results has seen enough
            code = 0
        except SystemExit as end:  # typer's own way to leave when it prints
            if not isinstance(end.__context__, BrokenPipeError):
                raise
            code = 0
        except (Exception, KeyboardInterrupt) as error:
            code = _explain(error, sys.argv[1:] if args is None else args)
        else:
            if code == INTERRUPTED:
                _complain("interrupted")
        sys.exit(code or 0)


def _explain(error: BaseException, args: Sequence[str]) -> int:
    """Say in one line what went wrong with the command of these arguments; the exit code."""
    if os.environ.get("VFUSE_DEBUG") or logging.getLogger("vfuse").isEnabledFor(logging.DEBUG):
        traceback.print_exception(error)
    match error:
        case VfuseError():
            _complain(str(error))
            return error.exit_code
        case typer.TyperException():
            if message := error.format_message():  # empty where the help was shown instead
                hint = _dashed_file(error, args) or f"{_command_of(error)} --help lists what there is"
                _complain(f"{message} ({hint})")
            return error.exit_code
        case KeyboardInterrupt() | typer.Abort():
            _complain("interrupted")
            return INTERRUPTED
        case ImportError() if _is_windowed_opencv(error):
            _complain(
                f"OpenCV cannot be loaded ({error}). Another package brought the build with windows, for "
                "which this machine lacks libraries; bring back the one without:  "
                "pip install --force-reinstall --no-deps opencv-python-headless"
            )
            return UsageError.exit_code
        case MemoryError():
            _complain("memory ran out. Use a smaller --tile or --window, or close other programs")
            return DeviceError.exit_code
        case _:
            _complain(
                f"this is a bug: {type(error).__name__}: {error}. "
                "Please report it with the output of the same command under VFUSE_DEBUG=1"
            )
            return 1


def _is_windowed_opencv(error: ImportError) -> bool:
    """Whether OpenCV itself is there but a shared library of the system is not."""
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    return "shared object" in str(error) and any(Path(file).parent.name == "cv2" for file in files)


def _dashed_file(error: typer.TyperException, args: Sequence[str]) -> str:
    """What to do when the option that does not exist looks like the name of a file; otherwise nothing."""
    option = getattr(error, "option_name", None)
    for arg in args if option else ():
        if arg.startswith(str(option)) and "=" not in arg and (Path(arg).suffix or Path(arg).exists()):
            return f"if {arg} is a file, write ./{arg}, or put -- before all files and options before that"
    return ""


def _command_of(error: typer.TyperException) -> str:
    """The command whose options are wrong, as it was called."""
    context = getattr(error, "ctx", None)
    return context.command_path if context is not None else "vfuse"


def _complain(text: str) -> None:
    print(f"vfuse: {' '.join(text.split())}", file=sys.stderr, flush=True)  # noqa: T201


def _silence_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _version(wanted: bool) -> None:
    if wanted:
        print(f"vfuse {__version__}")  # noqa: T201
        raise typer.Exit


def build_app() -> typer.Typer:
    """The whole command line; no command imports what it runs before it is called."""
    app = typer.Typer(
        name="vfuse",
        cls=ErrorBoundary,
        help="Fuse an infrared and a visible video into one clear, steady video.",
        epilog=EXIT_CODES,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def root(  # pyright: ignore[reportUnusedFunction] - registered by the decorator
        version: Annotated[
            bool,
            typer.Option("--version", help="Print the version and leave.", callback=_version, is_eager=True),
        ] = False,
    ) -> None:
        pass

    for name in COMMANDS:
        import_module(f"vfuse.cli.{name}").register(app)
    return app


app = build_app()


def main() -> None:
    """Entry point of the `vfuse` script."""
    # Before torch is loaded: its threads spin for some microseconds while they wait, then sleep. Longer, and
    # they take the cores that decoding and encoding need; not at all, and every layer waits to be woken
    # (86 frames on two idle cores: 18.2 s; with this 12.3 s; with libgomp's own 300,000 turns 12.9 s).
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    keep_freed_memory()
    signal.signal(signal.SIGTERM, _terminate)
    app()


def _terminate(_signal: int, _frame: object) -> NoReturn:
    raise SystemExit(TERMINATED)  # unwinds like any error, so that temporary files go
