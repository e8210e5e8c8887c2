"""Masks over their frames: a colour for each class, and its outline."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from vfuse.segment.boundary import outline
from vfuse.segment.classes import BACKGROUND, NO_CLASS, Labels

Pixels = NDArray[np.uint8]

_GOLDEN = 0.618034  # of the colour circle: neighbours in the list look different
_COVER = 0.5  # how much of the picture a colour hides
_FONT, _LINE, _BLACK = cv2.FONT_HERSHEY_SIMPLEX, 14, (0, 0, 0)
_MOST_NAMES = 20


def colours_of(names: Sequence[str]) -> Pixels:
    """(256, 3) RGB: a colour for each class; black, which hides nothing, for the background and no class."""
    table = np.zeros((256, 3), np.uint8)
    for place, name in enumerate(names[:NO_CLASS]):
        if name.lower() != BACKGROUND:
            colour = colorsys.hsv_to_rgb(place * _GOLDEN % 1, 0.75, 1.0)
            table[place] = np.rint(np.array(colour) * 255)
    return table


def overlay(frame: Pixels, labels: Labels, colours: Pixels) -> Pixels:
    """A copy of the frame (H, W, 3) RGB under the colours of its labels (H, W), with white outlines."""
    paint = np.asarray(cv2.addWeighted(frame, 1 - _COVER, colours[labels], _COVER, 0), np.uint8)
    shown = np.where(colours[labels].any(axis=2, keepdims=True), paint, frame)
    shown[outline_of_all(labels)] = 255
    return shown


def outline_of_all(labels: Labels) -> NDArray[np.bool_]:
    """(H, W) where the class changes."""
    return outline(labels, np.ones_like(labels, bool))


def name_colours(picture: Pixels, names: Sequence[str], colours: Pixels) -> None:
    """Write the names of the coloured classes into the picture (H, W, 3), up from its lower left corner."""
    shown = [place for place in range(min(len(names), NO_CLASS)) if colours[place].any()]
    for line, place in enumerate(reversed(shown[:_MOST_NAMES])):
        corner = (6, picture.shape[0] - 6 - line * _LINE)
        for colour, thick in ((_BLACK, 3), (colours[place].tolist(), 1)):
            cv2.putText(picture, names[place], corner, _FONT, 0.4, colour, thick, cv2.LINE_AA)
