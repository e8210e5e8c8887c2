"""Masks over their frames: a colour for each class, and its outline."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from vfuse.lineup import write_name
from vfuse.segment.boundary import outline
from vfuse.segment.classes import BACKGROUND, NO_CLASS, Labels

Pixels = NDArray[np.uint8]

_GOLDEN = 0.618034  # of the colour circle: neighbours in the list look different
_COVER = 0.5  # how much of the picture a colour hides
_FIRST_NAME = 28  # rows; above it stands what the picture shows


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
    """Write the names of the coloured classes into the picture (H, W, 3), below its own name."""
    top = _FIRST_NAME
    for name, (red, green, blue) in zip(names, colours.tolist(), strict=False):
        if (red or green or blue) and top < picture.shape[0]:
            top += write_name(picture, name, corner=(4, top), colour=(red, green, blue))
