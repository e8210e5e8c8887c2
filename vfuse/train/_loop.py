"""The training loop of all recipes: on a CPU, a GPU, or many under `accelerate launch` or `torchrun`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import nn

from vfuse.errors import OutputError, VfuseError
from vfuse.io.cache import CachedClip
from vfuse.prefetch import prefetch
from vfuse.train._clips import Batch, batches, check_clips
from vfuse.train._config import Optim, TrainConfig
from vfuse.train._recipe import Recipe
from vfuse.train._run import Checkpointing, State, Validate, open_run
from vfuse.train._run_log import RunLog

Watch = Callable[[Iterable["Step"], int | None], Iterable["Step"]]
"""Wraps the steps for progress; told how many are to come, None when a time budget decides."""

AHEAD = 4  # batches made in another thread while an accelerator computes


class DivergedError(VfuseError):
    """The loss or its gradient is no longer a finite number."""

    exit_code: ClassVar[int] = OutputError.exit_code


@dataclass(frozen=True)
class Step:
    """What one optimiser step reports.

    Attributes:
        number: steps done so far, this one included.
        terms: weighted loss terms by name, averaged over the batches of the step.
        gradient: norm before clipping.
        lr: learning rate used.
        seconds: training time of the run so far.
    """

    number: int
    terms: dict[str, float]
    gradient: float
    lr: float
    seconds: float


def fit(
    recipe: Recipe,
    config: TrainConfig,
    clips: Sequence[CachedClip],
    run: Path,
    *,
    validate: Validate | None = None,
    budget: float | None = None,
    cpu: bool = False,
    fresh: bool = False,
    init: Path | None = None,
    watch: Watch = lambda steps, total: steps,
) -> nn.Module:
    """Train, or go on training, the run in folder `run`; the averaged network in eval mode.

    The folder holds `config.json`, `log.jsonl` and `checkpoint.pt`. A run that was interrupted at any moment
    goes on from its last checkpoint and ends with the weights it would have had (bit for bit on one CPU).

    Args:
        recipe: the losses.
        config: everything else; a resumed run must have the same.
        clips: from `cache_clips`.
        validate: figures to log at every checkpoint.
        budget: stop cleanly after so many seconds of training in all; the learning rate then falls with the
            time used up where that is faster.
        cpu: leave an accelerator alone that is there.
        fresh: begin anew; the checkpoint and the log that are there are replaced.
        init: weights to start from instead of random ones; `config.init` says which they are.
        watch: wraps the steps, for progress.

    Raises:
        UsageError: the run was started with another config; lists the differences.
        InputError: a clip is too small for the crops.
        DivergedError: the loss is not finite; the last checkpoint is kept.
        OutputError: a checkpoint cannot be written.
    """
    check_clips(clips, config)
    _make(run)
    state = open_run(recipe, config, run, cpu=cpu, fresh=fresh, init=init)
    to_come = None if budget is not None else config.optim.steps - state.step
    with RunLog(run, config, step=state.step, active=state.accelerator.is_main_process) as log:
        keeper = Checkpointing(state, config, run, log, validate)
        try:
            for step in watch(steps(state, recipe, config, clips, budget), to_come):
                log.step(
                    step.number, seconds=step.seconds, lr=step.lr, gradient=step.gradient, terms=step.terms
                )
                if step.number % config.every == 0:
                    keeper.checkpoint()
        except (KeyboardInterrupt, SystemExit):  # a terminated command raises SystemExit
            if state.whole:
                keeper.save()
            raise
        keeper.checkpoint()
    return state.ema.eval()


def _make(run: Path) -> None:
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot be made: {error.strerror}", where=run, todo="Choose another --run"
        ) from error


def steps(
    state: State, recipe: Recipe, config: TrainConfig, clips: Sequence[CachedClip], budget: float | None
) -> Iterator[Step]:
    """Optimiser steps until the run is as long as its config says, or the time is used up.

    Raises:
        DivergedError: the loss or its gradient is not finite.
    """
    accelerator, optim = state.accelerator, config.optim
    made = batches(
        clips,
        config,
        first=state.step * optim.accumulate,
        rank=accelerator.process_index,
        processes=accelerator.num_processes,
    )
    on_cpu = accelerator.device.type == "cpu"  # which computes no faster while it also makes crops
    with nullcontext(made) if on_cpu else prefetch(made, AHEAD) as source:
        while state.step < optim.steps and (budget is None or state.seconds < budget):
            started = time.perf_counter()
            used = max(state.step / optim.steps, 0 if budget is None else state.seconds / budget)
            lr = learning_rate(optim, state.step, used)
            terms = accumulate(state, recipe, config, islice(source, optim.accumulate))
            gradient = update(state, optim, lr)
            state.seconds = _agreed(accelerator, state.seconds + time.perf_counter() - started)
            yield Step(state.step, terms, gradient, lr, state.seconds)


def update(state: State, optim: Optim, lr: float) -> float:
    """Change the weights and their average by the gradients there are; the norm of these.

    Raises:
        DivergedError: it is not finite; nothing is changed then.
    """
    accelerator = state.accelerator
    gradient = torch.as_tensor(accelerator.clip_grad_norm_(state.network.parameters(), optim.clip)).item()
    if not math.isfinite(gradient):
        raise DivergedError(
            f"the gradient is {gradient} at step {state.step + 1}",
            todo="Go on from the last checkpoint with a smaller optim.lr",
        )
    state.whole = False
    for group in state.optimizer.param_groups:
        group["lr"] = lr
    state.optimizer.step()
    state.step += 1
    average(state.ema, accelerator.unwrap_model(state.network), optim.ema, state.step)
    state.whole = True
    return gradient


def _agreed(accelerator: Accelerator, seconds: float) -> float:
    """The main process's clock: all processes must choose the same learning rate and the same end."""
    if accelerator.num_processes == 1:
        return seconds
    return broadcast(torch.tensor(seconds, dtype=torch.float64, device=accelerator.device)).item()


def accumulate(
    state: State, recipe: Recipe, config: TrainConfig, source: Iterable[Batch]
) -> dict[str, float]:
    """Gradients of the mean loss over some batches; its terms by name."""
    state.optimizer.zero_grad()
    totals: dict[str, float] = {}
    share = 1 / config.optim.accumulate
    for batch in source:
        batch = Batch(*(x.to(state.accelerator.device) for x in batch))
        with state.accelerator.autocast():
            output = state.network(batch.ir, batch.vis)
        terms = recipe.losses(output, batch, config)
        state.accelerator.backward(torch.stack(list(terms.values())).sum() * share)
        for name, term in terms.items():
            totals[name] = totals.get(name, 0.0) + share * float(term.detach())
    return totals


def learning_rate(optim: Optim, step: int, used: float) -> float:
    """Linear warm-up over steps, then by the schedule; `used` is the used share of the run, in [0, 1]."""
    warmup = min(1.0, (step + 1) / optim.warmup) if optim.warmup else 1.0
    if optim.schedule == "steps":
        return optim.lr * warmup * optim.factor ** (step // optim.period)
    cosine = 0.5 * (1 + math.cos(math.pi * min(used, 1.0)))
    return optim.lr * warmup * (optim.final + (1 - optim.final) * cosine)


@torch.no_grad()
def average(ema: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the average towards the network; early on faster, so that it forgets the initialisation."""
    decay = min(decay, (1 + step) / (10 + step))
    for mean, value in zip(ema.parameters(), network.parameters(), strict=True):
        mean.lerp_(value.to(mean.dtype), 1 - decay)
