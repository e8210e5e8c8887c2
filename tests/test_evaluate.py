"""Scoring videos: the values are those of the frames, in order, in bounded memory, nothing cut silently."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from _media import write_images, write_video
from _scenes import RATE, Scene, scene

import vfuse.evaluate._reading as reading
from vfuse.errors import InputError, PairError, UsageError
from vfuse.evaluate import ClipFiles, ScoreOptions, Scores, evaluate
from vfuse.metrics import METRICS, Image, Sources, SourceStep, Step, choose, measure
from vfuse.metrics._flow import DIS
from vfuse.metrics._measure import of_step
from vfuse.metrics._moment import TRIVIAL
from vfuse.metrics._scores import Row, Run

NAMES = ("mi", "ssim", "hot_target", "warp", "brightness_step", "brightness_spread")
LABELS = ("mi", "ssim", "hot_target", "warp[dis]", "brightness_step", "brightness_spread")


def options(**changes) -> ScoreOptions:
    return ScoreOptions(**{"metrics": choose(names=NAMES), "workers": 2} | changes)


def score(paths: dict[str, Path], **changes) -> Scores:
    clip = ClipFiles(name="clip", ir=paths["ir"], vis=paths["vis"], fused={"mine": paths["fused"]})
    return evaluate([clip], options=options(**changes))


@pytest.fixture
def made() -> Scene:
    return scene()


@pytest.fixture
def paths(made: Scene, tmp_path: Path) -> dict[str, Path]:
    return made.write(tmp_path)


def mine(scores: Scores) -> list[dict[str, float | None]]:
    return [dict(row.values) for run in scores.runs if run.method == "mine" for row in run.rows]


def step(made: Scene, t: int) -> Step:
    before, after = (Sources(Image(made.ir[i]), Image(made.vis[i])) for i in (t - 1, t))
    return Step(SourceStep(before, after, flow=DIS), Image(made.fused[t - 1]), Image(made.fused[t]))


def test_values_are_those_of_each_frame_and_step(made: Scene, paths: dict[str, Path]):
    scores = score(paths)
    assert tuple(scores.metrics) == LABELS
    for t, values in enumerate(mine(scores)):
        alone = measure(made.fused[t], ir=made.ir[t], vis=made.vis[t], metrics=NAMES)
        assert {name: values[name] for name in alone} == pytest.approx(alone, rel=1e-12)
        if t == 0:
            assert "warp[dis]" not in values
        else:
            wanted = of_step(choose(names=["warp", "brightness_step"]), step(made, t))
            assert [values["warp[dis]"], values["brightness_step"]] == pytest.approx(list(wanted.values()))
    brightness = [Image(frame).grey.mean() for frame in made.fused]
    assert scores.summary("mine", "brightness_spread").mean == pytest.approx(np.std(brightness))


def test_two_swapped_frames_are_noticed(made: Scene, paths: dict[str, Path], tmp_path: Path):
    swapped = replace(made, fused=[made.fused[i] for i in (0, 2, 1, 3, 4, 5)]).write(tmp_path / "swapped")
    right, wrong = (score(files).summary("mine", "mi").mean for files in (paths, swapped))
    assert wrong < right


def test_threads_images_and_video_give_the_same(made: Scene, paths: dict[str, Path], tmp_path: Path):
    folders = {
        "ir": write_images(tmp_path / "i", made.ir),
        "vis": write_images(tmp_path / "v", made.vis),
        "fused": write_images(tmp_path / "f", made.fused),
    }
    wanted = mine(score(paths, workers=1))
    assert mine(score(paths, workers=5)) == wanted
    assert mine(score(folders)) == wanted


def test_trivial_baselines_stand_beside(made: Scene, paths: dict[str, Path]):
    scores = score(paths)
    assert scores.methods(trivial=True) == list(TRIVIAL)
    visible = scores.summary("visible only", "mi").mean
    alone = [measure(v, ir=i, vis=v, metrics=["mi"])["mi"] for i, v in zip(made.ir, made.vis, strict=True)]
    assert visible == pytest.approx(np.mean(alone))
    assert scores.summary("infrared only", "hot_target").mean == pytest.approx(1)
    assert score(paths, baselines=0).methods(trivial=True) == []
    (run,) = (run for run in score(paths, baselines=2).runs if run.method == "mean of both")
    assert [row.frame for row in run.rows] == [0, 2, 4]
    assert "mine" in scores.methods(trivial=False)
    assert scores.ranks("mi") == {}  # one method alone is not best


def test_every_start_and_end(made: Scene, paths: dict[str, Path]):
    whole = mine(score(paths))
    (run,) = (run for run in score(paths, every=2).runs if run.method == "mine")
    assert [row.frame for row in run.rows] == [0, 2, 4]
    assert [dict(row.values) for row in run.rows] == whole[::2]
    (part,) = (run for run in score(paths, start=2 / RATE, end=5 / RATE).runs if run.method == "mine")
    assert [row.frame for row in part.rows] == [2, 3, 4]
    assert [dict(row.values) for row in part.rows][1:] == whole[3:5]


def test_repeated_frames_are_found_and_left_out(made: Scene, tmp_path: Path):
    order = [0, 0, 1, 1, 2, 2]
    doubled = Scene(*([frames[i] for i in order] for frames in (made.ir, made.vis, made.fused)))
    paths = doubled.write(tmp_path / "doubled")
    scores = score(paths)
    assert scores.clips[0].repeats == {"ir": (1, 3, 5), "vis": (1, 3, 5)}
    assert score(paths, start=2 / RATE).clips[0].repeats["ir"] == (3, 5)
    kept = [values for values in mine(score(paths, unique=True)) if "warp[dis]" in values]
    assert len(kept) == 2
    assert [v["warp[dis]"] for v in kept] == [v["warp[dis]"] for v in mine(scores) if v.get("warp[dis]")]


def test_degraded_input_is_scored_against_the_clean_frames(
    made: Scene, paths: dict[str, Path], tmp_path: Path
):
    rng = np.random.default_rng(1)
    noisy = [np.clip(f + rng.normal(0, 20, f.shape), 0, 255).astype(np.uint8) for f in made.ir]
    bad = write_video(tmp_path / "bad.mkv", noisy, rate=RATE)
    clip = ClipFiles(
        name="clip",
        ir=bad,
        vis=paths["vis"],
        fused={"mine": paths["fused"]},
        reference_ir=paths["ir"],
        reference_vis=paths["vis"],
    )
    metrics = choose(names=["mi", "psnr_ir", "psnr_vis", "ssim_ir"])
    scores = evaluate([clip], options=options(metrics=metrics))
    assert scores.summary("mine", "mi") == score(paths).summary("mine", "mi")
    error = [((a.astype(float) - b) ** 2).mean() for a, b in zip(made.ir, noisy, strict=True)]
    assert scores.summary("mine", "psnr_ir").mean == pytest.approx(
        np.mean(10 * np.log10(255**2 / np.array(error)))
    )
    assert scores.summary("mine", "psnr_vis").mean == float("inf")
    assert scores.summary("mean of both", "psnr_ir") is None
    assert scores.summary("infrared only", "mi").mean < score(paths).summary("infrared only", "mi").mean
    with pytest.raises(UsageError, match="--reference-ir"):
        score(paths, metrics=metrics)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"fused": slice(0, 5)}, "5 frames, the visible 6"),
        ({"ir": slice(0, 4)}, "4 frames, the visible 6"),
    ],
)
def test_counts_that_differ(made: Scene, tmp_path: Path, wrong: dict[str, slice], said: str):
    cut = replace(made, **{name: getattr(made, name)[part] for name, part in wrong.items()})
    with pytest.raises(PairError, match=said):
        score(cut.write(tmp_path / "cut"))


def test_sizes_and_rates_that_differ(made: Scene, paths: dict[str, Path], tmp_path: Path):
    small = write_video(tmp_path / "small.mkv", [f[:32] for f in made.fused], pix_fmt="bgr0", rate=RATE)
    with pytest.raises(PairError, match="96x32, the visible 96x64"):
        score(paths | {"fused": small})
    slow = write_video(tmp_path / "slow.mkv", made.fused, pix_fmt="bgr0", rate=5)
    with pytest.raises(PairError, match="5 fps, the visible 10 fps"):
        score(paths | {"fused": slow})


def test_damage_in_the_middle_names_the_frame_after_telling_what_came_before(made: Scene, tmp_path: Path):
    folder = write_images(tmp_path / "f", made.fused)
    (folder / "0003.png").write_bytes(b"not a png")
    paths = made.write(tmp_path / "ok") | {"fused": folder}
    clip = ClipFiles(name="clip", ir=paths["ir"], vis=paths["vis"], fused={"mine": folder})
    heard: list[int] = []
    with pytest.raises(InputError, match="0003"):
        evaluate(
            [clip], options=options(), told=lambda _, measured: heard.append(measured.rows["mine"].frame)
        )
    assert heard == [0, 1, 2]


def test_reading_does_not_run_ahead(paths: dict[str, Path], made: Scene, tmp_path: Path, monkeypatch):
    """Memory is bounded: when the first scores arrive, only a few moments have been taken."""
    long = Scene(*(frames * 10 for frames in (made.ir, made.vis, made.fused))).write(tmp_path / "long")
    taken: list[int] = []
    moment = reading.Moment

    def counted(**fields):
        taken.append(fields["frame"])
        return moment(**fields)

    monkeypatch.setattr(reading, "Moment", counted)
    ahead: list[int] = []
    clip = ClipFiles(name="clip", ir=long["ir"], vis=long["vis"], fused={"mine": long["fused"]})
    evaluate(
        [clip],
        options=options(metrics=choose(names=["en"]), workers=2),
        told=lambda _, measured: ahead.append(taken[-1] - measured.rows["mine"].frame),
    )
    assert len(ahead) == 60
    assert max(ahead) <= 3


def test_scores_as_json_are_complete_and_valid(paths: dict[str, Path]):
    facts = json.loads(json.dumps(score(paths).as_json(), allow_nan=False))
    assert facts["schema_version"] == 1
    assert facts["metrics"]["warp[dis]"]["version"] == 1
    assert facts["settings"]["profile"] == "definition"
    assert len(facts["clips"][0]["files"]["ir"]["sha256"]) == 64
    assert facts["runs"][0]["frames"] == 6
    assert set(facts["methods"]) == {"mine", *TRIVIAL}


def test_spread_over_clips_and_ranks(made: Scene, tmp_path: Path):
    other = scene(seed=5)
    flat = [np.full_like(f, 90) for f in made.fused]
    clips = []
    for name, part in (("a", made), ("b", other)):
        paths = part.write(tmp_path / name)
        dull = write_video(tmp_path / name / "dull.mkv", flat, pix_fmt="bgr0", rate=RATE)
        fused = {"good": paths["fused"], "dull": dull}
        clips.append(ClipFiles(name=name, ir=paths["ir"], vis=paths["vis"], fused=fused))
    scores = evaluate(clips, options=options())
    means = [run.mean("mi") for run in scores.runs if run.method == "good"]
    summary = scores.summary("good", "mi")
    assert (summary.mean, summary.spread, summary.clips) == pytest.approx((np.mean(means), np.std(means), 2))
    assert scores.ranks("mi") == {"good": 1, "dull": 2}
    assert scores.ranks("brightness_step")["dull"] == 1 or scores.ranks("brightness_step")["good"] == 1


def test_a_single_image_has_no_temporal_values(made: Scene, tmp_path: Path):
    files = {
        name: write_images(tmp_path / name, frames[:1]) / "0000.png"
        for name, frames in (("ir", made.ir), ("vis", made.vis), ("fused", made.fused))
    }
    scores = score(files)
    assert scores.summary("mine", "warp[dis]") is None
    assert scores.summary("mine", "brightness_spread") is None
    assert scores.summary("mine", "mi").mean > 0


def test_impossible_requests():
    with pytest.raises(UsageError, match="feature network"):
        options(metrics=choose(names=["feacd_cos"]))
    with pytest.raises(UsageError, match="repeated frames"):
        options(unique=True, every=2)
    with pytest.raises(UsageError, match="trivial baseline"):
        ClipFiles(name="c", ir=Path("i"), vis=Path("v"), fused={"visible only": Path("f")})


@pytest.mark.parametrize(("means", "spread"), [((0.3, 0.1 + 0.2), 0), ((0.3, 0.3 + 1e-9), 5e-10)])
def test_spread_is_of_clips_and_not_of_rounding(means: tuple[float, float], spread: float):
    rows = [(Row(frame=0, time=0, values={"mi": mean}, brightness=0),) for mean in means]
    runs = [Run(clip=str(n), method="m", trivial=False, rows=row) for n, row in enumerate(rows)]
    scores = Scores(metrics={"mi": METRICS["mi"]}, clips=(), runs=tuple(runs), settings={})
    assert scores.summary("m", "mi").spread == pytest.approx(spread, rel=1e-3, abs=0)
