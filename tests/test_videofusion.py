"""VideoFusion against golden numbers and the literal statement of the paper, in every way it can be run."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from _tiny import isolate
from _videofusion_golden import CASES, GOLDEN, SHARED, golden_inputs, golden_state, published_shapes
from _videofusion_literal import Literal
from torch import Tensor, nn

from vfuse.clip import Clip
from vfuse.models import _bands
from vfuse.models._attention import ChannelNorm
from vfuse.models._convert import import_checkpoint
from vfuse.models._load import load_model
from vfuse.models._registry import MODELS, Output
from vfuse.models._rounding import keep_sums, round_kernels
from vfuse.models._run import LoadedModel, run
from vfuse.models._stem import column_pattern, luma
from vfuse.models.videofusion import SMALL, CmDRM, VideoFusion, convert_published

STREAMS = {"fusion": "fused", "ir": "ir", "vi": "vis"}  # published name -> ours
SMALL_BANDS, ONE_BAND = 2**14, 2**40  # bytes: divides even the smallest golden case; divides nothing

needs_shared = pytest.mark.skipif(
    not (SHARED / "golden.npz").exists(), reason="the full golden file is not on this machine"
)


@cache
def network(dtype: torch.dtype = torch.float64) -> VideoFusion:
    net = VideoFusion().to(dtype).eval()
    net.load_state_dict(convert_published(golden_state(dtype)))
    return net


@cache
def literal(dtype: torch.dtype = torch.float64) -> Literal:
    return Literal(golden_state(dtype))


@torch.inference_mode()
def published(net: nn.Module, ir: Tensor, vis: Tensor) -> dict[str, np.ndarray]:
    out: Output = net(ir, vis)
    return {name: getattr(out, ours).double().numpy() for name, ours in STREAMS.items()}


def double_of_case_a() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "videofusion.npz") as file:
        return {name: file[f"A_{name}_double"] for name in STREAMS}


def inputs(case: str, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    return golden_inputs(*CASES[case], dtype)


def assert_close(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray], atol: float) -> None:
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, atol=atol, rtol=0, err_msg=name)


# --------------------------------------------------------------------------------------------- golden numbers


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-9), (torch.float32, 2e-5)])
@pytest.mark.parametrize("band_bytes", [ONE_BAND, SMALL_BANDS], ids=["whole", "in bands"])
def test_golden_case_a(dtype, atol, band_bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bands, "BAND_BYTES", band_bytes)
    assert_close(published(network(dtype), *inputs("A", dtype)), double_of_case_a(), atol)


@needs_shared
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-7), (torch.float32, 2e-5)])
def test_golden_cases(case, dtype, atol) -> None:
    with np.load(SHARED / "golden.npz") as file:
        wanted = {name: file[f"{case}_{name}_f64run"] for name in STREAMS}
    assert_close(published(network(dtype), *inputs(case, dtype)), wanted, atol)


def modules_of(net: VideoFusion) -> dict[str, nn.Module]:
    """Published name of a feature -> the module that makes it."""
    found: dict[str, nn.Module] = {}
    for name, path in [("ir", "ir"), ("vi", "vis")]:
        found[f"s1_{name}_conv3d"] = net.get_submodule(f"scales.0.encode_{path}")
        for s in (2, 3):
            found[f"s{s}_{name}_down"] = net.get_submodule(f"down_{path}.{s - 2}")
            found[f"s{s}_{name}_conv3d"] = net.get_submodule(f"scales.{s - 1}.encode_{path}.conv3d")
            found[f"s{s}_{name}_res"] = net.get_submodule(f"scales.{s - 1}.encode_{path}")
            found[f"s{s}_{name}_diffattn"] = net.get_submodule(f"scales.{s - 1}.reinforce_{path}.cross")
            found[f"s{s}_{name}_cmdrm"] = net.get_submodule(f"scales.{s - 1}.reinforce_{path}")
        found[f"s1_unmix_{name}"] = net.get_submodule(f"unmix_{path}")
    for s in (1, 2, 3):
        found[f"s{s}_cmgf"] = net.get_submodule(f"scales.{s - 1}.cmgf")
        found[f"s{s}_bicam"] = net.get_submodule(f"bicam.{s - 1}")
        if s < 3:
            found[f"s{s}_enhanced"] = net.get_submodule(f"scales.{s - 1}.enhance")
            found[f"s{s}_up"] = net.get_submodule(f"up.{s - 1}")
    found |= {f"dec_{name}_raw": net.decoders[i] for i, name in enumerate(STREAMS)}
    return found


@cache
def features_of_case_a() -> dict[str, np.ndarray]:
    """Every intermediate of the network, (B, T, C, h, w), float64."""
    net, seen = network(), {}
    frames = CASES["A"][1]

    def keep(name: str, _module: nn.Module, _args: object, out: Tensor) -> None:
        seen[name] = out.clone().unflatten(0, (-1, frames)).numpy()  # a copy: the sum with a skip is in place

    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(_bands, "BAND_BYTES", ONE_BAND)
        for name, module in modules_of(net).items():
            stack.callback(module.register_forward_hook(partial(keep, name)).remove)
        published(net, *inputs("A"))
    return seen


def test_every_intermediate_is_that_of_the_literal_network() -> None:
    with torch.inference_mode():
        literal()(*inputs("A"))
    wanted = {name: x.numpy() for name, x in literal().features.items()}
    assert set(wanted) == set(features_of_case_a())
    assert len(wanted) == 37
    assert_close(features_of_case_a(), wanted, 1e-11)


@needs_shared
def test_every_intermediate_is_golden() -> None:
    with np.load(SHARED / "golden.npz") as file:
        wanted = {name[7:]: file[name] for name in file.files if name.startswith("A_feat_")}
    assert len(wanted) == 28
    assert_close(features_of_case_a(), wanted, 2e-6)  # stored in float32, values up to 10


def test_the_literal_network_is_golden() -> None:
    with torch.inference_mode():
        out = literal()(*inputs("A"))
    assert_close({name: x.numpy() for name, x in out.items()}, double_of_case_a(), 1e-9)


# ------------------------------------------------------------------- would a mistake be seen, and how clearly


def swap_neighbours(net: VideoFusion) -> None:
    for layer in (layer for stack in net.bicam for layer in stack.layers):
        attn = layer.attn
        attn.kv_prev, attn.kv_next = attn.kv_next, attn.kv_prev
        attn.kv_dwconv_prev, attn.kv_dwconv_next = attn.kv_dwconv_next, attn.kv_dwconv_prev


def shrink_epsilon(net: VideoFusion) -> None:
    for norm in (m for m in net.modules() if isinstance(m, ChannelNorm)):
        norm.eps = 1e-6


def ignore_temperature(net: VideoFusion) -> None:
    for name, parameter in net.named_parameters():
        if name.endswith("temperature"):
            nn.init.ones_(parameter)


def flip_difference(net: VideoFusion) -> None:
    for block in (m for m in net.modules() if isinstance(m, CmDRM)):
        block.forward = lambda main, other, b=block: b.contribution(b.cross(main, main - other), main)


def swap_gates(net: VideoFusion) -> None:
    for name, parameter in net.named_parameters():
        if name.endswith(("ffn.project_in.weight", "ffn.dwconv.weight")):
            parameter.data = parameter.data.roll(len(parameter) // 2, dims=0)


@pytest.mark.parametrize(
    ("mistake", "error"),
    [
        (shrink_epsilon, 3.0e-4),
        (swap_neighbours, 0.68),
        (flip_difference, 0.88),
        (ignore_temperature, 0.92),
        (swap_gates, 0.96),
    ],
)
def test_a_mistake_is_seen(mistake: Callable[[VideoFusion], None], error: float) -> None:
    """Each error has the size that the published network shows for the same mistake."""
    net = VideoFusion().double().eval()
    net.load_state_dict(network().state_dict())
    mistake(net)
    found = published(net, *inputs("A"))["fusion"]
    assert np.abs(found - double_of_case_a()["fusion"]).max() == pytest.approx(error, rel=0.05)


# ------------------------------------------------------------------------------------------------ checkpoints


def test_a_published_checkpoint_gives_the_golden_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Container, published names and all 464 tensors, through the importer and a strict load."""
    isolate(tmp_path, monkeypatch)
    state = golden_state()
    assert (len(state), sum(x.numel() for x in state.values())) == (464, 6_750_742)
    torch.save({"params": state}, tmp_path / "net.pth")
    import_checkpoint(tmp_path / "net.pth", "videofusion.mine")
    model = load_model("videofusion.mine", device="cpu", precision="float32")
    assert_close(published(model.network, *inputs("A", torch.float32)), double_of_case_a(), 2e-5)


def test_unused_norms_change_nothing() -> None:
    state = golden_state()
    unused = [name for name in state if ".attn.norm.body." in name]
    assert (len(unused), sum(state[name].numel() for name in unused)) == (14, 1216)
    loud = {name: torch.full_like(x, 7) if name in unused else x for name, x in state.items()}
    ours, same = convert_published(state), convert_published(loud)
    assert ours.keys() == same.keys() == VideoFusion().state_dict().keys()
    assert all(torch.equal(ours[name], same[name]) for name in ours)


def test_no_published_name_is_lost_or_doubled() -> None:
    names = [name for name in published_shapes() if ".attn.norm.body." not in name]
    ours = convert_published({name: torch.tensor(i) for i, name in enumerate(names)})
    assert sorted(int(x) for x in ours.values()) == list(range(len(names)))
    shapes = {name: tuple(x.shape) for name, x in VideoFusion().state_dict().items()}
    assert {name: published_shapes()[names[int(i)]] for name, i in ours.items()} == shapes


# ----------------------------------------------------------------------------------------------- any clip


@pytest.mark.parametrize("shape", [(1, 1, 16, 20), (1, 2, 16, 16), (2, 3, 24, 16)], ids=str)
@torch.inference_mode()
def test_other_sizes_follow_the_literal_network(shape) -> None:
    ir, vis = golden_inputs(*shape, torch.float64)
    wanted = {name: x.numpy() for name, x in literal()(ir, vis).items()}
    assert_close(published(network(), ir, vis), wanted, 1e-11)


@torch.inference_mode()
def test_odd_sizes_are_reflected_and_cropped() -> None:
    ir, vis = golden_inputs(1, 2, 21, 30, torch.float64)
    padded = (F.pad(x[0], (0, 2, 0, 3), mode="reflect")[None] for x in (ir, vis))
    wanted = {name: x[..., :21, :30].numpy() for name, x in literal()(*padded).items()}
    assert_close(published(network(), ir, vis), wanted, 1e-11)


@torch.inference_mode()
def test_one_infrared_channel_stands_for_three() -> None:
    ir, vis = golden_inputs(1, 2, 16, 16, torch.float64)
    assert torch.equal(network()(ir[:, :, :1], vis).fused, network()(ir, vis).fused)


@torch.inference_mode()
def test_clips_of_a_batch_do_not_meet() -> None:
    ir, vis = golden_inputs(2, 3, 16, 16, torch.float64)
    together = network()(ir, vis)
    for k in range(2):
        alone = network()(ir[k : k + 1], vis[k : k + 1])
        for one, two in zip(alone, together, strict=True):
            torch.testing.assert_close(one, two[k : k + 1], atol=1e-12, rtol=0)


@pytest.mark.parametrize("config", [None, SMALL], ids=["videofusion", "videofusion-s"])
@torch.inference_mode()
def test_streams_that_nobody_wants_are_left_out(config) -> None:
    torch.manual_seed(0)
    net = VideoFusion(config).eval()
    ir, vis = golden_inputs(1, 2, 32, 32)
    everything = net(ir, vis)
    for wanted in ({"fused"}, {"fused", "vis"}, {"ir"}):
        out = net(ir, vis, streams=wanted)
        for name in Output._fields:
            if name in wanted | {"fused"}:
                assert torch.equal(getattr(out, name), getattr(everything, name))
            else:
                assert getattr(out, name) is None


# ------------------------------------------------------------------------------------- precision and training


@torch.inference_mode()
def test_bfloat16_stays_close() -> None:
    ir, vis = inputs("B", torch.float32)
    net = VideoFusion().eval()
    net.load_state_dict(convert_published(golden_state()))
    exact = net(ir, vis)
    round_kernels(net)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = net(ir, vis)
    for one, two in zip(exact, rounded, strict=True):
        psnr = -10 * math.log10((one - two).square().mean())
        assert psnr > 45  # 38 with everything in bfloat16, tap by tap


def test_rounded_kernels_keep_their_sums() -> None:
    kernels = torch.rand(8, 4, 3, 3, 3, generator=torch.Generator().manual_seed(0)) - 0.5
    kept, plain = keep_sums(kernels), kernels.bfloat16().float()
    assert torch.equal(kept, kept.bfloat16().float())
    assert (kept - kernels).abs().max() < 0.006  # twice the last digit of 0.5
    off = [(rounded - kernels).sum((3, 4)).abs().max() for rounded in (kept, plain)]  # of every frame
    assert off[0] < 6e-4 < 3e-3 < off[1]


@pytest.mark.parametrize("config", [None, SMALL], ids=["videofusion", "videofusion-s"])
def test_a_black_clip_has_finite_gradients(config) -> None:
    """Where q and k are all zero, their norms have no direction."""
    net = VideoFusion(config)
    black = torch.zeros(1, 2, 3, 32, 32)
    sum(x.sum() for x in net(black, black)).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def test_training_and_inference_agree() -> None:
    """Bands and in-place sums belong to inference; with gradients the same values come from one piece."""
    ir, vis = golden_inputs(1, 2, 16, 16, torch.float64)
    net = network()
    with torch.inference_mode():
        wanted = net(ir, vis)
    for one, two in zip(net(ir, vis), wanted, strict=True):
        assert one.requires_grad
        torch.testing.assert_close(one.detach(), two.clone(), atol=1e-12, rtol=0)


# -------------------------------------------------------------------------------------- the small network


@torch.inference_mode()
def test_the_small_network_is_the_same_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net = VideoFusion(SMALL).double().eval()
    ir, vis = golden_inputs(1, 2, 80, 96, torch.float64)
    whole = net(ir, vis)
    monkeypatch.setattr(_bands, "BAND_BYTES", SMALL_BANDS)
    for one, two in zip(whole, net(ir, vis), strict=True):
        torch.testing.assert_close(one, two, atol=1e-11, rtol=0)


@torch.inference_mode()
def test_without_corrections_the_sources_come_back_and_are_blended() -> None:
    net = VideoFusion(SMALL).eval()
    for decoder in net.decoders:
        nn.init.zeros_(decoder.conv2.weight)
    ir, vis = golden_inputs(1, 2, 32, 48)
    ir = ir[:, :, :1]
    out = net(ir, vis)
    assert torch.equal(out.ir, ir)
    assert torch.equal(out.vis, vis)
    brightness = luma(vis.flatten(0, 1)).unflatten(0, (1, 2))
    torch.testing.assert_close(out.fused, vis + 0.5 * (ir - brightness), atol=1e-6, rtol=0)
    fused = luma(out.fused.flatten(0, 1)).unflatten(0, (1, 2))
    assert ((fused - torch.minimum(ir, brightness)) > -1e-6).all()
    assert ((torch.maximum(ir, brightness) - fused) > -1e-6).all()


def test_column_pattern_finds_stripes() -> None:
    """Stripes of zero sum over the window of the mean, on rows of any brightness, are found as they are."""
    generator = torch.Generator().manual_seed(0)
    stripes = torch.rand(31, generator=generator) * 0.06 - 0.03
    stripes = (stripes - stripes.mean()).repeat(4)
    rows = 0.2 + 0.6 * torch.rand(2, 3, 1, 20, 1, generator=generator)
    clips = rows + torch.stack([stripes, -stripes]).view(2, 1, 1, 1, -1)
    found = column_pattern(clips.flatten(0, 1), frames=3).unflatten(0, (2, 3))
    inside = slice(15, -15)  # at the borders the mean sees fewer columns
    for clip, sign in ((0, 1), (1, -1)):
        wanted = (sign * stripes)[inside].expand(3, 1, 1, -1)
        torch.testing.assert_close(found[clip][..., inside], wanted, atol=1e-6, rtol=0)


def test_column_pattern_ignores_a_moving_edge() -> None:
    """An edge that moves over the picture is scene, not sensor: little of it is left in the average."""
    frames = torch.zeros(24, 1, 8, 96)
    for t in range(24):
        frames[t, ..., 4 * t :] = 0.5
    assert column_pattern(frames, frames=24).abs().max() < 0.1


def test_the_runner_asks_for_what_is_written() -> None:
    """The published network spends a fifth of its time on restored sources; a plain fusion does without."""
    ir, vis = golden_inputs(1, 2, 16, 16)
    clip = Clip(ir[0, :, :1], vis[0], 0, (0.0, 0.04))
    ran: set[str] = set()
    net = network(torch.float32)
    hooks = [
        decoder.register_forward_hook(lambda *_, name=name: ran.add(name))
        for name, decoder in zip(Output._fields, net.decoders, strict=True)
    ]
    model = LoadedModel(MODELS["videofusion"], net, torch.device("cpu"))
    for streams in ({"fused"}, {"fused", "ir"}):
        ran.clear()
        (fused,) = run(model, [clip], streams=streams)
        assert fused.streams.keys() == ran == streams
    for hook in hooks:
        hook.remove()
