"""A run in progress: begun or found where it was left, saved at every checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn

from vfuse.errors import UsageError
from vfuse.models._load import fill
from vfuse.train._checkpoint import Checkpoint, load, remove, save
from vfuse.train._config import TrainConfig, differences
from vfuse.train._optim import optimizer
from vfuse.train._recipe import Recipe
from vfuse.train._run_log import RunLog

Validate = Callable[[nn.Module], dict[str, float]]
"""Called with the averaged network at every checkpoint; its figures go to the log."""


@dataclass
class State:
    """A run in progress: what a checkpoint holds, and the accelerator that spreads it over devices.

    Attributes:
        whole: False while a step changes the weights, when an interrupted run must not be saved.
    """

    accelerator: Accelerator
    network: nn.Module
    ema: nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    whole: bool = True


def open_run(
    recipe: Recipe,
    config: TrainConfig,
    run: Path,
    *,
    cpu: bool,
    fresh: bool = False,
    init: Path | None = None,
) -> State:
    """A new run, or the one in the folder where it was left; a new one starts from the weights of `init`.

    Raises:
        UsageError: it was started with another config.
        WeightsError: its checkpoint is damaged, or `init` holds the weights of another network.
    """
    torch.manual_seed(config.seed)
    accelerator = Accelerator(
        cpu=cpu,
        mixed_precision="bf16" if config.precision == "bf16" else "no",
        # With a loss term switched off, nothing may lead back to the part of the network that it trains.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    network = recipe.build(config).train()
    if init is not None:
        fill(network, init, model=config.model)
    ema = deepcopy(network).requires_grad_(False)
    optim = optimizer(network, config.optim)
    if fresh and accelerator.is_main_process:
        remove(run)
    accelerator.wait_for_everyone()
    checkpoint = load(run)
    if checkpoint is not None:
        changed = differences(checkpoint.config, config.to_dict())
        if changed:
            raise UsageError(
                f"was started with other settings ({'; '.join(changed)})",
                where=run,
                todo="Use those, another run folder, or --fresh to begin anew",
            )
        network.load_state_dict(checkpoint.model)
        ema.load_state_dict(checkpoint.ema)
        optim.load_state_dict(checkpoint.optimizer)
        torch.set_rng_state(checkpoint.rng)
    prepared, optim = accelerator.prepare(network, optim)
    state = State(accelerator, prepared, ema.to(accelerator.device), optim)
    if checkpoint is not None:
        state.step, state.seconds = checkpoint.step, checkpoint.seconds
    return state


class Checkpointing:
    """Keeps the checkpoint of a run up to date, and its figures of validation."""

    def __init__(
        self, state: State, config: TrainConfig, run: Path, log: RunLog, validate: Validate | None
    ) -> None:
        self._state, self._config, self._run, self._log, self._validate = state, config, run, log, validate
        self._main = state.accelerator.is_main_process
        self._saved = state.step or None  # a run that goes on is on disk as it is

    def checkpoint(self) -> None:
        """Save, then validate, unless this step is saved already."""
        if self._saved == self._state.step:
            return
        self.save()
        if self._validate is not None and self._main:
            self._state.ema.eval()
            self._log.validation(self._state.step, self._validate(self._state.ema))
        self._log.picture()

    def save(self) -> None:
        """Write the checkpoint; only the main process does."""
        state = self._state
        self._saved = state.step
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


def _cpu(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu() for name, value in state.items()}
