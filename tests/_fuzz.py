"""Fuzz the probe and the readers: mutated files of every format end in frames or in one InputError.

    python tests/_fuzz.py MINUTES [FOLDER]

Each example is stored before it is tried, so that what crashes or hangs the process stays behind in FOLDER.
"""

from __future__ import annotations

import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from _media import ramp, write_images, write_video
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from vfuse.errors import InputError
from vfuse.io.interlace import fields_of
from vfuse.io.probe import probe
from vfuse.io.reader import read_frames

SIZE = (48, 32)
PATIENCE = 20  # seconds for one example
MEMORY = 6 << 30  # bytes of address space: a header must not make us allocate what it claims
MOST_PIXELS = 64_000_000  # frames beyond it are only probed
FORMATS = {
    "a.mp4": {"codec": "libx264", "pix_fmt": "yuv420p"},
    "b.mp4": {"codec": "libx265", "pix_fmt": "yuv420p10le", "movflags": "faststart"},
    "c.mkv": {"codec": "ffv1", "pix_fmt": "gray16le"},
    "d.mkv": {"codec": "libx264", "pix_fmt": "yuv444p", "audio_seconds": 0.2},
    "e.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "f.nut": {"codec": "rawvideo", "pix_fmt": "bgr24"},
    "g.ts": {"codec": "libx264", "pix_fmt": "yuv420p"},
    "h.mov": {"codec": "png", "pix_fmt": "rgb24", "rotate": 90},
    "i.h264": {"codec": "libx264", "pix_fmt": "yuv420p"},
    "j.webm": {"codec": "libvpx", "pix_fmt": "yuv420p"},
    "k.gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "l.mov": {"codec": "libx265", "pix_fmt": "yuv420p10le", "colour": (9, 1), "light": (18, 9)},
}
IMAGES = ("png", "tif", "jpg", "webp", "bmp")


def seeds(folder: Path) -> dict[str, bytes]:
    """A small whole file of every format, by name."""
    for name, options in FORMATS.items():
        write_video(folder / name, ramp(6, *SIZE, grey=options["pix_fmt"] == "gray16le"), **options)
    for suffix in IMAGES:
        write_images(folder, ramp(1, *SIZE, grey=False), "i{}." + suffix)
    (folder / "r.y16").write_bytes(np.arange(6 * SIZE[0] * SIZE[1], dtype="<u2").tobytes())
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@st.composite
def mutated(draw: st.DrawFn, whole: dict[str, bytes]) -> tuple[str, bytes]:
    """A file with bytes changed, pieces doubled, removed or taken from another file, or its end cut off."""
    name = draw(st.sampled_from(sorted(whole)))
    data = bytearray(whole[name])
    for _ in range(draw(st.integers(1, 6))):
        size = max(len(data), 1)
        at = draw(st.integers(0, size - 1) | st.integers(0, min(size, 400) - 1))  # headers more often
        match draw(st.sampled_from(["byte", "word", "cut", "double", "remove", "foreign"])):
            case "byte":
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "word":
                data[at : at + 4] = draw(st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 1])).to_bytes(4)
            case "cut":
                del data[at:]
            case "double":
                data[at:at] = data[at : at + draw(st.integers(1, 600))]
            case "remove":
                del data[at : at + draw(st.integers(1, 600))]
            case _:
                other = whole[draw(st.sampled_from(sorted(whole)))]
                data[at : at + 64] = other[at : at + 64]
    return name, bytes(data)


def outcome(path: Path) -> str:
    """Probe and read one file; what became of it. Anything but an InputError escapes."""
    raw = SIZE if path.suffix == ".y16" else None
    try:
        info = probe(path, raw=raw)
        if info.width * info.height > MOST_PIXELS:
            return "too large to read here"
        fields_of(info)
        with read_frames(info, grey=info.channels == 1, levels=info.bit_depth == 8) as frames:
            count = sum(1 for _ in frames)
    except InputError as error:
        if "\n" in str(error) or not str(error).startswith(str(path)):
            raise AssertionError(f"not one line that names the file: {error}") from error
        return "refused"
    if count != info.num_frames:
        raise AssertionError(f"{count} frames read, {info.num_frames} promised")
    return "read"


def fuzz(minutes: float, folder: Path) -> Counter[str]:
    """Try mutations for so long; an unexpected end is raised, with its file left in `folder`."""
    with tempfile.TemporaryDirectory() as made:
        whole = seeds(Path(made))
    ends: Counter[str] = Counter()
    until, rounds = time.monotonic() + 60 * minutes, 0
    while time.monotonic() < until:

        @seed(rounds)
        @settings(
            max_examples=500,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        @given(mutated(whole))
        def attempt(example: tuple[str, bytes]) -> None:
            if time.monotonic() > until:
                return
            path = folder / example[0]
            path.write_bytes(example[1])
            signal.alarm(PATIENCE)
            ends[outcome(path)] += 1
            signal.alarm(0)
            path.unlink()

        attempt()
        rounds += 1
        print(f"{rounds} rounds: {dict(ends)}", flush=True)  # noqa: T201
    return ends


def _give_up(_signal: int, _frame: object) -> None:
    raise AssertionError(f"took more than {PATIENCE} s")


def main(arguments: list[str]) -> None:
    """Run with limits on time and memory."""
    minutes = float(arguments[0]) if arguments else 10.0
    folder = Path(arguments[1]) if len(arguments) > 1 else Path(tempfile.mkdtemp(prefix="vfuse-fuzz-"))
    folder.mkdir(exist_ok=True)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, _give_up)
    ends = fuzz(minutes, folder)
    print(f"{sum(ends.values())} examples in {minutes:g} minutes, nothing found: {dict(ends)}")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
