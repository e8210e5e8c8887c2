"""The probe tells the truth about real files: count, times, colour, rotation."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from _media import ramp, write_images, write_video
from hypothesis import given
from hypothesis import strategies as st

from vfuse.io._timing import timing
from vfuse.io.images import image_files, missing_numbers
from vfuse.io.probe import is_same_file, probe

SHARED = Path(__file__).parents[1].parent / "shared" / "data" / "m3svd"
FORMATS = {
    "h264.mp4": ("libx264", "yuv420p"),
    "hevc10.mp4": ("libx265", "yuv420p10le"),
    "ffv1.mkv": ("ffv1", "yuv444p"),
    "mpeg4.avi": ("mpeg4", "yuv420p"),
    "mjpeg.avi": ("mjpeg", "yuvj420p"),
    "vp8.webm": ("libvpx", "yuv420p"),
    "h264.ts": ("libx264", "yuv420p"),
    "raw.h264": ("libx264", "yuv420p"),
    "ffvhuff.nut": ("ffvhuff", "gbrp"),
    "anim.gif": ("gif", "rgb8"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_container_gives_exact_facts(tmp_path, name):
    codec, pix_fmt = FORMATS[name]
    bits = 10 if "10" in pix_fmt else 8
    options = {"bf": "2"} if codec == "mpeg4" else {}
    path = write_video(tmp_path / name, ramp(13, grey=False), codec=codec, pix_fmt=pix_fmt, options=options)
    info = probe(path)
    assert (info.kind, info.width, info.height) == ("video", 64, 48)
    assert (info.num_frames, info.counted, info.fps, info.vfr) == (13, True, Fraction(25), False)
    assert info.duration == pytest.approx(13 / 25)
    assert info.times == pytest.approx([k / 25 for k in range(13)], abs=1e-9)
    assert (info.bit_depth, info.channels, info.rotation) == (bits, 3, 0)
    assert not info.has_audio


def test_ntsc_rate_survives_millisecond_timestamps(tmp_path):
    rate = Fraction(30000, 1001)
    info = probe(write_video(tmp_path / "ntsc.mkv", ramp(40), rate=rate))
    assert (info.fps, info.vfr) == (rate, False)


@pytest.mark.parametrize(("suffix", "codec"), [("mkv", "ffv1"), ("mp4", "libx264")])
def test_variable_rate_is_seen_and_its_times_are_exact(tmp_path, suffix, codec):
    steps = [0, *np.cumsum([1 + k % 3 for k in range(19)]).tolist()]
    path = write_video(
        tmp_path / f"vfr.{suffix}",
        ramp(20, grey=False),
        codec=codec,
        pix_fmt="yuv420p",
        pts=[40 * step for step in steps],
        time_base=Fraction(1, 1000),
    )
    info = probe(path)
    assert info.vfr
    assert info.times == pytest.approx([0.04 * step for step in steps], abs=1e-6)
    assert float(info.fps) == pytest.approx(19 / (0.04 * steps[-1]), rel=1e-3)


def test_audio_is_seen(tmp_path):
    path = write_video(
        tmp_path / "a.mp4", ramp(5, grey=False), codec="libx264", pix_fmt="yuv420p", audio_seconds=0.2
    )
    assert probe(path).has_audio


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotation_swaps_the_displayed_size(tmp_path, degrees):
    path = write_video(
        tmp_path / "r.mp4", ramp(3, grey=False), codec="libx264", pix_fmt="yuv420p", rotate=degrees
    )
    info = probe(path)
    assert info.rotation == degrees
    assert (info.width, info.height) == ((48, 64) if degrees % 180 else (64, 48))


@pytest.mark.parametrize(
    ("height", "colour", "expected"),
    [
        (48, None, ("bt601", "tv")),
        (720, None, ("bt709", "tv")),
        (48, (1, 1), ("bt709", "tv")),
        (48, (1, 2), ("bt709", "pc")),
        (720, (6, 1), ("bt601", "tv")),
        (48, (9, 1), ("bt2020", "tv")),
    ],
)
def test_colour_tags_and_the_rule_for_untagged_video(tmp_path, height, colour, expected):
    frames = ramp(1, 64, height, grey=False)
    path = write_video(tmp_path / "c.mp4", frames, codec="libx264", pix_fmt="yuv420p", colour=colour)
    info = probe(path)
    assert (info.colour_matrix, info.colour_range) == expected


@pytest.mark.parametrize(
    ("pix_fmt", "bits", "expected"),
    [
        ("gray", 8, ("grey", "pc", 8, 1)),
        ("gray16le", 16, ("grey", "pc", 16, 1)),
        ("gbrp", 8, ("rgb", "pc", 8, 3)),
    ],
)
def test_grey_and_rgb_are_full_range(tmp_path, pix_fmt, bits, expected):
    frames = ramp(2, bits=bits, grey=pix_fmt.startswith("gray"))
    codec = "ffvhuff" if bits == 8 else "ffv1"
    info = probe(write_video(tmp_path / "g.nut", frames, codec=codec, pix_fmt=pix_fmt))
    assert (info.colour_matrix, info.colour_range, info.bit_depth, info.channels) == expected


def test_images_in_natural_order_from_folder_glob_pattern_and_single_file(tmp_path):
    frames = ramp(12, bits=16)
    folder = write_images(tmp_path / "shots", frames, "f{}.png")
    (folder / "notes.txt").write_text("not an image")
    (folder / "._f0.png").write_bytes(b"\0\5\26\7")
    for source in (folder, folder / "*.png", folder / "f%d.png", f"{folder}/f[0-9]*.png"):
        info = probe(source)
        assert [path.name for path in info.files] == [f"f{k}.png" for k in range(12)], source
        assert (info.kind, info.num_frames, info.bit_depth, info.pix_fmt) == ("images", 12, 16, "gray16le")
    assert probe(folder / "f3.png").num_frames == 1


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "bmp"])
def test_image_formats(tmp_path, suffix):
    info = probe(write_images(tmp_path / "i", ramp(2, grey=False), "{:02d}." + suffix))
    assert (info.width, info.height, info.channels, info.codec) == (64, 48, 3, suffix)


def test_gaps_in_image_numbers_are_named():
    assert missing_numbers(tuple(Path(f"a{k:03d}.png") for k in (0, 1, 2, 4, 5))) == ["2 to 4"]
    assert missing_numbers(tuple(Path(f"a{k}.png") for k in (0, 5, 10))) == []
    assert missing_numbers((Path("left.png"), Path("right.png"))) == []


def test_frames_cut_away_by_an_edit_list_do_not_count(tmp_path):
    source = write_video(
        tmp_path / "s.mp4", ramp(30, grey=False), codec="libx264", pix_fmt="yuv420p", options={"g": "10"}
    )
    path = tmp_path / "cut.mp4"
    with av.open(str(source)) as whole, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(whole.streams.video[0]):
            if packet.size:
                shift = 4 * 512  # the edit list hides what is shown before time 0
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = stream
                out.mux(packet)
    info = probe(path)
    with av.open(str(path)) as check:
        assert info.num_frames == sum(1 for _ in check.decode(video=0))
    assert info.num_frames == 26


def test_same_file_through_links(tmp_path):
    path = write_video(tmp_path / "v.mkv", ramp(1))
    (tmp_path / "link.mkv").symlink_to(path)
    assert is_same_file(path, tmp_path / "link.mkv")
    assert not is_same_file(path, tmp_path / "other.mkv")
    assert not is_same_file("-", "-")


@given(
    gaps=st.lists(st.integers(1, 400), min_size=1, max_size=40),
    start=st.integers(-1000, 10**9),
    order=st.randoms(use_true_random=False),
)
def test_times_follow_any_rising_timestamps_in_any_coding_order(gaps, start, order):
    stamps = (start + np.cumsum([0, *gaps])).tolist()
    groups = (stamps[k : k + 4] for k in range(0, len(stamps), 4))
    coded = [stamp for group in groups for stamp in order.sample(group, len(group))]
    found = timing(coded, time_base=Fraction(1, 1000), rates=[Fraction(25)])
    assert found.times == pytest.approx([(stamp - start) / 1000 for stamp in stamps], abs=0.0011)
    assert found.origin == pytest.approx(start / 1000)
    assert all(later > earlier for earlier, later in zip(found.times, found.times[1:], strict=False))


@pytest.mark.parametrize("stamps", [[0, 40, None, 120], [0, 40, 40, 120], [*range(100), *range(-50, 0)]])
def test_unusable_timestamps_give_even_times(stamps):
    found = timing(stamps, time_base=Fraction(1, 1000), rates=[None, Fraction(50)])
    assert found.origin is None
    assert found.times == pytest.approx([k / 50 for k in range(len(stamps))])


def test_image_files_of_a_video_name_is_empty(tmp_path):
    assert image_files(str(write_video(tmp_path / "v.mkv", ramp(1)))) == ()


@pytest.mark.skipif(not SHARED.is_dir(), reason="the development data is not here")
def test_real_videos():
    info = probe(SHARED / "video" / "test" / "visible" / "0117_1620.mp4")
    assert (info.num_frames, info.fps, info.width, info.height) == (590, Fraction(30), 640, 480)
    assert not info.vfr
    lossless = probe(SHARED / "lossless" / "test" / "0111_1716" / "infrared_Enhance.mkv")
    assert (lossless.num_frames, lossless.channels) == (20, 1)
