"""The command line when something is wrong: one line, the right exit code, no traceback, no stray file."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from _media import ramp, warm_body, write_images, write_video
from typer.testing import CliRunner

from vfuse.cli.main import app
from vfuse.io.probe import probe

runner = CliRunner()


@pytest.fixture
def folder(tmp_path):
    """A working folder with a usable pair, `ir.mkv` and `vis.mkv`."""
    write_video(tmp_path / "ir.mkv", warm_body(6))
    write_video(tmp_path / "vis.mkv", ramp(6, grey=False), pix_fmt="bgr0")
    return tmp_path


def refused(folder, arguments, code, *texts):
    """Run `vfuse fuse` and check the manner of its refusal; `folder` must be left as it was."""
    before = snapshot(folder)
    done = runner.invoke(app, ["fuse", *map(str, arguments)])
    assert done.exit_code == code, (done.stdout, done.stderr, done.exception)
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("vfuse: ")
    assert "Traceback" not in done.stderr
    for text in texts:
        assert text in lines[0]
    assert snapshot(folder) == before
    return lines[0]


def snapshot(folder):
    return {path: path.stat().st_size for path in folder.rglob("*") if not path.is_dir()}


def plan(folder, ir="ir.mkv", vis="vis.mkv", out="out.mp4", model="average"):
    return [folder / ir if isinstance(ir, str) else ir, folder / vis, "-o", folder / out, "--model", model]


def test_a_missing_file(folder):
    refused(folder, plan(folder, ir="nothing.mp4"), 3, "nothing.mp4")


@pytest.mark.parametrize("typed", ["IR.MKV", "ir.mvk", "r.mkv"])
def test_a_missing_file_with_a_name_much_the_same(folder, typed):
    refused(folder, plan(folder, ir=typed), 3, typed, f"Did you mean '{folder / 'ir.mkv'}'?")


def test_a_missing_folder(folder):
    refused(folder, plan(folder, ir="rig/ir.mkv"), 3, "There is no folder", "rig either")


def test_a_directory_that_holds_no_images(folder):
    (folder / "empty").mkdir()
    refused(folder, plan(folder, ir="empty"), 3, "empty")


def test_an_empty_file(folder):
    (folder / "empty.mp4").touch()
    refused(folder, plan(folder, ir="empty.mp4"), 3, "empty.mp4")


def test_text_with_a_video_name(folder):
    (folder / "text.mp4").write_text("this is no video\n" * 100)
    refused(folder, plan(folder, vis="text.mp4"), 3, "text.mp4")


def test_a_truncated_mp4(folder):
    whole = write_video(folder / "whole.mp4", ramp(6), codec="libx264", pix_fmt="yuv420p")
    (folder / "cut.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    refused(folder, plan(folder, ir="cut.mp4"), 3, "cut.mp4")


def test_a_file_cut_off_in_the_middle_of_its_frames(folder):
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (48, 64), np.uint8) for _ in range(12)]
    write_video(folder / "vis.mkv", [np.stack([f] * 3, 2) for f in noise], pix_fmt="bgr0")
    whole = write_video(folder / "whole.mkv", noise)
    (folder / "cut.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size * 3 // 4])
    before = snapshot(folder)
    done = runner.invoke(app, ["fuse", *map(str, plan(folder, ir="cut.mkv"))])
    assert done.exit_code in (3, 4)  # seen as damage, or as a length that differs
    assert "cut.mkv" in done.stderr
    assert snapshot(folder) == before


def test_a_file_with_sound_only(folder):
    import av

    with av.open(str(folder / "sound.mp4"), "w") as out:
        stream = out.add_stream("aac", rate=48000, layout="mono")
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), "fltp", "mono")
        tone.sample_rate, tone.pts = 48000, 0
        out.mux(stream.encode(tone))
        out.mux(stream.encode())
    refused(folder, plan(folder, vis="sound.mp4"), 3, "sound.mp4")


def test_a_video_without_frames(folder):
    import av

    with av.open(str(folder / "none.mkv"), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "gray"
        out.start_encoding()
    refused(folder, plan(folder, ir="none.mkv"), 3, "none.mkv")


def test_different_sizes_are_named(folder):
    write_video(folder / "small.mkv", ramp(6, 32, 24))
    refused(folder, plan(folder, ir="small.mkv"), 4, "32x24", "64x48")


def test_different_lengths_are_named(folder):
    write_video(folder / "long.mkv", ramp(9))
    refused(folder, plan(folder, ir="long.mkv"), 4, "9 frames", "6")


def test_different_rates_are_named(folder):
    write_video(folder / "fast.mkv", ramp(6), rate=50)
    refused(folder, plan(folder, ir="fast.mkv"), 4, "50 fps", "25 fps")


def test_images_of_different_number(folder):
    write_images(folder / "images", ramp(4))
    refused(folder, plan(folder, ir="images"), 4, "4", "6")


def test_an_output_that_exists(folder):
    (folder / "out.mp4").write_text("precious")
    refused(folder, plan(folder), 7, "out.mp4", "-y")


@pytest.mark.parametrize("extra", [[], ["-y"]])
def test_an_output_that_is_an_input(folder, extra):
    refused(folder, [*plan(folder, out="vis.mkv"), *extra], 7, "vis.mkv", "input")


def test_an_output_that_is_an_input_by_another_name(folder):
    (folder / "link.mkv").symlink_to(folder / "vis.mkv")
    refused(folder, [*plan(folder, out="link.mkv"), "-y"], 7, "input")


def test_an_output_folder_that_is_missing(folder):
    refused(folder, plan(folder, out="nowhere/out.mp4"), 7, "nowhere")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_folder_that_is_not_writable(folder):
    locked = folder / "locked"
    locked.mkdir(mode=0o500)
    refused(folder, plan(folder, out="locked/out.mp4"), 7, "not writable")


def test_an_output_of_unknown_kind(folder):
    refused(folder, plan(folder, out="out.xyz"), 2, ".xyz", "Known")


def test_a_report_that_cannot_be_written(folder):
    refused(folder, [*plan(folder), "--report", folder / "nowhere" / "r.json"], 7, "r.json")
    (folder / "r.json").write_text("old")
    refused(folder, [*plan(folder), "--report", folder / "r.json"], 7, "-y")


@pytest.mark.parametrize(
    ("options", "code", "texts"),
    [
        (["--model", "averag"], 2, ["unknown model", "'average'"]),
        (["--device", "cudda"], 2, ["unknown device", "'cuda'"]),
        (["--precision", "bf16"], 2, ["unknown precision", "'bfloat16'"]),
        (["--codec", "libx246"], 2, ["unknown codec", "libx264"]),
        (["--pix-fmt", "yuv42p"], 2, ["pixel format", "yuv420p"]),
        (["--encoder-opt", "preset"], 2, ["key=value"]),
        (["--encoder-opt", "preset=warpspeed"], 2, ["preset"]),
        (["--crf", "99"], 2, ["99"]),
        (["--fps", "fast"], 2, ["--fps"]),
        (["--fps", "1/0"], 2, ["--fps"]),
        (["--window", "0"], 2, ["window"]),
        (["--window", "4", "--overlap", "4"], 2, ["overlap"]),
        (["--tile", "8"], 2, ["tile"]),
        (["--frames", "0"], 2, ["--frames"]),
        (["--frames", "some"], 2, ["--frames"]),
        (["--compat", "unofficial"], 2, ["--compat"]),
        (["--start", "9"], 4, ["no frame"]),
        (["--start", "1m"], 2, ["'1m' is not a time", "1:15.5"]),
        (["--start", "1:00:02.5"], 4, ["3602.5 s"]),
        (["--palette", "black-hot"], 2, ["--polarity black-hot"]),
        (["--palette", "irnbow"], 2, ["Did you mean 'ironbow'"]),
        (["--start", "0.2", "--end", "0.1"], 2, ["end"]),
        (["--nonsense"], 2, ["--nonsense"]),
        (["--restored-ir", "clean.mp4"], 2, ["does not restore"]),
        (["--weights", "w.safetensors"], 2, ["no parameters"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_options_that_make_no_sense(folder, options, code, texts):
    refused(folder, [*plan(folder), *options], code, *texts)


def test_a_device_that_is_absent(folder, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    refused(folder, [*plan(folder), "--device", "cuda"], 6, "CUDA")


def test_a_name_with_a_leading_dash(folder, monkeypatch):
    """Read as an option it is refused with the way out, which then works."""
    monkeypatch.chdir(folder)
    (folder / "ir.mkv").rename(folder / "-ir.mkv")
    rest = ["vis.mkv", "-o", "out.mp4", "--model", "average"]
    refused(folder, ["-ir.mkv", *rest], 2, "./-ir.mkv", "--")
    assert "./" not in refused(folder, ["vis.mkv", *rest, "--nonsense"], 2, "--nonsense")
    assert runner.invoke(app, ["fuse", "./-ir.mkv", *rest]).exit_code == 0
    assert runner.invoke(app, ["fuse", *rest[1:], "-y", "--", "-ir.mkv", "vis.mkv"]).exit_code == 0


def test_missing_arguments(folder):
    refused(folder, [], 2, "IR")
    refused(folder, [folder / "ir.mkv", folder / "vis.mkv"], 2, "--output", "fuse --help")


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_weights_that_are_none(folder, content):
    (folder / "w.safetensors").write_bytes(content)
    refused(
        folder,
        [*plan(folder, model="videofusion"), "--weights", folder / "w.safetensors"],
        5,
        "w.safetensors",
    )


def test_weights_of_another_network(folder):
    import torch
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(2)}, folder / "w.safetensors")
    line = refused(
        folder, [*plan(folder, model="videofusion"), "--weights", folder / "w.safetensors"], 5, "missing"
    )
    assert "unexpected a" in line


@pytest.mark.parametrize(
    "smuggled", ["concat:{0}|{0}", "http://127.0.0.1:9/v.mp4", "file:{0}", "pipe:0", "data:,x"]
)
def test_a_url_is_not_followed(folder, smuggled):
    refused(folder, plan(folder, ir=smuggled.format(folder / "ir.mkv"))[:1] + plan(folder)[1:], 3)


@pytest.mark.parametrize(
    "playlist",
    [
        "ffconcat version 1.0\nfile ir.mkv\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nir.mkv\n#EXT-X-ENDLIST\n",
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".m3u8", ".ffconcat"])
def test_a_playlist_is_not_followed(folder, playlist, suffix):
    (folder / f"list{suffix}").write_text(playlist)
    refused(folder, plan(folder, ir=f"list{suffix}"), 3)


def test_two_standard_inputs(folder):
    refused(folder, ["-", "-", "-o", folder / "out.mp4", "--model", "average"], 2)


def test_a_bug_is_one_line_that_says_how_to_report_it(folder, monkeypatch):
    import vfuse.pipeline

    def broken(*_, **__):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(vfuse.pipeline, "fuse_video", broken)
    refused(folder, plan(folder), 1, "bug", "ZeroDivisionError: oops", "VFUSE_DEBUG=1")
    verbose = runner.invoke(app, ["fuse", *map(str, plan(folder)), "-v"])
    assert verbose.exit_code == 1
    assert "Traceback" in verbose.stderr


@pytest.mark.parametrize(("error", "code"), [(MemoryError(), 6), (KeyboardInterrupt(), 130)])
def test_other_ends(folder, monkeypatch, error, code):
    import vfuse.pipeline

    def broken(*_, **__):
        raise error

    monkeypatch.setattr(vfuse.pipeline, "fuse_video", broken)
    refused(folder, plan(folder), code)


# ------------------------------------------------------------------------------------------ real processes


def start(folder, *extra, frames=400, **how):
    """`vfuse fuse` of a pair long enough to be caught in the middle, as a process of its own."""
    frame = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    write_video(folder / "a.mkv", [frame[..., 0]] * frames)
    write_video(folder / "b.mkv", [frame] * frames, pix_fmt="bgr0")
    command = [sys.executable, "-m", "vfuse", "fuse", "a.mkv", "b.mkv", "-o", "out.mp4", "--model", "average"]
    return subprocess.Popen(
        [*command, "--polarity", "white-hot", *extra],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **how,
    )


def wait_for_output(folder, process):
    """Until the temporary output has some bytes."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if any(path.stat().st_size > 0 for path in folder.glob(".out.mp4.*")):
            return
        time.sleep(0.005)
    pytest.fail(f"no output was begun: {process.communicate()}")


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_cleans_up(folder, number, code):
    # A shell that starts the tests in the background makes them, and what they start, deaf to Ctrl-C.
    process = start(folder, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    wait_for_output(folder, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert out == ""
    assert "Traceback" not in err
    assert sorted(path.name for path in folder.iterdir()) == ["a.mkv", "b.mkv", "ir.mkv", "vis.mkv"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_kill_leaves_the_target_absent_and_a_second_run_succeeds(folder):
    process = start(folder)
    wait_for_output(folder, process)
    process.kill()
    process.communicate(timeout=60)
    assert not (folder / "out.mp4").exists()
    again = start(folder, "-q", frames=30)
    assert again.wait(timeout=120) == 0
    assert probe(folder / "out.mp4").num_frames == 30
    stray = {path.name for path in folder.iterdir()} - {"a.mkv", "b.mkv", "ir.mkv", "vis.mkv", "out.mp4"}
    assert not stray


@pytest.mark.skipif(os.name == "nt", reason="needs RLIMIT_FSIZE")
def test_a_full_disk(folder):
    import resource

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    process = start(folder, "-q", preexec_fn=small_files)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 7, err
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("vfuse: out.mp4: ")
    assert sorted(path.name for path in folder.iterdir()) == ["a.mkv", "b.mkv", "ir.mkv", "vis.mkv"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_a_reader_that_leaves_is_no_error(folder):
    command = f"{sys.executable} -m vfuse fuse ir.mkv vis.mkv -o out.mp4 --model average --json | true"
    run = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], cwd=folder, capture_output=True, text=True
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_an_error_is_on_stderr_even_with_json(folder):
    done = runner.invoke(app, ["fuse", *map(str, plan(folder, ir="nothing.mkv")), "--json"])
    assert done.stdout == ""
    with pytest.raises(json.JSONDecodeError):
        json.loads(done.stderr)
