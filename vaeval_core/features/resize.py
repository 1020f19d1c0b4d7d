"""Resizing as two small matrices: the rows of an image times one, its columns times the other.

A feature network sees images of one size, and how they get that size moves FID by whole points, so the kind of
resizing is part of every protocol. All kinds here treat height and width separately; each is a matrix of shape
(target, source) that a device applies as a plain matrix product, for any input size, on any Keras backend.

    tf1-bilinear   TensorFlow 1: pixel i of the target lies at i · source / target. What published FID uses.
    half-pixel     centres aligned: at (i + ½) · source / target - ½. What `tf.image.resize` and Keras use.
    clean          bicubic, centres aligned, antialiased when it shrinks: Pillow's BICUBIC on float images, which
                   clean-FID uses (Parmar et al. 2022, arXiv:2104.11222).
    area           each target pixel is the mean of the source area it covers.

The bilinear kinds mix the two nearest pixels and do not antialias, up or down. Bicubic rows have negative entries, so
`clean` can leave the range 0 … 255; clean-FID then clips, and so does whoever applies the matrices (`OVERSHOOTS`).

>>> resize_matrix("tf1-bilinear", 2, 4) @ [0.0, 1.0]
array([0. , 0.5, 1. , 1. ])
>>> resize_matrix("half-pixel", 2, 4) @ [0.0, 1.0]
array([0.  , 0.25, 0.75, 1.  ])
"""

from __future__ import annotations

import numpy as np

from vaeval_core.errors import InvalidInput
from vaeval_core.types import Float32, Float64

RESIZE_KINDS = ("tf1-bilinear", "half-pixel", "clean", "area")

INCEPTION_RESIZES = ("tf1-bilinear", "half-pixel", "clean")
"""What the Inception extractors offer."""

OVERSHOOTS = frozenset({"clean"})
"""Kinds whose result is clipped to 0 … 255 after both axes."""


def resize_matrix(kind: str, source: int, target: int) -> Float32:
    """The matrix that resizes one axis.

    Args:
        kind: One of `RESIZE_KINDS`; see the module text.
        source: Pixels before, ≥ 1.
        target: Pixels after, ≥ 1.

    Returns:
        (target, source) float32; every row sums to 1; entries in [0, 1], except those of `OVERSHOOTS`.

    Raises:
        InvalidInput: Another kind, or a size below 1.
    """
    if source < 1 or target < 1:
        raise InvalidInput(
            "An image axis has no pixels to resize.",
            received=f"source={source}, target={target}",
            expected="both at least 1",
        )
    if kind == "area":
        return _area_weights(source, target).astype(np.float32)
    if kind == "clean":
        return _bicubic_weights(source, target).astype(np.float32)
    if kind in {"tf1-bilinear", "half-pixel"}:
        return _mix_nearest(_positions(kind, source, target), source).astype(np.float32)
    raise InvalidInput(
        "There is no such kind of resizing.",
        received=kind,
        expected=f"one of {', '.join(RESIZE_KINDS)}",
        next_step="choose one of these, or leave extractor_resize out",
    )


def _positions(kind: str, source: int, target: int) -> Float32:
    """Where each target pixel lies on the source axis, in source pixels.

    In float32 and in this order of operations on purpose: TensorFlow computes positions so, and at 640 pixels its
    rounding alone moves a high-contrast edge by more than the tolerance that is promised here.
    """
    scale = np.float32(source) / np.float32(target)
    steps = np.arange(target, dtype=np.float32)
    if kind == "tf1-bilinear":
        return steps * scale
    half = np.float32(0.5)
    return (steps + half) * scale - half


def _mix_nearest(positions: Float32, source: int) -> Float64:
    """Each row mixes the two pixels around its position; beyond the outermost centres the edge pixel is repeated."""
    inside = np.clip(positions, 0, source - 1)
    lower = np.floor(inside).astype(np.intp)
    upper = np.minimum(lower + 1, source - 1)
    upper_weight = inside.astype(np.float64) - lower
    matrix = np.zeros((len(positions), source))
    rows = np.arange(len(positions))
    # Added, not assigned: at the far edge both neighbours are the same pixel.
    np.add.at(matrix, (rows, lower), 1 - upper_weight)
    np.add.at(matrix, (rows, upper), upper_weight)
    return matrix


def _area_weights(source: int, target: int) -> Float64:
    """Overlap of target pixel i, which covers [i, i + 1) · source / target, with each source pixel, as a share."""
    edges = np.arange(target + 1) * (source / target)
    pixels = np.arange(source)
    begin = np.maximum(edges[:-1, None], pixels)
    end = np.minimum(edges[1:, None], pixels + 1)
    overlap = np.clip(end - begin, 0, None)
    shares: Float64 = overlap / overlap.sum(axis=1, keepdims=True)
    return shares


def _bicubic_weights(source: int, target: int) -> Float64:
    """Cubic convolution with a = -½ (Keys 1981) around each target centre, stretched over what a target pixel covers.

    Stretching the kernel when shrinking is the antialiasing; when enlarging it keeps its width of two source pixels to
    either side. Near the border the weights of the pixels that exist are scaled up to 1.
    """
    scale = source / target
    centres = (np.arange(target) + 0.5) * scale
    distance = np.abs(np.arange(source) + 0.5 - centres[:, None]) / max(scale, 1.0)
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    weights = np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
    shares: Float64 = weights / weights.sum(axis=1, keepdims=True)
    return shares
