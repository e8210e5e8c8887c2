"""Running networks: padding and cropping, tiles, out of memory, precision, the baselines."""

import logging

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from vfuse.clip import Clip
from vfuse.colour import to_grey
from vfuse.device import threads_of_torch
from vfuse.errors import DeviceError, UsageError, WeightsError
from vfuse.models import _room
from vfuse.models._registry import MODELS, ModelEntry, Output
from vfuse.models._room import Room, fitting_tile, workers_for
from vfuse.models._run import LoadedModel, run, tile_weights


class Probe(nn.Module):
    """Returns its inputs, remembers what it saw, and runs out of memory above a number of pixels."""

    def __init__(self, *, most_pixels=10**9, gain=1.0, colours=1):
        super().__init__()
        self.sizes, self.most_pixels, self.gain, self.colours = [], most_pixels, gain, colours

    def forward(self, ir, vis):
        height, width = vis.shape[-2:]
        self.sizes.append((height, width))
        self.seen = vis
        if height * width > self.most_pixels:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return Output(vis * self.gain, ir.expand(-1, -1, self.colours, -1, -1), vis)


def load(network, *, params=0, **sizes):
    entry = ModelEntry(name="probe", build=Probe, params=params, window=3, overlap=1, restores=True, **sizes)
    return LoadedModel(entry, network, torch.device("cpu"))


def baseline(name):
    return LoadedModel(MODELS[name], MODELS[name].build(), torch.device("cpu"))


def random_clip(height, width, *, frames=2, seed=0, start=0):
    generator = torch.Generator().manual_seed(seed)
    ir = torch.rand(frames, 1, height, width, generator=generator)
    vis = torch.rand(frames, 3, height, width, generator=generator)
    return Clip(ir, vis, start, tuple(k / 25 for k in range(frames)))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 4, 8]), st.sampled_from([1, 16, 33]))
def test_any_size_is_padded_to_the_networks_and_cropped_back(height, width, multiple_of, min_size):
    network = Probe()
    clip = random_clip(height, width)
    (fused,) = run(load(network, multiple_of=multiple_of, min_size=min_size), [clip])
    assert torch.equal(fused.streams["fused"], clip.vis)
    for seen, size in zip(network.sizes[0], (height, width), strict=True):
        assert seen >= max(size, min_size)
        assert seen % multiple_of == 0
        assert seen < max(size, min_size) + multiple_of


def test_padding_reflects_and_then_replicates():
    network = Probe()
    clip = random_clip(2, 8, frames=1)
    list(run(load(network, multiple_of=8, min_size=8), [clip]))
    rows = network.seen[0, 0, 0, :, 0]
    a, b = clip.vis[0, 0, :, 0]
    assert rows.tolist() == pytest.approx([float(v) for v in (a, b, a, a, a, a, a, a)])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(64, 200))
def test_tiles_cover_every_pixel_and_fade_into_each_other(size, tile):
    total = torch.zeros(size)
    for start, weight in tile_weights(size, tile):
        assert (weight > 0).all()
        total[start : start + len(weight)] += weight
        assert start + len(weight) <= size
    assert (total > 0).all()


def test_tiles_give_what_the_whole_frame_gives():
    clip = random_clip(150, 230)
    model = load(Probe(), multiple_of=4)
    (whole,) = run(model, [clip], streams=("fused", "ir", "vis"))
    (tiled,) = run(model, [clip], tile=64, streams=("fused", "ir", "vis"))
    assert len(model.network.sizes) > 10
    for name in ("fused", "ir", "vis"):
        assert torch.allclose(whole.streams[name], tiled.streams[name], atol=1e-6)


def test_out_of_memory_halves_the_tile_repeats_the_frames_and_says_so_once(caplog):
    clips = [random_clip(256, 256, seed=k, start=2 * k) for k in range(3)]
    model = load(Probe(most_pixels=70 * 70), multiple_of=4)
    with caplog.at_level(logging.WARNING, "vfuse"):
        fused = list(run(model, clips))
    assert [clip.start for clip in fused] == [0, 2, 4]
    for clip, made in zip(clips, fused, strict=True):
        assert torch.allclose(made.streams["fused"], clip.vis, atol=1e-6)
    assert model.network.sizes[:3] == [(256, 256), (128, 128), (64, 64)]
    assert max(max(size) for size in model.network.sizes[3:]) == 64  # the smaller tile is kept
    assert ["tiles of 128" in r.message or "tiles of 64" in r.message for r in caplog.records] == [True, True]


def test_no_memory_for_the_smallest_tile_is_a_device_error():
    with pytest.raises(DeviceError, match="tiles of 64"):
        list(run(load(Probe(most_pixels=10)), [random_clip(256, 256)]))


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    class Broken(Probe):
        def forward(self, ir, vis):
            raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape"):
        list(run(load(Broken()), [random_clip(16, 16)]))


def test_a_tile_is_planned_from_the_free_memory(monkeypatch, caplog):
    entry = load(Probe(), bytes_per_pixel=1000, multiple_of=8).entry

    def tile(free, size):
        monkeypatch.setattr(_room, "free_memory", lambda _: free)
        return fitting_tile(Room.on(torch.device("cpu"), entry, frames=7), entry, height=size, width=size)

    enough_for_300 = 7 * 1000 * 300 * 300
    assert tile(enough_for_300, 400) == 248  # 300 * sqrt(0.7) = 250.99, down to a multiple of 8
    assert "do not fit" in caplog.text
    assert tile(enough_for_300, 200) == 200
    assert tile(None, 4000) == 4000


@pytest.mark.parametrize(
    ("room", "workers"), [(1e9, 3), (2.9e6, 2), (1.9e6, 1), (0.9e6, 1), (None, 1)]
)  # bytes; a window of 100x100 takes 1e6
def test_as_many_windows_as_memory_and_threads_allow_run_side_by_side(room, workers):
    entry, cpu = load(Probe(), params=1).entry, torch.device("cpu")
    with threads_of_torch(3):
        assert workers_for(Room(room, 100), entry, cpu, height=100, width=100) == workers
    assert workers_for(Room(room, 100), entry, torch.device("cuda"), height=100, width=100) == 1
    assert workers_for(Room(room, 100), load(Probe()).entry, cpu, height=100, width=100) == 1


def test_values_are_clamped_and_nothing_else_is_changed():
    clip = random_clip(16, 16)
    (fused,) = run(load(Probe(gain=2.0)), [clip])
    assert torch.equal(fused.streams["fused"], (clip.vis * 2).clamp(0, 1))


def test_values_that_are_not_finite_are_an_error():
    with pytest.raises(WeightsError, match="not finite"):
        list(run(load(Probe(gain=float("nan"))), [random_clip(16, 16)]))


def test_infrared_restored_in_three_channels_becomes_one():
    clip = random_clip(16, 16)
    (fused,) = run(load(Probe(colours=3)), [clip], streams=("fused", "ir"))
    assert torch.allclose(fused.streams["ir"], clip.ir)
    assert set(fused.streams) == {"fused", "ir"}


def test_bfloat16_computes_in_bfloat16_and_answers_in_float32():
    class Conv(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, ir, vis):
            out = self.conv(vis.flatten(0, 1))
            self.seen = out.dtype
            return Output(out.sigmoid().unflatten(0, vis.shape[:2]))

    network = Conv()
    model = LoadedModel(load(network).entry, network, torch.device("cpu"), torch.bfloat16)
    (fused,) = run(model, [random_clip(16, 16)])
    assert network.seen == torch.bfloat16
    assert fused.streams["fused"].dtype == torch.float32
    assert torch.is_inference(fused.streams["fused"])


def test_what_a_network_cannot_do_is_refused_before_anything_is_read():
    def untouched():
        raise AssertionError("a clip was read")
        yield

    with pytest.raises(UsageError, match="does not restore"):
        list(run(baseline("average"), untouched(), streams=("fused", "ir")))
    with pytest.raises(UsageError, match="at least 64"):
        list(run(baseline("average"), untouched(), tile=8))


def test_the_baselines_do_what_they_say():
    clip = random_clip(16, 16)
    made = {name: next(run(baseline(name), [clip])).streams["fused"] for name in ("visible", "infrared")}
    assert torch.equal(made["visible"], clip.vis)
    assert torch.equal(made["infrared"], clip.ir.expand_as(clip.vis))
    ir, vis = torch.full((1, 1, 4, 4), 0.5), torch.tensor([0.4, 0.3, 0.2]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    small = Clip(ir, vis.contiguous(), 0, (0.0,))
    luma = float(to_grey(vis).mean())
    for name, wanted in (("average", (0.5 + luma) / 2), ("max", 0.5)):
        fused = next(run(baseline(name), [small])).streams["fused"]
        assert torch.allclose(to_grey(fused), torch.full((1, 1, 4, 4), wanted), atol=1e-6)
        assert torch.allclose(fused - vis, (fused - vis)[:, :1].expand_as(vis), atol=1e-6)  # chroma is kept


def test_the_average_of_a_pair_of_equal_brightness_is_the_visible():
    vis = torch.rand(2, 3, 16, 16)
    (fused,) = run(baseline("average"), [Clip(to_grey(vis), vis, 0, (0.0, 0.04))])
    assert torch.allclose(fused.streams["fused"], vis, atol=1e-6)


@pytest.mark.gpu
def test_a_gpu_gives_what_the_cpu_gives():
    torch.manual_seed(0)
    entry = MODELS["videofusion-s"]
    network = entry.build().eval()
    clip = random_clip(64, 96, frames=7)
    streams = ("fused", "ir", "vis")
    (on_cpu,) = run(LoadedModel(entry, network, torch.device("cpu")), [clip], streams=streams)
    (on_gpu,) = run(LoadedModel(entry, network.cuda(), torch.device("cuda")), [clip], streams=streams)
    for name in streams:
        assert torch.allclose(on_cpu.streams[name], on_gpu.streams[name], atol=2e-3)  # TF32 convolutions
