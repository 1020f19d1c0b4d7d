"""Drawn shapes with known factors, in the manner of dSprites: a square, an ellipse and a heart, white on black.

    shape 3 × scale 6 × rotation 8 × x 8 × y 8 = 9,216 grey images of 32×32 pixels, every combination once

`shapes` is all of them, as disentanglement is measured; `shapes:train` (7,168) and `shapes:test` (2,048) are a random split,
drawn once and for all, for whoever wants images that a model has not seen.

Unlike in dSprites, no two combinations look the same: rotations go over a quarter turn only, because a square turned by 90
degrees, or an ellipse by 180, is the image it was, and its rotation cannot be known from it.

Each shape is drawn once for each scale and rotation, by the share of 4×4 points within each pixel that lie inside, and moved by
whole pixels. No point lies within rounding of an outline, so that every machine draws the same images.
"""

from __future__ import annotations

import itertools
from functools import cache
from typing import Literal, get_args

import numpy as np

from vaeval_core.images.array_images import ArrayImages, digest_each
from vaeval_core.images.factor_labels import FactorLabels
from vaeval_core.images.order import philox_permutation
from vaeval_core.types import Float64, Int64, Uint8

ShapesSet = Literal["shapes", "shapes:train", "shapes:test"]
Outline = Literal["square", "ellipse", "heart"]

FACTOR_NAMES = ("shape", "scale", "rotation", "x", "y")
SCALES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
ROTATIONS = tuple(turn * 90 / 8 for turn in range(8))
"""Degrees, counter-clockwise."""

POSITIONS = tuple(range(0, 16, 2))
"""Pixels from the left or upper edge of the image to that of the square in which a shape is drawn."""

SIDE = 32
NUM_TRAINING_IMAGES = 7168
"""The rest, 2,048, is for testing."""

_DRAWN_SIDE = 17  # pixels; odd, so that a shape has a pixel in its middle
_POINTS = 4  # a side of each pixel
_RADIUS = 7.4  # pixels from the middle to the farthest point; of such a size that no point lies on an outline
_HEART_REACH = 1.35  # farthest point of the heart's curve, in its own units
_SPLIT_KEY = int.from_bytes(b"shapes-split-1", "big")


def shapes_images(name: ShapesSet) -> ArrayImages:
    """One of the sets, with its factors."""
    images, classes = shapes_set(name)
    factors = FactorLabels(FACTOR_NAMES, classes)
    return ArrayImages(uri=name, name=name, images=images, digests=digest_each(images), factors=factors)


@cache
def shapes_set(name: ShapesSet) -> tuple[Uint8, Int64]:
    """Images (n, 32, 32, 1) uint8 and classes of the factors (n, 5), combinations in order, the shape slowest; read-only."""
    if name == "shapes":
        images, classes = _draw_all()
    else:
        everything, all_classes = shapes_set("shapes")
        order = philox_permutation(len(everything), key=_SPLIT_KEY)
        rows = np.sort(order[:NUM_TRAINING_IMAGES] if name == "shapes:train" else order[NUM_TRAINING_IMAGES:])
        images, classes = everything[rows], all_classes[rows]
    images.flags.writeable = classes.flags.writeable = False
    return images, classes


def level(outline: Outline, scale: float, x: Float64, y: Float64) -> Float64:
    """Below 0 inside an outline, above outside; x to the right and y upward, in pixels from its middle."""
    radius = _RADIUS * scale
    if outline == "square":
        square: Float64 = np.maximum(np.abs(x), np.abs(y)) - radius / np.sqrt(2)
        return square
    if outline == "ellipse":
        ellipse: Float64 = np.square(x / radius) + np.square(2 * y / radius) - 1
        return ellipse
    across, up = x * _HEART_REACH / radius, y * _HEART_REACH / radius
    heart: Float64 = np.square(across) + np.square(up) - 1 - np.cbrt(np.square(across)) * up  # (x² + y² - 1)³ = x² y³
    return heart


def levels(outline: Outline, scale: float, degrees: float) -> Float64:
    """`level` of a turned outline at each of the points in which it is drawn, (68, 68)."""
    places = (np.arange(_DRAWN_SIDE * _POINTS) + 0.5) / _POINTS - _DRAWN_SIDE / 2
    x, y = places[np.newaxis, :], -places[:, np.newaxis]
    turn = np.radians(degrees)
    return level(outline, scale, x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn))


def _draw_all() -> tuple[Uint8, Int64]:
    outlines: tuple[Outline, ...] = get_args(Outline)
    sizes = (len(outlines), len(SCALES), len(ROTATIONS), len(POSITIONS), len(POSITIONS))
    images = np.zeros((*sizes, SIDE, SIDE, 1), dtype=np.uint8)
    for shape, scale, rotation in itertools.product(*(range(size) for size in sizes[:3])):
        drawn = _drawn(levels(outlines[shape], SCALES[scale], ROTATIONS[rotation]))
        for (column, left), (row, top) in itertools.product(enumerate(POSITIONS), enumerate(POSITIONS)):
            place = images[shape, scale, rotation, column, row, top : top + _DRAWN_SIDE, left : left + _DRAWN_SIDE, 0]
            place[...] = drawn
    classes = np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), axis=1)
    return images.reshape(-1, SIDE, SIDE, 1), classes.astype(np.int64)


def _drawn(points: Float64) -> Uint8:
    """Points below 0 as grey levels: the share of them in each pixel, of 17 levels over 0 … 255."""
    inside = (points < 0).reshape(_DRAWN_SIDE, _POINTS, _DRAWN_SIDE, _POINTS).sum(axis=(1, 3))
    grey: Uint8 = np.rint(inside * (255 / _POINTS**2)).astype(np.uint8)
    return grey
