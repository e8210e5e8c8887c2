"""What a run leaves behind when it is killed, interrupted, out of disk, begun anew."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

pytest.importorskip("accelerate", reason="training is an extra: pip install 'vfuse[train]'")

from test_train import RECIPE, clip, config, stop_after, weights

from vfuse.errors import OutputError, UsageError
from vfuse.train import _checkpoint
from vfuse.train._checkpoint import NAME, PART, Checkpoint, load, save
from vfuse.train._export import export
from vfuse.train._loop import fit
from vfuse.train._run_log import BOARD, LOG, RunLog


def checkpoint(step: int, *, values: int = 1000) -> Checkpoint:
    state = {"weight": torch.full((values,), float(step))}
    return Checkpoint(step, 1.0, state, state, {}, torch.get_rng_state(), config().to_dict())


def in_a_child(work) -> int:
    """Run `work` in a process of its own; its exit code, negative for a signal."""
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join()
    assert child.exitcode is not None
    return child.exitcode


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("moment", ["half written", "written", "renamed"])
def test_a_kill_while_saving_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    save(checkpoint(1), tmp_path)

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def write_half(content: object, file) -> None:
        original(content, file)
        file.truncate(file.tell() // 2)
        die()

    original, rename = torch.save, os.replace
    if moment == "half written":
        monkeypatch.setattr(torch, "save", write_half)
    elif moment == "written":
        monkeypatch.setattr(os, "fsync", die)
    else:
        monkeypatch.setattr(os, "replace", lambda *names: (rename(*names), die()))
    assert in_a_child(lambda: save(checkpoint(2), tmp_path)) == -signal.SIGKILL
    monkeypatch.undo()
    found = load(tmp_path)
    assert found is not None
    assert found.step == (2 if moment == "renamed" else 1)
    assert float(found.model["weight"][0]) == found.step
    save(checkpoint(3), tmp_path)  # and what was left lying about is in nobody's way
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME]


def test_a_full_disk_is_told_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    save(checkpoint(1), tmp_path)
    with files_no_larger_than(50_000), pytest.raises(OutputError, match=r"checkpoint.pt: cannot save"):
        save(checkpoint(2, values=100_000), tmp_path)
    found = load(tmp_path)
    assert found is not None
    assert found.step == 1
    assert not (tmp_path / PART).exists()


def test_a_full_disk_is_told_by_the_log_and_by_export(tmp_path: Path) -> None:
    save(checkpoint(1, values=100_000), tmp_path)
    with RunLog(tmp_path, config(), step=0) as log:
        log.step(1, seconds=1.0, lr=0.1, gradient=1.0, terms={"a": 1.0})
        with files_no_larger_than(16), pytest.raises(OutputError, match=r"log\.jsonl"):
            log.step(2, seconds=2.0, lr=0.1, gradient=1.0, terms={"a": 1.0})
    out = tmp_path / "w.safetensors"
    with files_no_larger_than(50_000), pytest.raises(OutputError, match=r"w\.safetensors: cannot be written"):
        export(tmp_path, out)
    with pytest.raises(OutputError, match="cannot be written"):
        export(tmp_path, tmp_path / "nowhere" / "w.safetensors")
    assert [path.name for path in tmp_path.glob("*.safetensors*")] == []


def test_an_interrupt_in_the_middle_of_a_change_saves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vfuse.train import _loop

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    fit(RECIPE, config(), [clip()], tmp_path, cpu=True, watch=stop_after(1))
    before = load(tmp_path)
    monkeypatch.setattr(_loop, "average", interrupted)  # the weights have changed, their average has not
    with pytest.raises(KeyboardInterrupt):
        fit(RECIPE, config(), [clip()], tmp_path, cpu=True)
    after = load(tmp_path)
    assert before is not None
    assert after is not None
    assert (before.step, after.step) == (1, 1)


def test_a_terminated_run_is_saved(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        fit(RECIPE, config(), [clip()], tmp_path, cpu=True, watch=stop_after(2, SystemExit(143)))
    found = load(tmp_path)
    assert found is not None
    assert found.step == 2


def test_fresh_begins_anew(tmp_path: Path) -> None:
    fit(RECIPE, config(), [clip()], tmp_path, cpu=True, watch=stop_after(2))
    other = replace(config(), seed=5, optim=replace(config().optim, steps=1))
    with pytest.raises(UsageError, match="--fresh"):
        fit(RECIPE, other, [clip()], tmp_path, cpu=True)
    anew = fit(RECIPE, other, [clip()], tmp_path, cpu=True, fresh=True)
    elsewhere = fit(RECIPE, other, [clip()], tmp_path / "elsewhere", cpu=True)
    assert all(torch.equal(a, b) for a, b in zip(weights(anew), weights(elsewhere), strict=True))
    assert [json.loads(line)["step"] for line in (tmp_path / LOG).read_text().splitlines()] == [1]


def test_the_log_of_a_resumed_run_has_every_step_once(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="power cut"):
        fit(RECIPE, config(), [clip()], tmp_path, cpu=True, watch=stop_after(5, RuntimeError("power cut")))
    with (tmp_path / LOG).open("a") as log:
        log.write('{"step": 6, "loss"')  # cut off
    told: list[int | None] = []

    def watch(steps, total):
        told.append(total)
        return steps

    fit(RECIPE, config(), [clip()], tmp_path, cpu=True, watch=watch)
    assert [json.loads(line)["step"] for line in (tmp_path / LOG).read_text().splitlines()] == [
        1,
        2,
        3,
        4,
        5,
        6,
    ]
    assert told == [3]


def test_scalars_go_to_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with RunLog(tmp_path, config(), step=0) as log:
        for number in (1, 2, 3):
            log.step(number, seconds=1.0, lr=0.1, gradient=1.0, terms={"a": 1.0 * number, "b": 1.0})
        log.validation(3, {"ir_gain": 7.5})
    time.sleep(1.1)  # TensorBoard sorts its files by the second
    with RunLog(tmp_path, config(), step=2) as log:  # an interrupted run: step 3 is written again
        log.step(3, seconds=1.0, lr=0.1, gradient=1.0, terms={"a": 30.0, "b": 1.0})
    board = EventAccumulator(str(tmp_path / BOARD)).Reload()
    assert [(event.step, event.value) for event in board.Scalars("train/loss")] == [(1, 2), (2, 3), (3, 31)]


def test_without_tensorboard_the_log_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard.writer", None)
    with RunLog(tmp_path, config(), step=0) as log:
        log.step(1, seconds=1.0, lr=0.1, gradient=1.0, terms={"a": 1.0})
    assert (tmp_path / LOG).read_text().count("\n") == 1
    assert not (tmp_path / BOARD).exists()


def test_weights_of_an_ablated_run_are_not_exported(tmp_path: Path) -> None:
    ablated = config().to_dict()
    ablated["network"]["bicam"] = False
    _checkpoint.save(replace(checkpoint(1), config=ablated), tmp_path)
    with pytest.raises(UsageError, match="without bicam"):
        export(tmp_path, tmp_path / "w.safetensors")
