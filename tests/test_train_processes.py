"""Two processes learn what one learns from the same crops; so does one that accumulates."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor

pytest.importorskip("accelerate", reason="training is an extra: pip install 'vfuse[train]'")

from test_train import RECIPE, clip, config

from vfuse.train._checkpoint import load
from vfuse.train._clips import batches
from vfuse.train._config import TrainConfig
from vfuse.train._loop import accumulate, fit
from vfuse.train._losses import LossWeights
from vfuse.train._run import open_run

CLIPS = [clip("a"), clip("b", seed=1)]


def settings(*, batch: int = 1, accumulate: int = 1) -> TrainConfig:
    base = config()
    optim = replace(base.optim, steps=2, accumulate=accumulate, warmup=0)
    sampling = replace(base.sampling, batch=batch)
    # The released weights of the losses, whatever our recipe has: they decide how much rounding errors count.
    return replace(base, sampling=sampling, optim=optim, loss=LossWeights())


def gradients(settings: TrainConfig, run: Path) -> Tensor:
    """Those of the first step, all parameters in one line."""
    run.mkdir(exist_ok=True)
    state = open_run(RECIPE, settings, run, cpu=True)
    accelerator = state.accelerator
    source = batches(
        CLIPS, settings, first=0, rank=accelerator.process_index, processes=accelerator.num_processes
    )
    accumulate(state, RECIPE, settings, islice(source, settings.optim.accumulate))
    parameters = accelerator.unwrap_model(state.network).parameters()
    return torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])


def distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


def test_accumulation_equals_a_larger_batch(tmp_path: Path) -> None:
    expected = gradients(settings(batch=2), tmp_path / "large")
    assert distance(gradients(settings(accumulate=2), tmp_path / "twice"), expected) < 1e-4
    assert distance(gradients(settings(), tmp_path / "half"), expected) > 0.05  # the test can tell


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


@contextmanager
def process(rank: int, port: int) -> Iterator[None]:
    """The environment that torchrun gives one of two processes."""
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in names.items()} | {"MASTER_ADDR": "127.0.0.1"})
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def work(rank: int, port: int, folder: str) -> None:
    """What each of the two processes does."""
    root = Path(folder)
    with process(rank, port):
        torch.save(gradients(settings(), root / "run"), root / f"gradient{rank}.pt")
        network = fit(RECIPE, settings(), CLIPS, root / "run", budget=1e6, cpu=True)
        torch.save(network.state_dict(), root / f"weights{rank}.pt")


@pytest.mark.slow
def test_two_processes_equal_one_with_the_same_crops(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(work, (free_port(), str(tmp_path)), nprocs=2)
    expected = gradients(settings(batch=2), tmp_path / "alone")
    found = [torch.load(tmp_path / f"gradient{rank}.pt", weights_only=True) for rank in range(2)]
    assert torch.equal(*found)
    assert distance(found[0], expected) < 1e-4

    alone = fit(RECIPE, settings(batch=2), CLIPS, tmp_path / "one", cpu=True).state_dict()
    first, second = (torch.load(tmp_path / f"weights{rank}.pt", weights_only=True) for rank in range(2))
    assert all(torch.equal(first[name], second[name]) for name in alone)
    start = RECIPE.build(settings()).state_dict()
    moved = torch.cat([(alone[name] - start[name]).flatten() for name in alone])
    apart = torch.cat([(alone[name] - first[name]).flatten() for name in alone])
    assert float(apart.norm()) < 0.02 * float(moved.norm())
    checkpoint = load(tmp_path / "run")
    assert checkpoint is not None
    assert checkpoint.step == 2
    assert (tmp_path / "run" / "log.jsonl").read_text().count("\n") == 2  # written by one process only
