"""PQ and HLG video is converted to BT.709: known light gives known levels, and the user is told once."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from _media import warm_body, write_video
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter
from typer.testing import CliRunner

from vfuse.cli.main import app
from vfuse.io._hdr import to_standard
from vfuse.io.probe import probe
from vfuse.io.reader import read_frames

PQ, HLG = 16, 18  # AVColorTransferCharacteristic


def pq(light: np.ndarray | float) -> np.ndarray:
    """PQ signal of cd/m2, SMPTE ST 2084."""
    power = (np.asarray(light) / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def grey(signal: np.ndarray, **kind: str) -> np.ndarray:
    """What becomes of a grey signal (N,)."""
    pixels = torch.tensor(signal, dtype=torch.float32).reshape(1, 1, -1).repeat(3, 1, 1)
    shown = to_standard(pixels, **kind)[:, 0].numpy()
    assert np.ptp(shown, axis=0).max() < 2e-3  # grey stays grey
    return shown[0]


def test_what_is_not_bright_keeps_its_light():
    light = np.array([0.5, 5, 20, 58, 90])
    shown = grey(pq(light), transfer="pq", primaries="bt2020")
    assert shown == pytest.approx((light / 203) ** (1 / 2.4), abs=1.5e-3)  # a BT.1886 screen of 203 cd/m2


def test_hlg_gives_the_light_that_the_reference_display_gives():
    # BT.2408, table 1: diffuse white lies at 75 % in HLG and 58 % in PQ, 18 % grey at 38 % in both.
    hlg = grey(np.array([0.38, 0.75]), transfer="hlg", primaries="bt2020")
    same = grey(np.array([0.38, 0.581]), transfer="pq", primaries="bt2020")
    assert hlg == pytest.approx(same, abs=0.01)


@pytest.mark.parametrize("transfer", ["pq", "hlg"])
def test_highlights_are_rolled_off_and_not_cut(transfer):
    signal = np.linspace(0, float(pq(1000)) if transfer == "pq" else 1, 500)
    shown = grey(signal, transfer=transfer, primaries="bt2020")
    assert shown[0] == 0
    assert shown[-1] == pytest.approx(1, abs=2e-3)
    assert np.diff(shown).min() > -1e-4
    assert shown[-60] < 0.999
    white = grey(
        np.array([float(pq(203)) if transfer == "pq" else 0.75]), transfer=transfer, primaries="bt2020"
    )
    assert 0.85 < white < 0.95


def test_dark_colours_agree_with_another_implementation():
    """swscale converts the light and the primaries too, but cuts highlights."""
    rng = np.random.default_rng(0)
    light = 40 * (0.55 + 0.45 * rng.random((4, 64, 3)))  # within BT.709 and below the knee
    signal = np.round(pq(light) * 65535).astype(np.uint16)
    frame = av.VideoFrame.from_ndarray(signal, "rgb48le")
    frame.color_trc, frame.color_primaries, frame.color_range = PQ, 9, 2
    theirs = VideoReformatter().reformat(
        frame,
        format="gbrp16le",
        src_colorspace=Colorspace.BT2020,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.JPEG,
        dst_color_trc=ColorTrc.BT709,
        dst_color_primaries=ColorPrimaries.BT709,
        threads=1,
    )
    planes = [np.frombuffer(theirs.planes[k], np.uint16).reshape(4, -1)[:, :64] for k in (2, 0, 1)]
    ours = to_standard(
        torch.tensor(signal / 65535, dtype=torch.float32).permute(2, 0, 1), transfer="pq", primaries="bt2020"
    )
    assert np.abs(ours.numpy() - np.stack(planes) / 65535).max() < 2 / 255


def test_wide_gamut_of_standard_range_keeps_grey_and_gains_colour():
    pixels = torch.tensor([[[0.5, 0.6]], [[0.5, 0.5]], [[0.5, 0.4]]])
    shown = to_standard(pixels, transfer="sdr", primaries="bt2020")
    assert shown[:, 0, 0].tolist() == pytest.approx([0.5] * 3, abs=1e-3)
    assert shown[0, 0, 1] > 0.62
    assert shown[2, 0, 1] < 0.4


def hdr_film(path: Path, signal: float, trc: int, count: int = 4) -> Path:
    """A grey HDR film of 64x48 with all its tags, as phones and cameras write it."""
    picture = np.full((48, 64, 3), round(signal * 65535), np.uint16)
    kind = {"codec": "libx265", "pix_fmt": "yuv420p10le", "colour": (9, 1), "light": (trc, 9)}
    return write_video(path, [picture] * count, **kind)


@pytest.mark.parametrize(("trc", "name", "signal"), [(PQ, "pq", float(pq(58))), (HLG, "hlg", 0.5)])
@pytest.mark.parametrize("suffix", [".mov", ".mkv"])
def test_an_hdr_film_is_fused_as_sdr_and_said_once(tmp_path, trc, name, signal, suffix):
    vis = hdr_film(tmp_path / f"vis{suffix}", signal, trc)
    assert (probe(vis).transfer, probe(vis).primaries) == (name, "bt2020")
    ir = write_video(tmp_path / "ir.mkv", warm_body(4))
    out = tmp_path / "out.mkv"
    command = ["fuse", str(ir), str(vis), "-o", str(out), "--model", "visible", "--codec", "ffv1"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert done.stderr.count(f"the visible video is HDR ({name.upper()})") == 1
    # HLG's 0.5 is 1/12 of the peak in the scene and, with the system's gamma, 50.7 cd/m2 on the display.
    expected = ({"pq": 58.0, "hlg": 50.7}[name] / 203) ** (1 / 2.4)
    with read_frames(probe(out), grey=False) as frames:
        assert next(frames).pixels.mean() == pytest.approx(expected, abs=2 / 255)
