"""The training loop of all recipes: on a CPU, a GPU, or many under `accelerate launch` or `torchrun`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from vfuse.errors import UsageError, VfuseError
from vfuse.io.cache import CachedClip
from vfuse.models import MODELS
from vfuse.train._checkpoint import Checkpoint, load, save
from vfuse.train._clips import Batch, batches, check_clips
from vfuse.train._config import Optim, TrainConfig, differences
from vfuse.train._recipe import Recipe

Validate = Callable[[nn.Module], dict[str, float]]
"""Called with the averaged network at every checkpoint; its figures go to the log."""

Watch = Callable[[Iterable["Step"], int], Iterable["Step"]]
"""Wraps the steps, of which there will be at most so many, for progress."""


class DivergedError(VfuseError):
    """The loss or its gradient is no longer a finite number."""


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


@dataclass
class State:
    """A run in progress: what a checkpoint holds, and the accelerator that spreads it over devices."""

    accelerator: Accelerator
    network: nn.Module
    ema: nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0


def fit(
    recipe: Recipe,
    config: TrainConfig,
    clips: Sequence[CachedClip],
    run: Path,
    *,
    validate: Validate | None = None,
    budget: float | None = None,
    cpu: bool = False,
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
        watch: wraps the steps, for progress.

    Raises:
        UsageError: the run was started with another config; lists the differences.
        InputError: a clip is too small for the crops.
        DivergedError: the loss is not finite; the last checkpoint is kept.
        OutputError: a checkpoint cannot be written.
    """
    check_clips(clips, config)
    run.mkdir(parents=True, exist_ok=True)
    state = open_run(config, run, cpu=cpu)
    done = Checkpointing(state, config, run, validate)
    try:
        for step in watch(steps(state, recipe, config, clips, budget), config.optim.steps):
            done.log(step)
            if step.number % config.every == 0:
                done.checkpoint()
    except KeyboardInterrupt:
        done.save()
        raise
    done.checkpoint()
    return state.ema.eval()


def open_run(config: TrainConfig, run: Path, *, cpu: bool) -> State:
    """A new run, or the one in the folder where it was left.

    Raises:
        UsageError: it was started with another config.
        WeightsError: its checkpoint is damaged.
    """
    torch.manual_seed(config.seed)
    accelerator = Accelerator(cpu=cpu, mixed_precision="bf16" if config.precision == "bf16" else "no")
    network = MODELS[config.model].build().train()
    ema = deepcopy(network).requires_grad_(False)
    optim = config.optim
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=optim.lr, betas=(optim.beta1, optim.beta2), weight_decay=optim.weight_decay
    )
    checkpoint = load(run)
    if checkpoint is not None:
        changed = differences(checkpoint.config, config.to_dict())
        if changed:
            raise UsageError(
                f"was started with other settings ({'; '.join(changed)})",
                where=run,
                todo="Use those, or another run folder",
            )
        network.load_state_dict(checkpoint.model)
        ema.load_state_dict(checkpoint.ema)
        optimizer.load_state_dict(checkpoint.optimizer)
        torch.set_rng_state(checkpoint.rng)
    prepared, optimizer = accelerator.prepare(network, optimizer)
    state = State(accelerator, prepared, ema.to(accelerator.device), optimizer)
    if checkpoint is not None:
        state.step, state.seconds = checkpoint.step, checkpoint.seconds
    return state


def steps(
    state: State, recipe: Recipe, config: TrainConfig, clips: Sequence[CachedClip], budget: float | None
) -> Iterator[Step]:
    """Optimiser steps until the run is as long as its config says, or the time is used up.

    Raises:
        DivergedError: the loss or its gradient is not finite.
    """
    accelerator, optim = state.accelerator, config.optim
    source = batches(
        clips,
        config,
        first=state.step * optim.accumulate,
        rank=accelerator.process_index,
        processes=accelerator.num_processes,
    )
    while state.step < optim.steps and (budget is None or state.seconds < budget):
        started = time.perf_counter()
        used = max(state.step / optim.steps, 0 if budget is None else state.seconds / budget)
        lr = learning_rate(optim, state.step, used)
        for group in state.optimizer.param_groups:
            group["lr"] = lr
        terms = accumulate(state, recipe, config, islice(source, optim.accumulate))
        gradient = float(accelerator.clip_grad_norm_(state.network.parameters(), optim.clip))
        if not math.isfinite(gradient):
            raise DivergedError(
                f"the gradient is {gradient} at step {state.step + 1}",
                todo="Go on from the last checkpoint with a smaller optim.lr",
            )
        state.optimizer.step()
        state.step += 1
        average(state.ema, accelerator.unwrap_model(state.network), optim.ema, state.step)
        state.seconds += time.perf_counter() - started
        yield Step(state.step, terms, gradient, lr, state.seconds)


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
    """Linear warm-up over steps, then a cosine over the used share of the run, which is in [0, 1]."""
    warmup = min(1.0, (step + 1) / optim.warmup) if optim.warmup else 1.0
    cosine = 0.5 * (1 + math.cos(math.pi * min(used, 1.0)))
    return optim.lr * warmup * (optim.final + (1 - optim.final) * cosine)


@torch.no_grad()
def average(ema: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the average towards the network; early on faster, so that it forgets the initialisation."""
    decay = min(decay, (1 + step) / (10 + step))
    for mean, value in zip(ema.parameters(), network.parameters(), strict=True):
        mean.lerp_(value.to(mean.dtype), 1 - decay)


class Checkpointing:
    """Keeps a run's folder up to date: the log, the checkpoint, the figures of validation."""

    def __init__(self, state: State, config: TrainConfig, run: Path, validate: Validate | None) -> None:
        self._state, self._config, self._run, self._validate = state, config, run, validate
        self._main = state.accelerator.is_main_process
        if self._main:
            text = json.dumps(config.to_dict(), indent=2)
            (run / "config.json").write_text(text + "\n", encoding="utf-8")

    def log(self, step: Step) -> None:
        """One line of `log.jsonl`."""
        self._write(
            {"step": step.number, "seconds": round(step.seconds, 2), "lr": step.lr}
            | {"loss": sum(step.terms.values()), "gradient_norm": step.gradient, **step.terms}
        )

    def checkpoint(self) -> None:
        """Save, then validate."""
        self.save()
        if self._validate is not None and self._main:
            self._state.ema.eval()
            self._write({"step": self._state.step, "validation": self._validate(self._state.ema)})

    def save(self) -> None:
        """Write the checkpoint; only the main process does."""
        state = self._state
        if not self._main:
            return
        save(
            Checkpoint(
                step=state.step,
                seconds=state.seconds,
                model=_cpu(state.accelerator.unwrap_model(state.network).state_dict()),
                ema=_cpu(state.ema.state_dict()),
                optimizer=state.optimizer.state_dict(),
                rng=torch.get_rng_state(),
                config=self._config.to_dict(),
            ),
            self._run,
        )

    def _write(self, record: dict[str, Any]) -> None:
        if self._main:
            with (self._run / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(record) + "\n")


def _cpu(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu() for name, value in state.items()}
