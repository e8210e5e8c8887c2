"""TemCoCo's losses against golden values; its teachers against the standard checkpoints' names and shapes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from _server import serve
from _temcoco_literal import golden_inputs, noise
from torch import Tensor
from typer.testing import CliRunner

from vfuse.checkpoints import CHECKPOINTS
from vfuse.cli.main import app
from vfuse.errors import WeightsError
from vfuse.train import _teachers
from vfuse.train._teachers import DinoV2, Vgg19, dinov2, load_teacher, vgg19
from vfuse.train._temcoco_losses import (
    PAPER,
    LossWeights,
    distillation_losses,
    fusion_losses,
    temporal_inconsistency,
)

# Of the released loss on the closed-form clips below, float64.
GOLDEN = {
    "intensity": 1.4985207004649073,
    "color": 2.1153451680335342,
    "gradient": 4.624821549880313,
    "pixel": 0.25686991859731295,
    "temporal": 0.23632277391580048,
    "ssim": 0.8977011848561852,
}
TOTAL = 9.629581295748052


@pytest.fixture(scope="module")
def clips() -> dict[str, Tensor]:
    ir, vis = golden_inputs(2, 4, 32, 48)
    grain = torch.from_numpy(noise(7, vis.numel())).view_as(vis)
    return {"fused": 0.55 * vis + 0.6 * ir - 0.1 + 0.05 * grain, "clean_ir": ir, "clean_vis": vis}


def test_golden(clips: dict[str, Tensor]) -> None:
    fused = clips["fused"]
    assert (fused.min().item(), fused.max().item()) == pytest.approx(
        (-0.07674253750202487, 1.0171424544403174)
    )
    terms = {name: term.item() for name, term in fusion_losses(**clips, weights=LossWeights()).items()}
    for name, expected in GOLDEN.items():
        limit = 2e-7 if name == "ssim" else 1e-12  # the released window is float32
        assert terms[name] == pytest.approx(expected, abs=limit), name
    assert sum(terms.values()) == pytest.approx(TOTAL, abs=2e-7)


def test_one_infrared_channel_says_as_much_as_three(clips: dict[str, Tensor]) -> None:
    one = fusion_losses(**{**clips, "clean_ir": clips["clean_ir"][:, :, :1]}, weights=LossWeights())
    assert one == fusion_losses(**clips, weights=LossWeights())


def test_paper_preset(clips: dict[str, Tensor]) -> None:
    official, paper = (fusion_losses(**clips, weights=w) for w in (LossWeights(), PAPER))
    assert sorted(paper) == ["color", "gradient", "intensity", "temporal"]
    for name in ("color", "gradient", "intensity"):
        assert paper[name].item() == pytest.approx(official[name].item() / 10)
    only_ir = fusion_losses(**clips, weights=replace(PAPER, temporal_sources="ir"))["temporal"]
    only_vis = fusion_losses(**clips, weights=replace(PAPER, temporal_sources="vis"))["temporal"]
    assert paper["temporal"].item() == pytest.approx((only_ir + only_vis).item())
    assert only_ir.item() == pytest.approx(official["temporal"].item() / 8)


def test_ssim_of_colours_differs_from_that_of_luma(clips: dict[str, Tensor]) -> None:
    luma, rgb = (
        fusion_losses(**clips, weights=LossWeights(ssim_visible=kind))["ssim"].item()
        for kind in ("luma", "rgb")
    )
    assert abs(luma - rgb) > 1e-3


def test_every_term_reaches_the_fused_clip_and_can_be_switched_off(clips: dict[str, Tensor]) -> None:
    fused = clips["fused"].clone().requires_grad_()
    for name, term in fusion_losses(**{**clips, "fused": fused}, weights=LossWeights()).items():
        (gradient,) = torch.autograd.grad(term, fused, retain_graph=True)
        assert gradient.abs().sum() > 0, name
        assert name not in fusion_losses(**clips, weights=replace(LossWeights(), **{name: 0.0}))


def test_temporal_inconsistency() -> None:
    _, clip = golden_inputs(1, 5, 16, 16)
    assert temporal_inconsistency(clip, 0.5 * clip + 0.2).item() == pytest.approx(0)  # same direction
    assert temporal_inconsistency(clip, -clip).item() == pytest.approx(2)
    assert temporal_inconsistency(clip, clip.flip(1)).item() > 0.5
    assert temporal_inconsistency(clip, torch.zeros_like(clip)).item() == pytest.approx(1)  # static
    assert temporal_inconsistency(clip[:, :1], clip[:, :1]).item() == 0


def test_distillation() -> None:
    features = {
        f"{m}_{kind}": torch.full((2, 4, 3, 3), value)
        for (m, kind), value in zip(
            [("ir", "visual"), ("vis", "visual"), ("ir", "semantic"), ("vis", "semantic")],
            (1.0, 2.0, 3.0, 4.0),
            strict=True,
        )
    }
    zero = {name: torch.zeros_like(x) for name, x in features.items()}
    official = distillation_losses(features, zero, weights=LossWeights())
    assert {name: term.item() for name, term in official.items()} == {"visual": 4, "semantic": 25}
    paper = distillation_losses(features, zero, weights=PAPER)
    assert paper["visual"].item() == pytest.approx(0.1 * 5)
    assert distillation_losses(features, {}, weights=LossWeights()) == {}
    only = {"vis_visual": zero["vis_visual"]}
    assert sorted(distillation_losses(features, only, weights=LossWeights())) == ["visual"]
    assert distillation_losses(features, zero, weights=LossWeights(visual=0.0, semantic=0.0)) == {}


# ------------------------------------------------------------------------------------------------ teachers


def vgg19_shapes() -> dict[str, tuple[int, ...]]:
    """torchvision's vgg19, entry by entry."""
    convs = {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256)}
    convs |= dict.fromkeys((12, 14, 16), (256, 256)) | {19: (256, 512)}
    convs |= dict.fromkeys((21, 23, 25, 28, 30, 32, 34), (512, 512))
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (c_in, c_out) in convs.items():
        shapes |= {f"features.{i}.weight": (c_out, c_in, 3, 3), f"features.{i}.bias": (c_out,)}
    for i, (c_in, c_out) in {0: (25088, 4096), 3: (4096, 4096), 6: (4096, 1000)}.items():
        shapes |= {f"classifier.{i}.weight": (c_out, c_in), f"classifier.{i}.bias": (c_out,)}
    return shapes


def dinov2_shapes() -> dict[str, tuple[int, ...]]:
    """dinov2_vitl14_pretrain.pth, entry by entry."""
    c = 1024
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, c),
        "pos_embed": (1, 1370, c),
        "mask_token": (1, c),
        "patch_embed.proj.weight": (c, 3, 14, 14),
        "patch_embed.proj.bias": (c,),
        "norm.weight": (c,),
        "norm.bias": (c,),
    }
    for i in range(24):
        linears = {"attn.qkv": (3 * c, c), "attn.proj": (c, c), "mlp.fc1": (4 * c, c), "mlp.fc2": (c, 4 * c)}
        for name, shape in linears.items():
            shapes |= {f"blocks.{i}.{name}.weight": shape, f"blocks.{i}.{name}.bias": shape[:1]}
        for name in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias", "ls1.gamma", "ls2.gamma"):
            shapes[f"blocks.{i}.{name}"] = (c,)
    return shapes


@pytest.mark.parametrize(
    ("kind", "shapes", "params"),
    [(Vgg19, vgg19_shapes(), 143_667_240), (DinoV2, dinov2_shapes(), 304_368_640)],
)
def test_standard_checkpoints_load_strictly(
    kind: type, shapes: dict[str, tuple[int, ...]], params: int
) -> None:
    with torch.device("meta"):
        teacher = kind()
        state = {name: torch.empty(shape) for name, shape in shapes.items()}
    assert sum(x.numel() for x in state.values()) == params
    loaded = load_teacher(teacher, state, where=Path("teacher.pth"))
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    first = next(iter(shapes))
    for broken in ({n: x for n, x in state.items() if n != first}, {**state, "head.weight": state[first]}):
        with pytest.raises(WeightsError, match=r"teacher\.pth.*(missing|unexpected)"):
            load_teacher(teacher, broken, where=Path("teacher.pth"))


def test_vgg19_stops_after_relu3_1() -> None:
    with torch.device("meta"):
        teacher = Vgg19()
    layers = [type(layer).__name__ for layer in teacher.features[: Vgg19.RELU3_1]]
    assert layers == ["Conv2d", "ReLU"] * 2 + ["MaxPool2d"] + ["Conv2d", "ReLU"] * 2 + ["MaxPool2d"] + [
        "Conv2d",
        "ReLU",
    ]
    assert teacher(torch.empty(2, 3, 32, 48, device="meta")).shape == (2, 256, 8, 12)


@pytest.fixture
def small_dino() -> DinoV2:
    torch.manual_seed(0)
    teacher = DinoV2(width=16, depth=2, heads=2, patch=14, grid=4).double()
    with torch.no_grad():
        for p in teacher.parameters():
            p.normal_(std=0.3)
    return teacher


def test_dinov2_step_by_step(small_dino: DinoV2) -> None:
    """The transformer written out with explicit attention, at its own grid."""
    frames = golden_inputs(1, 1, 64, 64)[1][0]
    p = dict(small_dino.named_parameters())
    x = F.interpolate(frames, size=(56, 56), mode="bilinear", align_corners=False)
    patches = x.unfold(2, 14, 14).unfold(3, 14, 14).permute(0, 2, 3, 1, 4, 5).reshape(1, 16, -1)
    x = patches @ p["patch_embed.proj.weight"].flatten(1).T + p["patch_embed.proj.bias"]
    x = torch.cat([p["cls_token"], x], 1) + p["pos_embed"]
    for i in range(2):
        b = f"blocks.{i}."
        z = F.layer_norm(x, (16,), p[b + "norm1.weight"], p[b + "norm1.bias"], 1e-6)
        qkv = z @ p[b + "attn.qkv.weight"].T + p[b + "attn.qkv.bias"]
        heads = []
        for h in range(2):
            q, k, v = (qkv[..., 16 * j + 8 * h : 16 * j + 8 * h + 8] for j in range(3))
            heads.append((q @ k.transpose(1, 2) / 8**0.5).softmax(-1) @ v)
        z = torch.cat(heads, -1) @ p[b + "attn.proj.weight"].T + p[b + "attn.proj.bias"]
        x = x + p[b + "ls1.gamma"] * z
        z = F.layer_norm(x, (16,), p[b + "norm2.weight"], p[b + "norm2.bias"], 1e-6)
        z = F.gelu(z @ p[b + "mlp.fc1.weight"].T + p[b + "mlp.fc1.bias"])
        x = x + p[b + "ls2.gamma"] * (z @ p[b + "mlp.fc2.weight"].T + p[b + "mlp.fc2.bias"])
    x = F.layer_norm(x, (16,), p["norm.weight"], p["norm.bias"], 1e-6)[:, 1:]
    torch.testing.assert_close(small_dino(frames), x.transpose(1, 2).reshape(1, 16, 4, 4))


def test_dinov2_grids(small_dino: DinoV2) -> None:
    """One token for 16 x 16 pixels on any grid, row by row; a change in a corner changes that token most."""
    frames = golden_inputs(1, 1, 48, 112)[1][0]
    tokens = small_dino(frames)
    assert tokens.shape == (1, 16, 3, 7)
    changed = frames.clone()
    changed[..., :16, 96:] = 0
    change = (small_dino(changed) - tokens).square().sum(1)[0]
    assert change.argmax().item() == 6  # first row, last column


def test_missing_teachers_say_where_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VFUSE_DATA_DIR", str(tmp_path))
    for load, name in ((vgg19, "vgg19"), (dinov2, "dinov2")):
        with pytest.raises(WeightsError, match=f"vfuse weights pull {name} .*{CHECKPOINTS[name].url}"):
            load()


def test_a_pulled_checkpoint_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way from a host through the command line to the teacher, with a VGG19 narrow enough to write."""
    monkeypatch.setenv("VFUSE_DATA_DIR", str(tmp_path / "home"))
    monkeypatch.setattr(Vgg19, "WIDTHS", ((2, 2), (2, 2), (2,) * 4, (2,) * 4, (512,) * 4))
    monkeypatch.setattr(_teachers.nn, "Linear", lambda i, o: torch.nn.Conv2d(1, 1, 1))
    whole = Vgg19()
    torch.save(whole.state_dict(), tmp_path / "vgg.pth")
    content = (tmp_path / "vgg.pth").read_bytes()
    known = CHECKPOINTS["vgg19"]
    with serve() as host:
        host.files[f"/{known.file}"] = content
        pull = ["weights", "pull", "vgg19", "--mirror", host.url]
        refused = CliRunner().invoke(app, pull)
        assert refused.exit_code == WeightsError.exit_code
        assert "another file" in refused.stderr
        with pytest.raises(WeightsError, match="not on this machine"):
            vgg19()
        right = replace(known, sha256=hashlib.sha256(content).hexdigest()[:8])
        monkeypatch.setitem(CHECKPOINTS._entries, "vgg19", right)
        assert CliRunner().invoke(app, pull).stdout.strip() == f"vgg19: {right.path}"
        asked = len(host.asked)
        assert CliRunner().invoke(app, pull).exit_code == 0
        assert len(host.asked) == asked  # what is there and right is left alone
    frames = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(vgg19()(frames), whole(frames))
    right.path.write_bytes(content[:-1])
    with pytest.raises(WeightsError, match="damaged"):
        vgg19()


def test_checkpoints_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VFUSE_DATA_DIR", str(tmp_path))
    listed = CliRunner().invoke(app, ["weights", "list"]).stdout
    assert [line.split()[:3] for line in listed.splitlines() if "teacher" in line] == [
        ["vgg19", "not", "here"],
        ["dinov2", "not", "here"],
    ]
