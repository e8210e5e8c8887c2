"""What a decoded frame says about itself: its colours, and how to turn it upright."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.frame import VideoFrame

from vfuse.io._hdr import Primaries, Transfer

# AVColorSpace numbers (ITU-T H.273, table 4) by FFmpeg's names.
_MATRICES = {
    0: "rgb",
    1: "bt709",
    4: "fcc",
    5: "bt601",
    6: "bt601",
    7: "smpte240m",
    9: "bt2020",
    10: "bt2020",
}
_TRANSFERS: dict[int, Transfer] = {16: "pq", 18: "hlg"}  # AVColorTransferCharacteristic: H.273, table 3
_PRIMARIES: dict[int, Primaries] = {1: "bt709", 9: "bt2020", 11: "p3", 12: "p3"}  # H.273, table 2
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_HD_HEIGHT = 720  # untagged video from this height on is taken as BT.709, below as BT.601


@dataclass(frozen=True)
class Orientation:
    """How stored pixels become displayed ones: transpose first, then mirror left-right, then top-bottom."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @property
    def rotation(self) -> int:
        """Degrees counter-clockwise (0, 90, 180, 270), leaving a mirroring aside."""
        if self.transpose:
            return 90 if self.mirror_y else 270 if self.mirror_x else 0
        return 180 if self.mirror_x and self.mirror_y else 0


def colour(frame: VideoFrame, *, grey: bool) -> tuple[str, Literal["tv", "pc"]]:
    """Matrix and range by tag, else BT.709 for high definition, BT.601 below, and limited range."""
    if grey:
        return "grey", "pc"  # as FFmpeg reads and writes grey, whatever the tag
    if frame.format.is_rgb or frame.format.has_palette:
        return "rgb", "pc"
    untagged = "bt709" if frame.height >= _HD_HEIGHT else "bt601"
    matrix = _MATRICES.get(frame.colorspace, untagged)
    full = frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
    return (untagged if matrix == "rgb" else matrix), "pc" if full else "tv"


def light(frame: VideoFrame) -> tuple[Transfer, Primaries]:
    """Transfer and primaries by tag; without one they are those of BT.709, in PQ and HLG of BT.2020."""
    transfer = _TRANSFERS.get(frame.color_trc, "sdr")
    return transfer, _PRIMARIES.get(frame.color_primaries, "bt709" if transfer == "sdr" else "bt2020")


def orientation(frame: VideoFrame) -> Orientation:
    """Read the display matrix: x' = a x + c y, y' = b x + d y, stored as a b u, c d v, x y w."""
    for item in cast("SideDataContainer", frame.side_data):
        if item.type is Type.DISPLAYMATRIX:
            a, b, _, c, d = (int(value) for value in np.frombuffer(memoryview(item), np.int32)[:5])
            if abs(b) + abs(c) > abs(a) + abs(d):
                return Orientation(transpose=True, mirror_x=c < 0, mirror_y=b < 0)
            return Orientation(mirror_x=a < 0, mirror_y=d < 0)
    return Orientation()
