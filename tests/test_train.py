"""Training: resume equals uninterrupted, crops are numbered, settings are typed, failures are clear."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

pytest.importorskip("accelerate", reason="training is an extra: pip install 'vfuse[train]'")

from vfuse.errors import InputError, OutputError, UsageError, WeightsError
from vfuse.io.cache import CachedClip
from vfuse.models import MODELS, Output
from vfuse.models._load import load_model
from vfuse.train._checkpoint import NAME, load
from vfuse.train._clips import batches, check_clips
from vfuse.train._config import TrainConfig, differences, override
from vfuse.train._export import export
from vfuse.train._loop import DivergedError, Step, fit, learning_rate
from vfuse.train._recipe import RECIPES
from vfuse.train._validate import psnr, validator

RECIPE = RECIPES["videofusion-s"]


def config(**changes: object) -> TrainConfig:
    base = RECIPE.presets["default"]
    small = replace(base.sampling, height=32, width=32, batch=1, frames=2)
    optim = replace(base.optim, steps=6, warmup=2)
    return replace(base, every=3, precision="float32", sampling=small, optim=optim, **changes)  # type: ignore[arg-type]


def clip(
    name: str = "a", *, count: int = 6, size: int = 40, seed: int = 0, still: bool = False
) -> CachedClip:
    rng = np.random.default_rng(seed)
    ir, vis = (rng.integers(0, 255, (count, c, size, size), dtype=np.uint8) for c in (1, 3))
    return CachedClip(name, still, {"ir": ir, "vis": vis})


def stop_after(number: int, error: BaseException | None = None):
    def watch(steps: Iterable[Step], _total: int) -> Iterator[Step]:
        for step in steps:
            yield step
            if step.number == number:
                if error is not None:
                    raise error
                return

    return watch


def weights(network: nn.Module) -> list[Tensor]:
    return list(network.state_dict().values())


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    run = tmp_path_factory.mktemp("uninterrupted")
    return fit(RECIPE, config(), [clip()], run, cpu=True), run


@pytest.mark.parametrize("stop", [3, 4])  # with a checkpoint of this step, and one step after a checkpoint
def test_a_resumed_run_equals_an_uninterrupted_one(
    uninterrupted: tuple[nn.Module, Path], tmp_path: Path, stop: int
) -> None:
    with pytest.raises(RuntimeError, match="power cut"):
        fit(RECIPE, config(), [clip()], tmp_path, cpu=True, watch=stop_after(stop, RuntimeError("power cut")))
    resumed = fit(RECIPE, config(), [clip()], tmp_path, cpu=True)
    assert all(torch.equal(a, b) for a, b in zip(weights(uninterrupted[0]), weights(resumed), strict=True))


def test_interrupting_saves_the_steps_done(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(RECIPE, config(), [clip()], tmp_path, cpu=True, watch=stop_after(2, KeyboardInterrupt()))
    checkpoint = load(tmp_path)
    assert checkpoint is not None
    assert checkpoint.step == 2


def test_the_run_folder_tells_what_ran(uninterrupted: tuple[nn.Module, Path]) -> None:
    _, run = uninterrupted
    assert json.loads((run / "config.json").read_text()) == config().to_dict()
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [1, 2, 3, 4, 5, 6]
    assert all(line["loss"] > 0 and line["fidelity_vis"] > 0 for line in log)


def test_another_config_is_refused_with_the_difference(uninterrupted: tuple[nn.Module, Path]) -> None:
    changed = override(config(), ["optim.lr=0.5"])
    with pytest.raises(UsageError, match=r"optim.lr: 0.0015 -> 0.5"):
        fit(RECIPE, changed, [clip()], uninterrupted[1], cpu=True)


def test_a_run_starts_from_given_weights(uninterrupted: tuple[nn.Module, Path], tmp_path: Path) -> None:
    file = tmp_path / "first.safetensors"
    export(uninterrupted[1], file)
    idle = replace(config(), init="its digest", optim=replace(config().optim, steps=0))
    started = fit(RECIPE, idle, [clip()], tmp_path / "run", cpu=True, init=file)
    assert all(torch.equal(a, b) for a, b in zip(weights(uninterrupted[0]), weights(started), strict=True))


def test_weights_of_another_network_are_no_start(tmp_path: Path) -> None:
    file = tmp_path / "other.safetensors"
    save_file({"gain": torch.ones(3)}, file)
    with pytest.raises(WeightsError, match="another network than 'videofusion-s'"):
        fit(RECIPE, config(), [clip()], tmp_path / "run", cpu=True, init=file)


def test_a_time_budget_ends_with_a_checkpoint(tmp_path: Path) -> None:
    fit(
        RECIPE,
        replace(config(), optim=replace(config().optim, steps=10_000)),
        [clip()],
        tmp_path,
        budget=0.5,
        cpu=True,
    )
    checkpoint = load(tmp_path)
    assert checkpoint is not None
    assert 1 <= checkpoint.step < 1000


def test_a_diverging_run_stops_and_keeps_its_checkpoint(tmp_path: Path) -> None:
    fit(RECIPE, config(), [clip()], tmp_path, cpu=True, watch=stop_after(3))

    def broken(output: object, batch: object, config: TrainConfig) -> dict[str, Tensor]:
        terms = RECIPE.losses(output, batch, config)  # type: ignore[arg-type]
        return {name: term * float("nan") for name, term in terms.items()}

    with pytest.raises(DivergedError, match="gradient is nan at step 4"):
        fit(replace(RECIPE, losses=broken), config(), [clip()], tmp_path, cpu=True)
    checkpoint = load(tmp_path)
    assert checkpoint is not None
    assert checkpoint.step == 3


def test_training_reduces_the_loss(tmp_path: Path) -> None:
    smooth = np.linspace(0, 200, 40, dtype=np.uint8)
    streams = {
        "ir": np.broadcast_to(smooth, (2, 1, 40, 40)),
        "vis": np.broadcast_to(smooth[:, None], (2, 3, 40, 40)),
    }
    long = replace(config(), optim=replace(config().optim, steps=30), every=1000)
    fit(RECIPE, long, [CachedClip("ramp", False, streams)], tmp_path, cpu=True)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert sum(losses[-8:]) < 0.9 * sum(losses[:8])


def test_every_parameter_of_the_small_network_learns(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = MODELS["videofusion-s"].build().train()
    batch = next(batches([clip()], config(), first=0))
    terms = RECIPE.losses(network(batch.ir, batch.vis), batch, config())
    torch.stack(list(terms.values())).sum().backward()
    dead = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert dead == []


def test_batches_do_not_depend_on_where_they_are_started() -> None:
    clips = [clip("a"), clip("b", seed=1), clip("photo", count=1, still=True, seed=2)]
    stream = batches(clips, config(), first=0)
    skipped = [next(stream) for _ in range(4)][3]
    direct = next(batches(clips, config(), first=3))
    assert all(torch.equal(a, b) for a, b in zip(skipped, direct, strict=True))


def test_ranks_share_out_the_crops_of_one_process() -> None:
    clips, double = [clip("a"), clip("b", seed=1)], config()
    double = replace(double, sampling=replace(double.sampling, batch=2))
    alone = next(batches(clips, double, first=0))
    ranks = [next(batches(clips, config(), first=0, rank=rank, processes=2)) for rank in range(2)]
    for whole, *parts in zip(alone, *ranks, strict=True):
        assert torch.equal(whole, torch.cat(parts))


def test_a_still_becomes_a_moving_clip_with_both_streams_in_step() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (1, 1, 64, 64), dtype=np.uint8)
    photo = CachedClip("photo", True, {"ir": image, "vis": np.repeat(image, 3, axis=1)})
    four = replace(config(), sampling=replace(config().sampling, frames=4))
    batch = next(batches([photo], four, first=1))
    assert torch.allclose(batch.clean_vis, batch.clean_ir.expand(-1, -1, 3, -1, -1))
    assert float((batch.clean_ir[:, 1:] - batch.clean_ir[:, :-1]).abs().mean()) > 0.01


def test_a_clip_that_is_too_small_is_named() -> None:
    with pytest.raises(InputError, match=r"'tiny' has 6 frames of 16x16, crops need 2 of 32x32"):
        check_clips([clip("tiny", size=16)], config())
    with pytest.raises(InputError, match=r"'short' has 1 frames"):
        check_clips([clip("short", count=1)], config())


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("optim.lrr=1", "Did you mean 'lr'"),
        ("optim=1", "is a group"),
        ("optim.lr=fast", "is not a float"),
        ("sampling.batch=1.5", "is not a int"),
        ("degrade.blur=1", "is not a tuple"),
        ("optim.lr", "has no '='"),
        ("seed.x=1", "has no fields"),
    ],
)
def test_bad_settings_are_refused(assignment: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        override(config(), [assignment])


def test_settings_are_typed_and_their_difference_is_told() -> None:
    changed = override(config(), ["optim.lr=1e-4", "degrade.blur=1,2", "sampling.batch=4"])
    assert (changed.optim.lr, changed.degrade.blur, changed.sampling.batch) == (1e-4, (1.0, 2.0), 4)
    assert len(differences(config().to_dict(), changed.to_dict())) == 3


def test_learning_rate_warms_up_and_falls() -> None:
    optim = replace(config().optim, warmup=10, steps=100)
    rates = [learning_rate(optim, step, step / 100) for step in range(100)]
    assert rates[0] == pytest.approx(optim.lr / 10)
    assert max(rates) == pytest.approx(rates[9], rel=0.05)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert learning_rate(optim, 100, 1.0) == pytest.approx(optim.lr * optim.final)


def test_exported_weights_load_and_are_the_average(
    uninterrupted: tuple[nn.Module, Path], tmp_path: Path
) -> None:
    network, run = uninterrupted
    out = tmp_path / "mine.safetensors"
    assert export(run, out) == "videofusion-s"
    loaded = load_model("videofusion-s", weights=out, device="cpu", precision="float32")
    assert all(torch.equal(a, b) for a, b in zip(weights(network), weights(loaded.network), strict=True))
    with pytest.raises(OutputError, match="exists"):
        export(run, out)


def test_damaged_and_missing_checkpoints_are_clear(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no checkpoint"):
        export(tmp_path, tmp_path / "x.safetensors")
    (tmp_path / NAME).write_bytes(b"not a checkpoint")
    with pytest.raises(WeightsError, match="is not a checkpoint"):
        load(tmp_path)


def test_validation_measures_gains_and_shows_pictures() -> None:
    class Perfect(nn.Module):
        """Knows the clean clip and returns it."""

        def __init__(self, truth: CachedClip) -> None:
            super().__init__()
            self.anchor = nn.Parameter(torch.zeros(1))
            self.ir, self.vis = (torch.from_numpy(truth.streams[k][None]) / 255 for k in ("ir", "vis"))

        def forward(self, ir: Tensor, vis: Tensor, *, streams: object):
            return Output(self.vis, self.ir, self.vis)

    truth, shown = clip(), []
    shows = {
        "entry": MODELS["videofusion-s"],
        "precision": "float32",
        "preview": lambda *args: shown.append(args),
    }
    figures = validator([truth], **shows)(Perfect(truth))
    assert figures["ir_gain"] > 60
    assert figures["clean_vis"] == 100
    assert [(name, tuple(picture.shape)) for name, picture in shown] == [("a", (3, 40, 120))] * len(shown)
    assert shown


def test_validation_pads_for_networks_that_need_it() -> None:
    torch.manual_seed(0)
    held = [clip(size=40)]  # this network takes multiples of 64
    figures = validator(held, entry=MODELS["temcoco-s"], precision="float32")(
        MODELS["temcoco-s"].build().eval()
    )
    assert 0 < figures["clean_fused"] < 255


def test_psnr() -> None:
    zeros = torch.zeros(4)
    assert psnr(zeros + 0.1, zeros) == pytest.approx(20, abs=1e-4)
