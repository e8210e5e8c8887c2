"""What is scored and how: the files of a clip, and the options of `evaluate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vfuse.errors import UsageError
from vfuse.io.thermal import ThermalOptions
from vfuse.metrics import Features, Flow, Metric, choose
from vfuse.metrics._flow import DIS
from vfuse.metrics._measure import label
from vfuse.metrics._moment import TRIVIAL

BASELINE_FRAMES = 60


@dataclass(frozen=True, kw_only=True)
class ClipFiles:
    """The files of one clip: videos, image folders or single images of one size and length.

    Attributes:
        name: of the clip.
        ir, vis: what was fused, or the restored streams that came with it.
        fused: name of each method to what it made of them.
        reference_ir, reference_vis: the clean sources, when `ir` and `vis` are degraded or restored;
            everything is then scored against them.
    """

    name: str
    ir: Path
    vis: Path
    fused: Mapping[str, Path]
    reference_ir: Path | None = None
    reference_vis: Path | None = None

    def __post_init__(self) -> None:
        taken = [method for method in self.fused if method in TRIVIAL]
        if taken:
            raise UsageError(f"{taken[0]!r} is the name of a trivial baseline", todo="Rename the fused video")


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """What can be asked of `evaluate`.

    Attributes:
        metrics: from `vfuse.metrics.choose`.
        profile: the convention they were chosen in, for the record.
        flow: optical flow of the temporal metrics.
        features: network of the feature metrics.
        every: score every so many-th frame; a step is scored with its later frame.
        baselines: score the trivial baselines on every so many-th of these frames; 0 for none; None for about
            60 frames, evenly spread.
        unique: leave out the steps in which a source repeats its frame.
        start, end: part of the sources in seconds; a fused video may hold that part alone.
        thermal: how the infrared is to be understood, as for fusing.
        workers: threads; None for one per core.
        column: grey column kept for temporal profiles, as a part of the width; None keeps none.
    """

    metrics: Sequence[Metric] = field(default_factory=choose)
    profile: str = "definition"
    flow: Flow = DIS
    features: Features | None = None
    every: int = 1
    baselines: int | None = None
    unique: bool = False
    start: float | None = None
    end: float | None = None
    thermal: ThermalOptions = field(default_factory=ThermalOptions)
    workers: int | None = None
    column: float | None = None

    def __post_init__(self) -> None:
        if self.every < 1 or (self.baselines or 0) < 0 or (self.workers or 1) < 1:
            raise UsageError("frames to step and workers must be at least 1, baselines at least 0")
        if self.unique and self.every > 1:
            raise UsageError(
                "repeated frames are only seen when every frame is read", todo="Drop every or unique"
            )
        if self.features is None and any(entry.uses == "features" for entry in self.metrics):
            raise UsageError(
                "feaCD needs a feature network",
                todo="Add --features resnet18, or give a checkpoint with --feature-weights",
            )

    @property
    def labels(self) -> dict[str, Metric]:
        """Printed name to metric."""
        return {label(entry, flow=self.flow, features=self.features): entry for entry in self.metrics}

    def scores_baselines(self, number: int, *, total: int) -> bool:
        """Whether the trivial baselines are scored on the `number`-th of `total` scored frames."""
        if self.baselines is not None:
            return self.baselines > 0 and number % self.baselines == 0
        stride = max(1, total // BASELINE_FRAMES) | 1  # odd, to meet both frames of doubled content
        return number % stride == 0
