"""feaCD (TemCoCo): do the features of the fused video change in the direction of its sources' features?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vfuse.metrics._registry import metric
from vfuse.metrics._shared import Floats, Image, Step

TINY = 1e-8
"""Below this the change is nothing, and its direction undefined: cosine 0."""


def _changes(step: Step) -> tuple[Floats, Floats, Floats] | None:
    """Change of the feature vectors of fused, visible and infrared; None without a feature network."""
    network = step.sources.features
    if network is None:
        return None

    def between(before: Image, after: Image) -> Floats:
        return network.of(before.rgb) - network.of(after.rgb)

    before, after = step.sources.before, step.sources.after
    return (
        between(step.before, step.after),
        between(before.vis, after.vis),
        between(before.ir, after.ir),
    )


def _disagreement(step: Step, cosine: Callable[[Floats, Floats], float]) -> float | None:
    changes = step.once(_changes)
    if changes is None:
        return None
    fused, vis, ir = changes
    return (1 - cosine(fused, vis)) + (1 - cosine(fused, ir))


def vector_cosine(x: Floats, y: Floats) -> float:
    """Cosine of the angle between two vectors; 0 where either is nothing."""
    lengths = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(np.dot(x, y)) / lengths if lengths > TINY else 0.0


def sign_cosine(x: Floats, y: Floats) -> float:
    """Mean over the features of the sign of their product: a cosine along an axis of length one."""
    product = x * y
    return float((product / np.maximum(np.abs(product), TINY)).mean())


@metric(
    better="lower",
    over="neighbours",
    needs="sources",
    range="0…4",
    source="TemCoCo eq. 19 as described: one cosine over the whole feature vector, visible plus infrared",
    uses="features",
)
def feacd_cos(step: Step) -> float | None:
    """Feature change disagreement. A term without any change is 1. Needs a feature network."""
    return _disagreement(step, vector_cosine)


@metric(
    better="lower",
    over="neighbours",
    needs="sources",
    range="0…4, chance 2",
    source="TemCoCo's released function: cosine along an axis of length one, so only signs count",
    uses="features",
    variant_of="feacd_cos",
)
def feacd_sign(step: Step) -> float | None:
    """Twice the share of features whose change has the opposite sign in fused and visible, plus the same for
    the infrared. A feature without change counts as half opposite. Needs a feature network."""
    return _disagreement(step, sign_cosine)
