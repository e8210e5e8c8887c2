"""How good tracks are where the truth is known: HOTA, MOTA, IDF1, precision and recall.

HOTA (Luiten et al., IJCV 2021), CLEAR MOT (Bernardin and Stiefelhagen 2008) and the identity measures
(Ristani et al. 2016) come from the package `trackers`, which follows TrackEval. What happens here is what the
MOTChallenge does before it counts: a track box that lies on an object which does not count (another class, or
flagged 0) is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vfuse.extras import need
from vfuse.track.boxes import Floats, Integers, Tracks, overlaps
from vfuse.track.mot import Truth, TruthFrame

_SAME = 0.5  # IoU from which a box lies on an object (MOTChallenge)
_TINY = 1e-9
_NO_NUMBER = -1  # of a class that the truth does not know


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Tracks against the truth; shares in [0, 1], higher is better unless said otherwise.

    Attributes:
        hota: higher order tracking accuracy, mean over 19 overlaps from 0.05 to 0.95.
        deta, assa, loca: its parts: detection, association, localisation.
        mota: 1 minus misses, false alarms and identity switches per object; may be negative.
        idf1: F1 of identities at IoU 0.5.
        precision, recall: of boxes at IoU 0.5.
        switches: how often an object changed its identity; lower is better.
        breaks: how often an object was lost and found again; lower is better.
        objects, boxes: how many identities and boxes the truth counts.
    """

    hota: float
    deta: float
    assa: float
    loca: float
    mota: float
    idf1: float
    precision: float
    recall: float
    switches: int
    breaks: int
    objects: int
    boxes: int


class AccuracyCounter:
    """Gathers `Accuracy` frame by frame; holds a small matrix for each frame, as HOTA needs all of them.

    Args:
        labels: names of the detector's classes; objects of other classes do not count.
        truth: what the comparison is with; it knows what its class numbers mean.
        keep: names that the tracker kept; () for all of them.

    Raises:
        UsageError: the package `trackers` is missing.
    """

    def __init__(self, labels: Sequence[str], *, truth: Truth, keep: Sequence[str] = ()) -> None:
        self._measures = need("trackers.eval", what="the comparison with ground truth", extra="track")
        self._assign = need(
            "scipy.optimize", what="the comparison with ground truth", extra="track"
        ).linear_sum_assignment
        self._numbers = truth.numbers_of(keep or labels)
        numbers = [truth.numbers_of([label]) for label in labels]
        self._label_numbers = np.array([several[0] if several else _NO_NUMBER for several in numbers])
        self._truths: list[Integers] = []
        self._tracks: list[Integers] = []
        self._likeness: list[Floats] = []

    def add(self, truth: TruthFrame, tracks: Tracks) -> None:
        """Compare the next frame."""
        same = truth.classes[:, None] == self._label_numbers[tracks.classes][None]
        counts = truth.counted & np.isin(truth.classes, self._numbers)
        likeness = overlaps(truth.boxes, tracks.boxes)
        # What does not count takes boxes of any class with it; what counts only those of its own.
        likeness = np.where(same | ~counts[:, None], likeness, 0)
        kept = np.ones(len(tracks), bool)
        rows, columns = self._assign(-np.where(likeness >= _SAME - _TINY, likeness, 0))
        on_ignored = (likeness[rows, columns] >= _SAME - _TINY) & ~counts[rows]
        kept[columns[on_ignored]] = False
        self._truths.append(truth.ids[counts])
        self._tracks.append(tracks.ids[kept])
        self._likeness.append(likeness[counts][:, kept])

    def result(self) -> Accuracy:
        """The numbers so far."""
        every = (self._truths, self._tracks, self._likeness)
        hota: dict[str, Any] = self._measures.compute_hota_metrics(*every)
        clear: dict[str, Any] = self._measures.compute_clear_metrics(*every, threshold=_SAME)
        identity: dict[str, Any] = self._measures.compute_identity_metrics(*every, threshold=_SAME)
        ids = np.concatenate([*self._truths, np.zeros(0, np.int64)])
        return Accuracy(
            hota=float(hota["HOTA"]),
            deta=float(hota["DetA"]),
            assa=float(hota["AssA"]),
            loca=float(hota["LocA"]),
            mota=float(clear["MOTA"]),
            idf1=float(identity["IDF1"]),
            precision=float(clear["CLR_Pr"]),
            recall=float(clear["CLR_Re"]),
            switches=int(clear["IDSW"]),
            breaks=int(clear["Frag"]),
            objects=len(np.unique(ids)),
            boxes=len(ids),
        )
