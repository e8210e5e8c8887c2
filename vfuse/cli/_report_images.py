"""Pictures for the score report as data URIs: temporal profiles, and the best and worst frames."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vfuse.evaluate import ClipFiles, Row, Run, Scores
from vfuse.io.probe import probe
from vfuse.io.reader import read_range
from vfuse.io.thermal import Thermal, displayer
from vfuse.metrics import Image

EXTREMES = 10
THUMB_WIDTH = 220
MAX_PROFILE_FRAMES = 1200
KEYS = ("vif", "ssim", "qabf", "mi", "detail")
"""The first of these that was measured decides which frames are best and worst."""


def profile(name: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Columns side by side over time, thinned evenly where the video is long."""
    step = -(-len(rows) // MAX_PROFILE_FRAMES)
    kept = rows[::step]
    columns = np.stack([np.frombuffer(row.column, np.uint8) for row in kept], axis=1)
    return {"name": name, "frames": [row.frame for row in kept], "image": _uri(columns, ".png", "image/png")}


def extremes(scores: Scores, clips: Sequence[ClipFiles]) -> list[dict[str, Any]]:
    """The worst and best frames of each method, with thumbnails of infrared, visible and fused."""
    label = next((label for label in (*KEYS, *scores.metrics) if _orders(scores, label)), None)
    if label is None:
        return []
    read = {clip.name: Thermal(**clip.infrared) for clip in scores.clips}
    shown = {clip.name: partial(_frame, clip=clip, thermal=read[clip.name]) for clip in clips}
    return [_extremes(scores, method, label, shown) for method in scores.methods(trivial=False)]


def _orders(scores: Scores, label: str) -> bool:
    entry = scores.metrics.get(label)
    return entry is not None and entry.over == "frame" and entry.better != "neither"


def _extremes(
    scores: Scores, method: str, label: str, shown: Mapping[str, Callable[..., dict[str, Any]]]
) -> dict[str, Any]:
    found: list[tuple[float, Run, Row]] = []
    for run in scores.runs:
        if run.method == method:
            valued = ((row.values.get(label), row) for row in run.rows)
            found += [
                (value, run, row) for value, row in valued if value is not None and math.isfinite(value)
            ]
    found.sort(key=lambda item: item[0], reverse=scores.metrics[label].better == "lower")
    count = min(EXTREMES, (len(found) + 1) // 2)
    chosen = {"worst": found[:count], "best": found[len(found) - count :][::-1]}
    return {"method": method, "label": label} | {
        kind: [shown[run.clip](value, run, row) for value, run, row in items]
        for kind, items in chosen.items()
    }


def _frame(value: float, run: Run, row: Row, *, clip: ClipFiles, thermal: Thermal) -> dict[str, Any]:
    thumbs = [
        thumbnail(clip.ir, row.frame, thermal),
        thumbnail(clip.vis, row.frame),
        thumbnail(clip.fused[run.method], row.frame - run.begins),
    ]
    return {"clip": run.clip, "frame": row.frame, "value": value, "images": thumbs}


@lru_cache(maxsize=512)
def thumbnail(path: Path, frame: int, thermal: Thermal | None = None) -> str:
    """One frame of a file, small; of the infrared as it was scored."""
    grey = thermal is not None and thermal.grey
    with read_range(_probed(path), grey=grey, first=frame, stop=frame + 1) as frames:
        stored = next(iter(frames)).pixels
    pixels = Image(displayer(thermal)(stored) if thermal else stored).rgb
    height = round(pixels.shape[0] * THUMB_WIDTH / pixels.shape[1])
    small = cv2.resize(pixels, (THUMB_WIDTH, height), interpolation=cv2.INTER_AREA)
    return _uri(cv2.cvtColor(small, cv2.COLOR_RGB2BGR), ".jpg", "image/jpeg")


_probed = lru_cache(maxsize=64)(probe)


def _uri(pixels: NDArray[Any], suffix: str, kind: str) -> str:
    _, encoded = cv2.imencode(suffix, pixels)
    return f"data:{kind};base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"
