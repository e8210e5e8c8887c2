"""What a metric is to the rest of vfuse: a frozen record beside one function, named in one registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from vfuse.registry import Registry

Value = float | None
"""None where a metric is undefined on what it was given: left out of the mean and counted, never NaN."""
F = TypeVar("F", bound=Callable[[Any], Value])


@dataclass(frozen=True)
class Metric:
    """A number that judges a fused video.

    Attributes:
        name: what the user types, the name of the function.
        compute: a `Frame`, `Step` or `Curves` (by `over`) to the value.
        better: which direction is better; "neither" for what is only described.
        over: whether it looks at one frame, two neighbouring frames or the whole video.
        needs: "fused" alone, its "sources" too, or a restored stream and its clean "reference".
        range: of the value, in words.
        unit: of the value; empty for a ratio.
        source: paper, code or standard it follows, and what is particular about this definition.
        uses: "flow" or "features" where a network is part of the value and so of the printed name.
        variant_of: the metric of which this is another convention; such an entry is only used when named.
        min_side: the smallest height and width on which it is defined.
        version: raised whenever a value would change.
    """

    name: str
    compute: Callable[[Any], Value]
    better: Literal["higher", "lower", "neither"]
    over: Literal["frame", "neighbours", "video"]
    needs: Literal["fused", "sources", "reference"]
    range: str
    unit: str
    source: str
    uses: Literal["", "flow", "features"] = ""
    variant_of: str = ""
    min_side: int = 1
    version: int = 1

    @property
    def doc(self) -> str:
        """The definition, as its function states it."""
        return " ".join((self.compute.__doc__ or "").split())


METRICS: Registry[Metric] = Registry("metric", package="vfuse.metrics")


def metric(
    *,
    better: Literal["higher", "lower", "neither"],
    over: Literal["frame", "neighbours", "video"],
    needs: Literal["fused", "sources", "reference"],
    range: str,
    source: str,
    unit: str = "",
    uses: Literal["", "flow", "features"] = "",
    variant_of: str = "",
    min_side: int = 1,
    version: int = 1,
) -> Callable[[F], F]:
    """Register the decorated function as a metric under its own name and return it unchanged."""

    def register(compute: F) -> F:
        METRICS.add(
            Metric(
                name=compute.__name__,
                compute=compute,
                better=better,
                over=over,
                needs=needs,
                range=range,
                unit=unit,
                source=source,
                uses=uses,
                variant_of=variant_of,
                min_side=min_side,
                version=version,
            )
        )
        return compute

    return register
