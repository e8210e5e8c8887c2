"""TemCoCo over whole videos: every frame once, the published joining, windows that memory allows."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from _media import write_video
from numpy.typing import NDArray
from torch import nn

from vfuse.io.writer import WriteOptions
from vfuse.models import MODELS
from vfuse.models._run import LoadedModel
from vfuse.models.temcoco import Config, TemCoCo
from vfuse.pipeline import FuseOptions, fuse_video

BITS = 16  # of a frame number, shown as a 4 x 4 grid of dark and bright squares
LOSSLESS = WriteOptions(codec="ffv1")
TINY = Config(
    channels=(8, 16, 32), semantic=16, visual=24, temporal_heads=1, group_width=4, residual=True
)  # residual: starts near the mean of its inputs, so that a fused frame still shows its number


def numbered(count: int) -> list[NDArray[np.uint8]]:
    """Grey 16x16 frames that show their number, brighter on the right."""
    bits = (np.arange(count)[:, None] >> np.arange(BITS)) & 1
    grid = (60 + 120 * bits).reshape(count, 4, 4).repeat(4, 1).repeat(4, 2) + np.arange(16)
    return list(grid.astype(np.uint8))


def shown(frames: NDArray[np.uint8]) -> list[int]:
    """The numbers that fused frames (T, 16, 16, 3) show."""
    squares = frames.mean(-1).reshape(-1, 4, 4, 4, 4).mean((2, 4)).reshape(-1, BITS)
    return ((squares > 130) @ (1 << np.arange(BITS))).tolist()


def tiny() -> nn.Module:
    torch.manual_seed(0)
    return TemCoCo(TINY).eval()


def loaded(network: nn.Module) -> LoadedModel:
    return LoadedModel(MODELS["temcoco"], network, torch.device("cpu"))


def fuse(folder: Path, count: int, network: nn.Module, options: FuseOptions) -> NDArray[np.uint8]:
    """Frames (T, 16, 16, 3) of a video made from a numbered pair."""
    frames = numbered(count)
    ir = write_video(folder / "ir.mkv", frames)
    vis = write_video(folder / "vis.mkv", [f[..., None].repeat(3, -1) for f in frames], pix_fmt="bgr0")
    report = fuse_video(ir, vis, folder / "out.mkv", model=loaded(network), options=options)
    assert report.frames == {"read": count, "fused": count, "written": count}
    with av.open(str(folder / "out.mkv")) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


@pytest.mark.parametrize(
    "count",
    [1, 5, 29, 30, 31, 54, 55, 56, *(pytest.param(n, marks=pytest.mark.slow) for n in (200, 590))],
)
@pytest.mark.parametrize("compat", [None, "official"])
def test_every_frame_comes_once_in_its_place(tmp_path: Path, count: int, compat: None) -> None:
    """Counted by the network's own output; the published script loses up to 5 frames of most lengths."""
    fused = fuse(tmp_path, count, tiny(), FuseOptions(compat=compat, write=LOSSLESS))
    assert shown(fused) == list(range(count))


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 5, 29, 30, 31, 54, 55, 56, 200, 590])
def test_the_published_network_returns_every_frame(tmp_path: Path, count: int) -> None:
    torch.manual_seed(0)
    network = MODELS["temcoco"].build().eval()
    fused = fuse(tmp_path, count, network, FuseOptions(write=LOSSLESS))
    first = torch.from_numpy(np.stack(numbered(count)[:30]))[None, :, None].expand(-1, -1, 3, -1, -1) / 255
    with torch.inference_mode():
        alone = network(first[:, :, :1], first).fused[0]
    sure = min(25, count - 30) if count > 30 else count  # frames that only the first window holds
    difference = torch.from_numpy(fused[:sure]).permute(0, 3, 1, 2) - 255 * alone[:sure]
    assert difference.abs().max() < 0.51


def test_official_joining_overwrites_complete_slices(tmp_path: Path) -> None:
    """55 frames are two slices of 30: 0 to 29, and 25 to 54, which overwrites what they share."""
    network = tiny()
    torch.manual_seed(1)
    nn.init.normal_(network.get_submodule("reconstruct.temporal").weight, std=0.1)  # so that slices differ
    frames = torch.from_numpy(np.stack(numbered(55)))[None, :, None].expand(-1, -1, 3, -1, -1) / 255
    with torch.inference_mode():
        early, late = (network(part[:, :, :1], part).fused[0] for part in (frames[:, :30], frames[:, 25:]))
    assert 255 * (early[25:] - late[:5]).abs().max() > 5
    expected = torch.cat([early[:25], late]) * 255
    for compat, limit in (("official", (0, 0.51)), (None, (0.51, 255))):
        fused = fuse(
            tmp_path, 55, network, FuseOptions(compat=compat, write=replace(LOSSLESS, overwrite=True))
        )
        difference = (torch.from_numpy(fused).permute(0, 3, 1, 2) - expected).abs().max()
        assert limit[0] <= difference < limit[1]


def test_a_window_shrinks_to_the_memory_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    frame = MODELS["temcoco"].bytes_per_pixel * 16 * 16
    for free, asked, expected in ((12.5, None, 12), (3, None, 10), (40, None, 30), (12.5, 20, 20)):
        caplog.clear()
        monkeypatch.setattr("vfuse.models._room.free_memory", lambda device, n=free: int(n * frame / 0.7))
        frames = numbered(40)
        ir = write_video(tmp_path / "ir.mkv", frames)
        vis = write_video(tmp_path / "vis.mkv", [f[..., None].repeat(3, -1) for f in frames], pix_fmt="bgr0")
        options = FuseOptions(window=asked, write=replace(LOSSLESS, overwrite=True))
        with caplog.at_level(logging.WARNING, "vfuse"):
            report = fuse_video(ir, vis, tmp_path / "out.mkv", model=loaded(tiny()), options=options)
        assert report.windows["window"] == expected
        assert (f"using {expected}" in caplog.text) == (asked is None and expected < 30)
        assert report.frames["written"] == 40
