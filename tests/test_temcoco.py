"""TemCoCo: the golden network stage by stage, its checkpoint, its variants, clips of any length."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from _temcoco_literal import golden_inputs, golden_parameter, relative_index, temcoco
from _temcoco_memory import peak_bytes
from torch import Tensor, nn

from vfuse.clip import FramePair, FusedClip
from vfuse.errors import WeightsError
from vfuse.models._registry import MODELS
from vfuse.models.temcoco import AS_DESCRIBED, SMALL, Config, TemCoCo, convert_published
from vfuse.windows import cut, join

GOLDEN = Path(__file__).parent / "golden"
ALL_CASES = Path(__file__).parents[1].parent / "shared" / "spec" / "temcoco" / "golden.npz"
CASES = {  # B, T, H, W
    "A": (1, 5, 64, 64),
    "B": (1, 4, 64, 96),
    "C": (1, 3, 48, 80),
    "D": (2, 3, 32, 32),
    "E": (1, 1, 16, 16),
    "F": (1, 2, 32, 48),
}
TINY = Config(
    channels=(8, 16, 32), semantic=16, visual=24, temporal_heads=1, group_width=4, reshape="aligned"
)


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    """All 371 entries of the golden checkpoint, float64."""
    shapes: dict[str, list[int]] = json.loads((GOLDEN / "temcoco_state.json").read_text())
    parameters = sorted(key for key in shapes if not key.endswith("relative_position_index"))
    state = {key: golden_parameter(i, key, tuple(shapes[key])) for i, key in enumerate(parameters)}
    return {key: state.get(key, relative_index()) for key in shapes}


@pytest.fixture(scope="module")
def network(published: Mapping[str, Tensor]) -> TemCoCo:
    network = TemCoCo().double().eval()
    network.load_state_dict(convert_published(published))
    return network


def golden(case: str) -> Mapping[str, np.ndarray]:
    file = np.load(ALL_CASES if ALL_CASES.exists() else GOLDEN / "temcoco.npz")
    if f"{case}/fused" not in file.files:
        pytest.skip(f"case {case} is only in the full golden file")
    return {key[2:]: file[key] for key in file.files if key.startswith(case)}


def stages(network: TemCoCo, ir: Tensor, vis: Tensor) -> dict[str, Tensor]:
    """The stage tensors of the golden file: (B, C, T, h, w), offsets (B, T, 2, 144, h, w)."""
    b, t = vis.shape[:2]
    seen: dict[str, Tensor] = {}
    offsets: dict[str, list[Tensor]] = {"m": [[], []], "h": [[], []]}

    def clip(x: Tensor) -> Tensor:
        return x.unflatten(0, (b, t)).transpose(1, 2).clone()

    def keep(*names: str):
        def hook(_module: nn.Module, _args: object, out: object) -> None:
            results = out if isinstance(out, tuple) else (out,)
            seen.update({n: clip(r) for n, r in zip(names, results, strict=False) if n})

        return hook

    watched = {
        "encode_ir": ("enc_ir_h", "enc_ir_m", "enc_ir_l"),
        "encode_vis": ("enc_vi_h", "enc_vi_m", "enc_vi_l"),
        "semantic_ir": ("sem_ir_f",),
        "semantic_vis": ("sem_vi_f",),
        "visual_ir": ("vis_ir_f", "distill_vis_ir"),
        "visual_vis": ("vis_vi_f", "distill_vis_vi"),
        "cross_semantic": ("cm_sem_vi", "cm_sem_ir"),
        "cross_visual": ("cm_vis_vi", "cm_vis_ir"),
        "cross_both": ("sv_sem", "sv_vis"),
        "combine": ("combine",),
        "attend": ("vsim",),
        "cooperate_half": ("tcm_m",),
        "cooperate_full": ("tcm_h",),
    }
    handles = [network.get_submodule(n).register_forward_hook(keep(*names)) for n, names in watched.items()]
    for scale, module in (("m", network.cooperate_half), ("h", network.cooperate_full)):
        for k in range(2):
            handles.append(
                module.offsets[k].register_forward_hook(
                    lambda _m, _a, out, seen=offsets[scale][k]: seen.append(out.clone())
                )
            )
    try:
        with torch.inference_mode():
            features = network.features(ir, vis)
    finally:
        for handle in handles:
            handle.remove()
    for scale, (first, second) in offsets.items():
        seen[f"off_{scale}"] = torch.stack([torch.cat(first), torch.cat(second)], 1).unflatten(0, (b, t))
    up = seen["off_m"].repeat_interleave(2, -2).repeat_interleave(2, -1)
    seen["off_h"] = seen["off_h"] + up
    seen["distill_sem_ir"], seen["distill_sem_vi"] = features.ir_semantic, features.vis_semantic
    seen["fused"] = features.fused.transpose(1, 2)
    return seen


def subsample(name: str, x: Tensor) -> Tensor:
    """As the golden file keeps it."""
    if name == "fused":
        return x
    if name.startswith("off_"):
        return x[:, :, :, ::12, ::4, ::4]
    if name.startswith("distill_sem"):
        return x[:, ::8]
    if name.startswith("distill_vis"):
        return x[:, ::32]
    channels, pixels = (4, 4) if name.endswith("_h") else (8, 2)
    return x[:, ::channels, :, ::pixels, ::pixels]


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] if case in "AB" else []) for case in CASES]
)
def test_golden_stages(case: str, network: TemCoCo) -> None:
    expected = golden(case)
    got = stages(network, *golden_inputs(*CASES[case]))
    for name, values in expected.items():
        limit = 1e-9 if values.dtype == np.float64 else 5e-6  # stages are stored as float32
        difference = (subsample(name, got[name]) - torch.from_numpy(values)).abs().max().item()
        assert difference < limit, (name, difference)


@pytest.mark.parametrize("case", ["D", "F"])
def test_golden_in_float32(case: str, published: Mapping[str, Tensor]) -> None:
    network = TemCoCo().eval()
    network.load_state_dict(convert_published(published))
    ir, vis = (x.float() for x in golden_inputs(*CASES[case]))
    with torch.inference_mode():
        fused = network.features(ir, vis).fused.transpose(1, 2)
        single = network.features(ir[:, :, :1], vis).fused.transpose(1, 2)  # one infrared plane says as much
    assert (fused - torch.from_numpy(golden(case)["fused"])).abs().max() < 1e-4
    assert torch.equal(single, fused)


def test_bfloat16_stays_close(published: Mapping[str, Tensor]) -> None:
    network = TemCoCo().eval()
    network.load_state_dict(convert_published(published))
    ir, vis = (x.float() for x in golden_inputs(1, 3, 32, 48))
    with torch.inference_mode():
        exact = network.features(ir, vis).fused
        with torch.autocast("cpu", torch.bfloat16):
            rounded = network.features(ir, vis).fused
    assert rounded.dtype == torch.float32
    noise = (rounded - exact).square().mean().sqrt().item()
    assert noise < 0.017 * exact.std().item()


# ------------------------------------------------------------------------------------------- checkpoints


def test_the_published_checkpoint_loads_strictly(published: Mapping[str, Tensor]) -> None:
    assert len(published) == 371
    assert sum(p.numel() for p in TemCoCo().parameters()) == MODELS["temcoco"].params == 19_213_417
    prefixed = {f"module.{key}": tensor for key, tensor in published.items()}
    assert (
        convert_published(prefixed).keys()
        == convert_published(published).keys()
        == TemCoCo().state_dict().keys()
    )


@pytest.mark.parametrize("damage", ["missing", "unexpected", "shape"])
def test_a_damaged_checkpoint_does_not_load(damage: str, published: Mapping[str, Tensor]) -> None:
    state = dict(published)
    key = "DCN_1.off2d_2.bias"
    if damage == "missing":
        del state[key]
    elif damage == "unexpected":
        state["DCN_3.off2d_2.bias"] = state[key]
    else:
        state[key] = state[key][:-1]
    with pytest.raises(RuntimeError, match=r"offsets\.1\.bias|DCN_3"):
        TemCoCo().load_state_dict(convert_published(state))


def test_another_window_numbering_is_refused(published: Mapping[str, Tensor]) -> None:
    key = "SegBranchCombine.combine_seg.blocks_CAx.attn.relative_position_index"
    with pytest.raises(WeightsError, match="combine_seg"):
        convert_published({**published, key: published[key].T})


# ---------------------------------------------------------------------------------------------- variants


def tiny(config: Config = TINY, *, seed: int = 0) -> TemCoCo:
    torch.manual_seed(seed)
    return TemCoCo(config).eval()


def clip(frames: int, *, size: int = 32, batch: int = 1) -> tuple[Tensor, Tensor]:
    ir, vis = golden_inputs(batch, frames, size, size)
    return ir[:, :, :1].float(), vis.float()


def reach(network: TemCoCo, *, of: int, frames: int = 6) -> list[int]:
    """Frames of the output that change with input frame `of`."""
    ir, vis = (x.double() for x in clip(frames, size=16))
    changed = vis.clone()
    changed[:, of] = 1 - changed[:, of]
    with torch.inference_mode():
        difference = network.double().features(ir, vis).fused - network.features(ir, changed).fused
    return difference.abs().amax((0, 2, 3, 4)).gt(1e-9).nonzero().flatten().tolist()


def test_reshape_mixes_the_clip_unless_aligned() -> None:
    """Without attention over time, an aligned frame reaches its neighbours only, a published one the clip."""
    local = replace(TINY, temporal_attention=False, cross_attention="none", temporal_convs=False)
    assert reach(tiny(local), of=2) == [2, 3, 4, 5]  # itself, and later frames by cooperation
    assert reach(tiny(replace(local, reshape="published")), of=2) == [0, 1, 2, 3, 4, 5]


def test_temporal_reference() -> None:
    local = replace(TINY, temporal_attention=False, cross_attention="none", temporal_convs=False)
    assert reach(tiny(local), of=0) == [0, 2, 3, 4]  # frame 1 refers to itself only
    assert reach(tiny(replace(local, temporal_reference="clamped")), of=0) == [0, 1, 2, 3, 4]


VARIANTS = {
    "wo_TAttn": {"temporal_attention": False},
    "no_VSAtn": {"cross_attention": "none"},
    "no_DCN": {"deformable": False},
    "Conv2d": {"temporal_convs": False},
    "parallel": {"cross_attention": "parallel"},
    "merge_current": {"merge_current": True},
    "published reshape": {"reshape": "published"},
    "clamped": {"temporal_reference": "clamped"},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_changes_the_graph(name: str) -> None:
    """With the parameters that both share equal, the result differs, and every parameter gets a gradient."""
    plain, variant = tiny(), tiny(replace(TINY, **VARIANTS[name]), seed=1)
    shared = plain.state_dict()
    own = variant.state_dict()
    own.update({k: v for k, v in shared.items() if k in own and own[k].shape == v.shape})
    variant.load_state_dict(own)
    ir, vis = clip(4)
    fused = variant.features(ir, vis).fused
    assert (fused - plain.features(ir, vis).fused).abs().max() > 1e-6
    fused.square().sum().backward()
    assert [n for n, p in variant.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []
    if name in ("wo_TAttn", "no_VSAtn", "no_DCN", "Conv2d"):
        assert len(own) < len(shared)


def test_conv2d_without_attention_and_cooperation_sees_one_frame() -> None:
    config = replace(TINY, temporal_attention=False, cross_attention="none", temporal_convs=False)
    network = tiny(config)
    ir, vis = clip(3)
    with torch.inference_mode():
        whole = network.features(ir, vis)
        alone = network.features(ir[:, :1], vis[:, :1])
    torch.testing.assert_close(whole.vis_visual[:1], alone.vis_visual)
    torch.testing.assert_close(whole.fused[:, :1], alone.fused)


# ----------------------------------------------------------------------------------------------- clips


@pytest.mark.parametrize("config", [TINY, replace(TINY, unshuffle=2, residual=True)])
@pytest.mark.parametrize("frames", [1, 2, 4, 5])
def test_any_length(config: Config, frames: int) -> None:
    network = tiny(config)
    ir, vis = clip(frames, size=64, batch=2)
    with torch.inference_mode():
        fused = network(ir, vis).fused
        again = network(ir[1:], vis[1:]).fused
    assert fused.shape == vis.shape
    assert fused.min() >= 0
    assert fused.max() <= 1
    torch.testing.assert_close(fused[1:], again, atol=1e-5, rtol=0)  # samples of a batch do not mix


def test_frames_together_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny()
    ir, vis = clip(5)
    with torch.inference_mode():
        whole = network.features(ir, vis).fused
        for together in (1, 2):
            size = 144 * 32 * 32 * together
            monkeypatch.setattr("vfuse.models._temcoco_cooperate.OFFSET_VALUES", size)
            monkeypatch.setattr("vfuse.models._temcoco_blocks.CHUNK", 1)
            torch.testing.assert_close(network.features(ir, vis).fused, whole, atol=1e-5, rtol=0)


def test_both_sources_may_be_one_tensor() -> None:
    network = tiny(replace(TINY, unshuffle=2, residual=True))
    _, vis = clip(2, size=64)
    with torch.inference_mode():
        torch.testing.assert_close(network(vis, vis).fused, network(vis[:, :, :1], vis.clone()).fused)


@torch.no_grad()
def test_it_needs_half_the_memory_of_the_literal_version(published: Mapping[str, Tensor]) -> None:
    state = {key: x.float() if x.is_floating_point() else x for key, x in published.items()}
    network = TemCoCo().eval()
    x = torch.zeros(1, 8, 3, 128, 160)
    ours = peak_bytes(lambda: network.features(x, x))
    assert ours <= 0.5 * peak_bytes(lambda: temcoco(state, x, x)["fused"])


def test_wrong_sizes_are_named() -> None:
    with pytest.raises(ValueError, match="multiples of 16"):
        tiny()(torch.zeros(1, 1, 1, 24, 32), torch.zeros(1, 1, 3, 24, 32))


def test_training_leaves_the_output_unclamped() -> None:
    network = tiny().train()
    ir, vis = clip(2)
    fused = network(ir, vis).fused
    assert torch.equal(fused, network.features(ir, vis).fused)
    assert fused.requires_grad


def test_inference_and_training_agree() -> None:
    network = tiny(replace(TINY, merge_current=True))
    ir, vis = clip(3)
    with_graph = network.features(ir, vis).fused
    with torch.inference_mode():
        torch.testing.assert_close(network.features(ir, vis).fused, with_graph.detach(), atol=1e-6, rtol=0)


def test_entries() -> None:
    for name, config in (("temcoco", Config()), ("temcoco-paper", AS_DESCRIBED), ("temcoco-s", SMALL)):
        entry = MODELS[name]
        network = entry.build()
        assert network.config == config
        assert entry.multiple_of == config.multiple_of <= entry.min_size
        assert sum(p.numel() for p in network.parameters()) == entry.params


@pytest.mark.parametrize("count", [1, 5, 29, 30, 31, 54, 55, 56, 200, 590])
def test_every_frame_of_a_video_comes_once(count: int) -> None:
    """Cut as the entry says and joined again, frame k still shows the number k."""
    entry = MODELS["temcoco"]
    numbers = torch.arange(count) / count
    pairs = (
        FramePair(torch.full((1, 2, 2), n), torch.full((3, 2, 2), n), k, k / 25)
        for k, n in enumerate(numbers.tolist())
    )
    clips = (
        FusedClip({"fused": clip.vis}, clip.start, clip.times)
        for clip in cut(pairs, entry.window, entry.overlap)
    )
    joined = list(join(clips))
    assert [frame.index for frame in joined] == list(range(count))
    shown = torch.stack([frame.streams["fused"][0, 0, 0] for frame in joined])
    torch.testing.assert_close(shown, numbers)


def test_literal_reaches_the_golden_file(published: Mapping[str, Tensor]) -> None:
    """The oracle that the benchmark measures against is itself right."""
    with torch.inference_mode():
        fused = temcoco(published, *golden_inputs(*CASES["E"]))["fused"]
    assert (fused - torch.from_numpy(golden("E")["fused"])).abs().max() < 1e-9
