"""Points between two latents: along the straight line, or along an arc around the origin.

    linear      z(t) = (1 - t) a + t b
    spherical   direction: turned evenly from that of a to that of b in their plane; length: (1 - t) |a| + t |b|

Prior draws of many dimensions all have nearly the same length, √k. Half-way along a line between two of them the length is
0.71 √k, where the prior has no mass and a decoder has seen nothing; along the arc it stays. Posterior means that are to be
compared with textbook interpolations go along the line. For latents of equal length the arc is that of Shoemake 1985 and
White 2016, arXiv:1609.04468; for unequal lengths theirs bulges, while this one goes from one length to the other.

    >>> spherical(np.array([[1.0, 0.0]]), np.array([[0.0, 3.0]]), np.array([0.5])).round(4).tolist()
    [[1.4142, 1.4142]]
"""

from __future__ import annotations

import numpy as np

from vaeval_core.errors import InvalidInput
from vaeval_core.protocol import PathKind
from vaeval_core.types import Float32, Float64

_LEAST_SINE = 1e-7
"""Below it the plane of two directions is lost in rounding: they are parallel, or opposite."""


def points_between(start: Float32, end: Float32, fractions: Float64, kind: PathKind) -> Float32:
    """One point on the path of each pair, to be decoded.

    Args:
        start: a, (n, k).
        end: b, (n, k).
        fractions: t, (n,), 0 for the start and 1 for the end.
        kind: Which path.

    Returns:
        (n, k) float32; at t = 0 and t = 1 exactly the start and the end.

    Raises:
        InvalidInput: The shapes do not fit together.
    """
    if start.ndim != 2 or start.shape != end.shape or fractions.shape != start.shape[:1]:
        raise InvalidInput(
            "Pairs of latents and places between them do not fit together.",
            received=f"starts {start.shape}, ends {end.shape}, fractions {fractions.shape}",
            expected="(n, k), (n, k) and (n,)",
        )
    path = linear if kind == "linear" else spherical
    with np.errstate(invalid="ignore", over="ignore"):  # latents of a diverged encoder give points that are not finite
        points = path(start.astype(np.float64), end.astype(np.float64), fractions).astype(np.float32)
    return np.where(fractions[:, np.newaxis] == 0, start, np.where(fractions[:, np.newaxis] == 1, end, points))


def whole_paths(start: Float32, end: Float32, num_steps: int, kind: PathKind) -> Float32:
    """Evenly spaced points on each path, both ends among them, (n, num_steps, k) float32.

    Raises:
        InvalidInput: Fewer than two steps, or the shapes do not fit together.
    """
    if num_steps < 2:
        raise InvalidInput(
            "A path has two ends.", received=f"num_steps={num_steps}", expected="2 or more: both ends are steps"
        )
    places = np.linspace(0, 1, num_steps)
    return np.stack([points_between(start, end, np.full(len(start), place), kind) for place in places], axis=1)


def linear(start: Float64, end: Float64, fractions: Float64) -> Float64:
    """Points (n, k) on the straight lines from starts to ends, (n, k) each, at fractions (n,)."""
    t = fractions[:, np.newaxis]
    return (1 - t) * start + t * end


def spherical(start: Float64, end: Float64, fractions: Float64) -> Float64:
    """Points (n, k) on the arcs from starts to ends, (n, k) each, at fractions (n,).

    Where an end is the origin it has no direction, and the path is the line. Where the directions are opposite, every half
    circle is as short as every other; the one taken leaves toward the axis along which the start reaches least.
    """
    t = fractions[:, np.newaxis]
    lengths = [np.linalg.norm(latents, axis=1, keepdims=True) for latents in (start, end)]
    has_direction = (lengths[0] > 0) & (lengths[1] > 0)
    first = np.divide(start, lengths[0], out=np.zeros_like(start), where=has_direction)
    last = np.divide(end, lengths[1], out=np.zeros_like(end), where=has_direction)
    # The half-angle formula keeps its digits for tiny angles and for nearly opposite directions; arccos does not.
    apart, together = (np.linalg.norm(last + sign * first, axis=1, keepdims=True) for sign in (-1, 1))
    angle = 2 * np.arctan2(apart, together)
    sideways = last - (first * last).sum(axis=1, keepdims=True) * first
    sine = np.linalg.norm(sideways, axis=1, keepdims=True)
    lost = sine < _LEAST_SINE
    sideways = np.where(lost, _perpendicular(first), np.divide(sideways, sine, out=sideways, where=~lost))
    direction = np.cos(t * angle) * first + np.sin(t * angle) * sideways
    arc = direction * ((1 - t) * lengths[0] + t * lengths[1])
    # Directions that agree to rounding: there is no arc to see, and the line ends where it should.
    straight = ~has_direction | (lost & (together > apart)) | (start.shape[1] == 1)
    return np.where(straight, linear(start, end, fractions), arc)


def _perpendicular(directions: Float64) -> Float64:
    """A unit vector at right angles to each direction (n, k), k ≥ 2; anything where the direction is 0 or k is 1."""
    least = np.abs(directions).argmin(axis=1)
    axis = np.zeros_like(directions)
    axis[np.arange(len(directions)), least] = 1
    across = axis - (directions * axis).sum(axis=1, keepdims=True) * directions
    length = np.linalg.norm(across, axis=1, keepdims=True)
    perpendicular: Float64 = np.divide(across, length, out=np.zeros_like(across), where=length > 0)
    return perpendicular
