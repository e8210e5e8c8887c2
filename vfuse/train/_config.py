"""What a training run is made of: frozen, typed, saved with the weights, changed by `--set a.b=value`."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass, replace

from vfuse.errors import UsageError, did_you_mean
from vfuse.train._degrade import Ranges
from vfuse.train._losses import LossWeights
from vfuse.train._temcoco_losses import LossWeights as TemCoCoWeights


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How crops are drawn.

    Attributes:
        frames: consecutive frames of a crop.
        height, width: of a crop, in pixels.
        batch: crops a step, on each process.
        paired: share of crops from clips that come with degraded versions of their own, where there are such.
        stored: share of those crops that use these versions; all others are degraded by us.
        clean: share of streams that stay clean, so that good input is not "restored".
        weak: share of streams degraded at a strength below that of the real data; the rest are near it.
        flip, reverse: chances of mirroring a crop and of playing it backwards.
    """

    frames: int = 5
    height: int = 160
    width: int = 128
    batch: int = 3
    paired: float = 0.5
    stored: float = 0.6
    clean: float = 0.2
    weak: float = 0.3
    flip: float = 0.5
    reverse: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Optim:
    """An optimiser with a linear warm-up and a decay of its learning rate.

    Attributes:
        method: "adamw" (Adam, without weight decay), or "muon", which learns faster; see `_optim`.
        lr: peak learning rate.
        final: learning rate at the end of the cosine, as a share of the peak.
        schedule: "cosine" falls over the whole run, "steps" by `factor` every `period` steps.
        warmup: steps from 0 to the peak.
        steps: length of the run.
        clip: largest gradient norm.
        ema: decay of the moving average of the weights that is exported; 0 exports the weights themselves.
        accumulate: batches a step.
    """

    method: typing.Literal["adamw", "muon"] = "adamw"
    lr: float = 6e-4
    final: float = 0.02
    schedule: typing.Literal["cosine", "steps"] = "cosine"
    factor: float = 0.95
    period: int = 200
    warmup: int = 200
    steps: int = 20_000
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 1e-4
    clip: float = 20.0
    ema: float = 0.999
    accumulate: int = 1


@dataclass(frozen=True, kw_only=True)
class Network:
    """Parts of VideoFusion that a run has; False leaves one out, which is how the paper's ablations run.

    Attributes:
        bicam: bi-temporal co-attention between frames; without it frames meet in 3-D convolutions only.
        cmdrm: cross-modal differential reinforcement; without it the modalities are encoded on their own.
        cmgf: complete-modality-guided fusion; without it the features of the modalities are added.
    """

    bicam: bool = True
    cmdrm: bool = True
    cmgf: bool = True


@dataclass(frozen=True, kw_only=True)
class TemCoCoParts:
    """Parts of TemCoCo that a run has; False leaves one out, as table 5 of its paper does.

    Attributes:
        temporal_attention: False is wo_TAttn.
        cross_attention: False is no_VSAtn.
        deformable: False is no_DCN.
        temporal_convs: False is Conv2d.
    """

    temporal_attention: bool = True
    cross_attention: bool = True
    deformable: bool = True
    temporal_convs: bool = True


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that decides what a run produces; `network` and `loss` are of the kind that its recipe has.

    Attributes:
        model: name of the network.
        precision: "bf16" or "float32" for the forward pass; weights and losses stay float32.
        seed: of initialisation, sampling and degradation.
        every: steps between checkpoints.
        steady: leave frame pairs between which the infrared target flickers out of the temporal loss.
        init: SHA-256 of the weight file that the run started from; empty where it started from nothing.
    """

    model: str
    precision: str = "bf16"
    seed: int = 0
    every: int = 500
    steady: bool = True
    init: str = ""
    network: Network | TemCoCoParts = field(default_factory=Network)
    sampling: Sampling = field(default_factory=Sampling)
    degrade: Ranges = field(default_factory=Ranges)
    optim: Optim = field(default_factory=Optim)
    loss: LossWeights | TemCoCoWeights = field(default_factory=LossWeights)

    def to_dict(self) -> dict[str, typing.Any]:
        """Plain values as JSON has them, the contents of `config.json`."""
        return json.loads(json.dumps(asdict(self)))


def override(config: TrainConfig, assignments: Iterable[str]) -> TrainConfig:
    """The config with each `path.to.field=value` applied.

    Raises:
        UsageError: no such field (with a suggestion), or a value of another type.
    """
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError(f"--set {assignment!r} has no '='", todo="Write it as optim.lr=1e-4")
        config = _assign(config, path.split("."), text, shown=path)
    return config


def _assign(record: typing.Any, path: list[str], text: str, *, shown: str) -> typing.Any:  # noqa: ANN401
    known = typing.get_type_hints(type(record))
    name, *rest = path
    if name not in known:
        hint = did_you_mean(name, known)
        raise UsageError(f"unknown setting {shown!r}", todo=f"{hint}Known here: {', '.join(known)}")
    value = getattr(record, name)
    if is_dataclass(value) != bool(rest):
        what = "is a group" if is_dataclass(value) else "has no fields"
        raise UsageError(f"{shown!r}: {name!r} {what}", todo="Name one single setting")
    new = _assign(value, rest, text, shown=shown) if rest else parse(text, known[name], shown=shown)
    return replace(record, **{name: new})


def parse(text: str, kind: typing.Any, *, shown: str) -> object:  # noqa: ANN401
    """Text as a bool, int, float, str, one of several words, or a tuple of these written with commas."""
    try:
        if typing.get_origin(kind) is tuple:
            kinds, parts = typing.get_args(kind), text.split(",")
            if len(parts) != len(kinds):
                raise ValueError(f"{len(kinds)} values are wanted")
            return tuple(parse(part, k, shown=shown) for part, k in zip(parts, kinds, strict=True))
        if typing.get_origin(kind) is typing.Literal:
            if text not in typing.get_args(kind):
                raise ValueError
            return text
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        return kind(text)
    except (ValueError, KeyError) as error:
        raise UsageError(f"{shown}={text!r} is not {_in_words(kind)}", todo="Give one that is") from error


def _in_words(kind: typing.Any) -> str:  # noqa: ANN401
    if typing.get_origin(kind) is typing.Literal:
        return f"one of {', '.join(typing.get_args(kind))}"
    return f"a {kind.__name__ if isinstance(kind, type) else kind}"


def differences(
    one: Mapping[str, typing.Any], other: Mapping[str, typing.Any], prefix: str = ""
) -> list[str]:
    """Lines "optim.lr: 0.0006 -> 0.0001" for every setting that two saved configs do not share."""
    lines: list[str] = []
    for key in dict.fromkeys([*one, *other]):
        a, b = one.get(key), other.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            lines += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            lines.append(f"{prefix}{key}: {a} -> {b}")
    return lines
