"""The reader delivers every frame once, in order, upright, with the right colours and all bits."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from _media import ramp, write_images, write_video
from torch import Tensor

from vfuse.errors import InputError
from vfuse.io.probe import probe
from vfuse.io.reader import Frame, read_frames

SHARED = Path(__file__).parents[1].parent / "shared" / "data" / "m3svd"
LEVEL = 1 / 255


def read(path, *, grey=False, start=None, end=None) -> list[Frame]:
    with read_frames(probe(path), grey=grey, start=start, end=end) as frames:
        return list(frames)


def stack(path, *, grey=False, start=None, end=None) -> Tensor:
    return torch.stack([frame.pixels for frame in read(path, grey=grey, start=start, end=end)])


def truth(frames, bits=8) -> Tensor:
    """(T, C, H, W) in [0, 1] of the arrays a video was written from."""
    array = np.stack(frames).astype(np.float32) / (2**bits - 1)
    array = array[:, None] if array.ndim == 3 else array.transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(array))


@pytest.mark.parametrize(("width", "height"), [(64, 48), (65, 47), (641, 479), (16, 16), (1, 1)])
def test_grey_is_exact_at_any_size(tmp_path, width, height):
    frames = ramp(4, width, height)
    path = write_video(tmp_path / "g.mkv", frames)
    assert torch.allclose(stack(path, grey=True), truth(frames), atol=1e-6)
    colour = stack(path)
    assert colour.shape[1] == 3
    assert torch.allclose(colour, truth(frames).expand(-1, 3, -1, -1), atol=1e-6)


def test_rgb_is_exact_and_in_order(tmp_path):
    frames = ramp(4, 65, 47, grey=False)
    path = write_video(tmp_path / "c.nut", frames, codec="ffvhuff", pix_fmt="gbrp")
    assert torch.allclose(stack(path), truth(frames), atol=1e-6)


def test_alpha_is_ignored(tmp_path):
    frames = [np.dstack([image, np.full((48, 64), 9, np.uint8)]) for image in ramp(3, grey=False)]
    with av.open(str(tmp_path / "a.nut"), "w") as out:
        stream = out.add_stream("ffvhuff", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "gbrap"
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, "rgba").reformat(format="gbrap")
            frame.pts = index
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    assert torch.allclose(stack(tmp_path / "a.nut"), truth([image[..., :3] for image in frames]), atol=1e-6)


def _write_planes(path: Path, planes, pix_fmt: str, size, colour=(0, 0)) -> Path:
    """One lossless frame whose every stored sample is known; a number fills its plane."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.codec_context.colorspace, stream.codec_context.color_range = colour
        frame = av.VideoFrame(*size, pix_fmt)
        dtype = np.uint16 if frame.format.components[0].bits > 8 else np.uint8
        for plane, samples in zip(frame.planes, planes, strict=True):
            rows = np.zeros((plane.height, plane.line_size // np.dtype(dtype).itemsize), dtype)
            rows[:, : plane.width] = samples
            plane.update(rows.tobytes())
        frame.pts, frame.colorspace, frame.color_range = 0, *colour
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_deep_grey_keeps_every_bit(tmp_path, bits):
    image = (np.arange(64 * 64) * 17 % 2**bits).astype(np.uint16).reshape(64, 64)
    path = _write_planes(tmp_path / "g.mkv", [image], f"gray{bits}le", (64, 64))
    assert probe(path).bit_depth == bits
    assert (stack(path, grey=True) - truth([image], bits)).abs().max() < 0.5 / (2**bits - 1)


@pytest.mark.parametrize(
    ("pix_fmt", "bits", "span"),
    [("yuv420p10le", 10, 1), ("yuv422p10le", 10, 2), ("yuv444p12le", 12, 1), ("yuv444p12le", 12, 2)],
)
def test_deep_colour_keeps_its_steps_and_its_scale(tmp_path, pix_fmt, bits, span):
    scale = 2 ** (bits - 8)
    low, high = (16 * scale, 235 * scale) if span == 1 else (0, 2**bits - 1)
    luma = np.linspace(low, high, 640).round()
    path = _write_planes(tmp_path / "r.mkv", [luma, 128 * scale, 128 * scale], pix_fmt, (640, 16), (1, span))
    row = stack(path)[0, :, 8]
    assert len(row[1].unique()) == 640  # 8 bits would leave 220 or 256 steps
    assert (row - torch.tensor((luma - low) / (high - low))).abs().max() < 0.1 * LEVEL


@pytest.mark.parametrize(("pix_fmt", "bits"), [("gbrp10le", 10), ("gbrp16le", 16)])
def test_deep_rgb_keeps_every_bit(tmp_path, pix_fmt, bits):
    rgb = np.linspace(0, 1, 3 * 64 * 48).reshape(3, 48, 64)
    red, green, blue = (rgb * (2**bits - 1)).round()
    path = _write_planes(tmp_path / "r.mkv", [green, blue, red], pix_fmt, (64, 48))
    expected = torch.tensor(np.stack([red, green, blue])) / (2**bits - 1)
    assert (stack(path)[0] - expected).abs().max() < 0.6 / (2**bits - 1)


COEFFICIENTS = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}  # Kr, Kb: H.273, table 4


@pytest.mark.parametrize("matrix", COEFFICIENTS)
@pytest.mark.parametrize("span", [1, 2])
@pytest.mark.parametrize(("pix_fmt", "bits"), [("yuv420p", 8), ("yuv444p", 8), ("yuv420p10le", 10)])
@pytest.mark.parametrize("size", [(48, 32), (49, 33)])
def test_matrix_and_range_are_undone_exactly(tmp_path, matrix, span, pix_fmt, bits, size):
    scale = 2 ** (bits - 8)
    y, u, v = 120 * scale, 100 * scale, 150 * scale
    path = _write_planes(tmp_path / "c.mkv", (y, u, v), pix_fmt, size, (matrix, span))
    kr, kb = COEFFICIENTS[matrix]
    top = 2**bits - 1
    luma = (y - 16 * scale) / (219 * scale) if span == 1 else y / top
    cb, cr = ((c - 128 * scale) / (224 * scale if span == 1 else top) for c in (u, v))
    red, blue = luma + 2 * (1 - kr) * cr, luma + 2 * (1 - kb) * cb
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    expected = torch.tensor([red, green, blue])[:, None, None]
    assert (stack(path)[0] - expected).abs().max() < 0.75 * LEVEL
    assert (stack(path, grey=True)[0] - luma).abs().max() < 0.1 * LEVEL


TURNS = [(0, False), (90, False), (180, False), (270, False), (0, True), (90, True), (180, True), (270, True)]


@pytest.mark.parametrize(("degrees", "hflip"), TURNS)
def test_rotation_and_mirroring_are_applied_once(tmp_path, degrees, hflip):
    frames = ramp(2, 64, 48)
    path = write_video(tmp_path / "r.mov", frames, codec="png", pix_fmt="gray", rotate=degrees, hflip=hflip)
    stored = truth(frames)
    shown = _as_ffmpeg_shows(path)
    assert torch.allclose(stack(path, grey=True), shown, atol=1e-6)
    if not hflip:
        assert torch.allclose(shown, torch.rot90(stored, degrees // 90, (2, 3)), atol=1e-6)


def _as_ffmpeg_shows(path: Path) -> Tensor:
    """The frames as the bundled ffmpeg turns them: the reference for what players display."""
    import imageio_ffmpeg

    info = probe(path)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path)]
    raw = subprocess.run(
        [*command, "-f", "rawvideo", "-pix_fmt", "gray", "-"], capture_output=True, check=True
    )
    pixels = np.frombuffer(raw.stdout, np.uint8).reshape(-1, 1, info.height, info.width)
    return torch.from_numpy(pixels.astype(np.float32) / 255)


@pytest.mark.parametrize(("bits", "grey"), [(8, True), (16, True), (8, False), (16, False)])
def test_images_are_exact(tmp_path, bits, grey):
    frames = ramp(3, 65, 47, bits=bits, grey=grey)
    folder = write_images(tmp_path / "i", frames, "{}.tif")
    wanted = truth(frames, bits)
    assert torch.allclose(stack(folder), wanted.expand(-1, 3, -1, -1), atol=1e-6)
    weights = torch.tensor([0.299, 0.587, 0.114])[None, :, None, None]
    luma = wanted if grey else (wanted * weights).sum(1, keepdim=True)
    assert torch.allclose(stack(folder, grey=True), luma, atol=1e-5)
    assert [frame.time for frame in read(folder)] == pytest.approx([0, 0.04, 0.08])


def test_images_of_mixed_sizes_are_named(tmp_path):
    folder = write_images(tmp_path / "i", [*ramp(2), *ramp(1, 32, 24)])
    with pytest.raises(InputError, match=r"frame 2: 0002.png is 32x24, but the first frame is 64x48"):
        read(folder)


def test_size_change_in_a_video_is_named(tmp_path):
    parts = (ramp(4, width, 48, grey=False) for width in (64, 96))
    joined = tmp_path / "joined.mjpeg"
    with joined.open("wb") as out:
        for index, part in enumerate(parts):
            one = write_video(tmp_path / f"{index}.mjpeg", part, codec="mjpeg", pix_fmt="yuvj420p")
            out.write(one.read_bytes())
    with pytest.raises(InputError, match="size changes at frame 4: it is 96x48 there"):
        read(joined)


CUTS = [(None, None), (0.0, 0.2), (3.0, 3.4), (7.96, None), (5.5, 99.0), (2.0, 2.0)]
OPEN_GOPS = {
    "libx264": {"x264-params": "open-gop=1:bframes=3:keyint=25"},
    "libx265": {"x265-params": "open-gop=1:bframes=3:keyint=25:log-level=none"},
    "mpeg4": {"g": "25", "bf": "2"},
    "ffv1": {"g": "25"},
}


@pytest.mark.parametrize("codec", OPEN_GOPS)
@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts"])
def test_a_cut_equals_the_same_part_of_the_whole(tmp_path, codec, suffix):
    if codec == "ffv1" and suffix == "ts":
        suffix = "avi"
    path = write_video(
        tmp_path / f"v.{suffix}",
        ramp(200, 32, 32, grey=False),
        codec=codec,
        pix_fmt="yuv420p",
        options=OPEN_GOPS[codec],
    )
    whole = read(path)
    assert len(whole) == 200
    for start, end in CUTS:
        wanted = [f for f in whole if f.time >= (start or 0) - 1e-6 and (end is None or f.time < end - 1e-6)]
        part = read(path, start=start, end=end)
        assert [f.time for f in part] == [f.time for f in wanted]
        assert all(torch.equal(a.pixels, b.pixels) for a, b in zip(part, wanted, strict=True))


def test_times_of_variable_rate_video_are_exact(tmp_path):
    stamps = np.cumsum([0, *np.random.default_rng(1).integers(5, 90, 149)]).tolist()
    path = write_video(
        tmp_path / "v.mkv", ramp(150, 32, 32), pts=stamps, time_base=Fraction(1, 1000), options={"g": "5"}
    )
    assert [frame.time for frame in read(path)] == pytest.approx([t / 1000 for t in stamps], abs=1e-6)
    later = read(path, start=stamps[120] / 1000)
    assert later[0].time == pytest.approx(stamps[120] / 1000)
    assert torch.equal(later[0].pixels, read(path)[120].pixels)


def test_one_frame(tmp_path):
    path = write_video(tmp_path / "one.mp4", ramp(1, grey=False), codec="libx264", pix_fmt="yuv420p")
    assert stack(path).shape == (1, 3, 48, 64)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "mjpeg"])
def test_damage_in_the_middle_names_a_frame(tmp_path, codec):
    rng = np.random.default_rng(3)
    frames = [rng.integers(0, 255, (96, 128, 3), np.uint8) for _ in range(20)]
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = write_video(tmp_path / "d.mkv", frames, codec=codec, pix_fmt=pix_fmt)
    with av.open(str(path)) as container:
        packet = [p for p in container.demux(video=0) if p.size][10]
        at = path.read_bytes().index(bytes(packet)[:64]) + packet.size // 3
    damaged = bytearray(path.read_bytes())
    damaged[at : at + 200] = bytes(200)
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"frame \d+ is damaged"):
        read(path)


def test_a_frame_that_never_comes_out_is_counted(tmp_path):
    path = write_video(tmp_path / "v.ts", ramp(30, grey=False), codec="libx264", pix_fmt="yuv420p")
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * 0.6)])
    promised = probe(path).num_frames
    # Which of the two is found depends on how many threads decode.
    missing = f"{promised - 1} frames could be decoded, but the file holds {promised}"
    with pytest.raises(InputError, match=f"{missing}|frame {promised - 1} is damaged"):
        read(path)


@pytest.mark.parametrize("bits", [8, 10])
def test_levels_are_the_nearest_of_256(tmp_path, bits):
    pix_fmt = "yuv444p" if bits == 8 else "yuv444p10le"
    path = write_video(tmp_path / "v.mkv", ramp(2, bits=8 if bits == 8 else 16, grey=False), pix_fmt=pix_fmt)
    with read_frames(probe(path), grey=False, levels=True) as frames:
        found = torch.stack([frame.pixels for frame in frames])
    assert found.dtype == torch.uint8
    assert (found.float() - 255 * stack(path)).abs().max() <= 1.0


def test_closing_early_frees_the_file(tmp_path):
    path = write_video(tmp_path / "v.mkv", ramp(30))
    with read_frames(probe(path), grey=True) as frames:
        next(frames)
    assert not [link for link in Path("/proc/self/fd").glob("*") if _target(link) == str(path)]


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


@pytest.mark.skipif(not SHARED.is_dir(), reason="the development data is not here")
def test_real_compressed_frames_are_the_lossless_ones():
    lossless = stack(SHARED / "lossless" / "test" / "0111_1716" / "visible_Enhance.mkv")
    packed = stack(SHARED / "video" / "test" / "visible" / "0111_1716.mp4", end=20 / 30 - 0.01)
    count = min(len(lossless), len(packed))
    error = [(lossless[k] - packed[k]).abs().mean() * 255 for k in range(count)]
    assert max(error) < 4
    shifted = [(lossless[k + 1] - packed[k]).abs().mean() * 255 for k in range(count - 1)]
    assert np.mean(error) < np.mean(shifted)
