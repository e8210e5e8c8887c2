"""What every network that a user can name must keep; a new file in vfuse/models is tested as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from vfuse.clip import Clip
from vfuse.models import MODELS, ModelEntry, Weights
from vfuse.models._load import load_model
from vfuse.models._run import LoadedModel, padded_size, run
from vfuse.models._weights import MANIFEST, SUFFIX, choices, locate, obtain, shipped_dir, weights_of

NAMES = MODELS.names()
CHOICES = [choice for choice in choices() if choice.weights]
HERE = [choice for choice in CHOICES if locate(choice.weights)]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """These pictures are too small to share out; on a busy machine threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@cache
def network(name: str) -> nn.Module:
    """The network with its default initialisation, the same one for every test."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MODELS[name].build().eval()


def model(name: str) -> LoadedModel:
    return LoadedModel(MODELS[name], network(name), torch.device("cpu"))


def smallest(entry: ModelEntry) -> int:
    return padded_size(entry, 1)


def pair(*shape: int, ir_channels: int = 1, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random ir (B, T, 1 or 3, H, W) and vis (B, T, 3, H, W) in [0, 1], from (B, T, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    b, t, h, w = shape
    ir, vis = (torch.rand(b, t, c, h, w, generator=generator) for c in (1, 3))
    return ir.repeat(1, 1, ir_channels, 1, 1), vis


@pytest.mark.parametrize("name", NAMES)
def test_the_entry_tells_the_truth(name: str) -> None:
    entry = MODELS[name]
    assert sum(p.numel() for p in network(name).parameters()) == entry.params
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name)  # no dot: it separates the tag
    assert entry.paper
    assert 0 <= entry.overlap < entry.window


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("frames", "ir_channels"), [(1, 3), (3, 1)])
@torch.inference_mode()
def test_shapes_of_the_output(name: str, frames: int, ir_channels: int) -> None:
    entry = MODELS[name]
    height = smallest(entry)
    width = height + entry.multiple_of  # the next size that needs no padding
    out = network(name)(*pair(1, frames, height, width, ir_channels=ir_channels))
    assert out.fused.shape == (1, frames, 3, height, width)
    assert (out.ir is not None, out.vis is not None) == (entry.restores, entry.restores)
    if entry.restores:
        assert out.vis.shape == out.fused.shape
        assert out.ir.shape in ((1, frames, 1, height, width), (1, frames, 3, height, width))


@pytest.mark.parametrize("name", NAMES)
def test_any_clip_goes_through_the_runner(name: str) -> None:
    for frames, height, width in ((3, 37, 51), (1, 1, 1)):
        ir, vis = pair(1, frames, height, width)
        (fused,) = run(model(name), [Clip(ir[0], vis[0], 5, tuple(k / 25 for k in range(frames)))])
        frames_out = fused.streams["fused"]
        assert (frames_out.shape, fused.start) == (vis[0].shape, 5)
        assert frames_out.dtype == torch.float32
        assert frames_out.isfinite().all()
        assert 0 <= frames_out.min() <= frames_out.max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_both_sources_matter_and_black_is_no_error(name: str) -> None:
    size = smallest(MODELS[name])
    ir, vis = pair(1, 2, size, size)
    fused = model(name)(ir, vis).fused
    changed = (
        not torch.equal(fused, model(name)(1 - ir, vis).fused),
        not torch.equal(fused, model(name)(ir, 1 - vis).fused),
    )
    assert changed == {"visible": (False, True), "infrared": (True, False)}.get(name, (True, True))
    assert model(name)(torch.zeros_like(ir), torch.zeros_like(vis)).fused.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_clips_of_a_batch_do_not_touch(name: str) -> None:
    size = smallest(MODELS[name])
    ir, vis = pair(2, 3, size, size)
    together = model(name)(ir, vis).fused
    for k in range(2):
        alone = model(name)(ir[k : k + 1], vis[k : k + 1]).fused
        torch.testing.assert_close(together[k : k + 1], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", [name for name in NAMES if MODELS[name].multiple_of > 1])
def test_multiple_of_is_true_and_not_too_strict(name: str) -> None:
    """At half the step a network fails, or pads itself just as the runner would; else the number is wrong."""
    entry = MODELS[name]
    size = smallest(entry) + entry.multiple_of // 2
    ir, vis = pair(1, 1, size, size)
    try:
        with torch.inference_mode():
            raw = network(name)(ir, vis).fused
    except (RuntimeError, ValueError, AssertionError):
        return
    torch.testing.assert_close(raw.clamp(0, 1), model(name)(ir, vis).fused, atol=1e-5, rtol=0)


# ------------------------------------------------------------------------------------------------- weights


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.name)
def test_weights_state_where_they_come_from(choice) -> None:
    weights: Weights = choice.weights
    assert weights.licence
    assert weights.source
    assert weights.trained_on
    assert re.fullmatch(r"[\w.-]+\.safetensors", weights.file)
    if weights.git and not weights.sha256:
        assert re.fullmatch(r"[0-9a-f]{40}", weights.git.commit)
        assert re.fullmatch(r"[0-9a-f]{40}", weights.git.blob)
    else:
        assert re.fullmatch(r"[0-9a-f]{64}", weights.sha256)
        assert weights.bytes > 0
    if weights.licence == "none stated":
        assert not (shipped_dir() / weights.file).exists()
        assert not weights.url


@pytest.mark.parametrize("choice", HERE, ids=lambda choice: choice.name)
def test_weights_that_are_here_load(choice) -> None:
    assert obtain(choice, offline=True).sha256 == choice.weights.sha256
    assert load_model(choice.name, device="cpu", offline=True).sha256 == choice.weights.sha256


def test_the_manifest_and_the_folder_agree() -> None:
    rows = json.loads((shipped_dir() / MANIFEST).read_text(encoding="utf-8"))["weights"]
    assert {path.name for path in shipped_dir().glob(f"*{SUFFIX}")} == {
        row["file"] for row in rows if not row.get("url") and not row.get("git")
    }
    assert len({row["file"] for row in rows}) == len(rows)
    assert len({(row["model"], row["tag"]) for row in rows}) == len(rows)
    for row in rows:
        assert MODELS[row["model"]].params == row["params"]
        assert row["tag"] in weights_of(MODELS[row["model"]])
