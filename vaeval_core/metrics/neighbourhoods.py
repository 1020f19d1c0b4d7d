"""Who is near whom: nearest distances within a set, and whose ball holds whom between two, a block of pairs at a time.

The ball of a row reaches to its k-th nearest neighbour in its own set, its surface excluded. Distances that differ by no
more than rounding count as equal (`row_pairs.rounding_share`), so that copies are copies and surfaces are surfaces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from vaeval_core.metrics.row_pairs import PairBlock, rounding_share
from vaeval_core.types import Float64

Int64 = NDArray[np.int64]


class NearestDistances:
    """Collects, for each of n rows, the k smallest of the distances that it is shown.

    >>> nearest = NearestDistances(count=2, neighbours=2)
    >>> nearest.update(slice(0, 2), np.array([[5.0, 1.0], [4.0, 2.0]]))
    >>> nearest.update(slice(0, 2), np.array([[3.0], [9.0]]))
    >>> nearest.in_order().tolist()
    [[1.0, 3.0], [2.0, 4.0]]
    """

    def __init__(self, count: int, neighbours: int) -> None:
        self._neighbours = neighbours
        self._smallest = np.full((count, neighbours), np.inf)

    def add(self, pairs: PairBlock) -> None:
        """Take a block of pairs i ≤ j of one set, and with it its mirror image."""
        distances = pairs.squared_distances()
        np.maximum(distances, 0, out=distances)
        if pairs.is_diagonal:
            np.fill_diagonal(distances, np.inf)
        else:
            self.update(pairs.right.place, distances, by_columns=True)
        self.update(pairs.left.place, distances)

    def update(self, place: slice, distances: Float64, *, by_columns: bool = False) -> None:
        """Show the rows at `place` their distances to others that they have not been shown before.

        Args:
            place: Which rows.
            distances: (rows, others), or the reverse.
            by_columns: The reverse.
        """
        limits = self._smallest[place].max(axis=1)
        if np.isinf(limits).any():
            changed, candidates = np.arange(limits.size), distances.T if by_columns else distances
        else:
            changed, candidates = _below(distances, limits, by_columns)
        rows = changed + place.start
        both = np.concatenate([self._smallest[rows], candidates], axis=1)
        self._smallest[rows] = np.partition(both, self._neighbours - 1, axis=1)[:, : self._neighbours]

    def in_order(self) -> Float64:
        """(n, k), ascending; infinite where a row was shown fewer than k."""
        return np.sort(self._smallest, axis=1)


def _below(distances: Float64, limits: Float64, by_columns: bool) -> tuple[Int64, Float64]:
    """The rows that have distances below their limit, and those distances, filled up with infinity.

    After the first blocks this is a small part of them: partitioning whole blocks would take longer than the products did.
    """
    # numpy.nonzero in two dimensions takes ten times as long.
    found = np.flatnonzero(distances < (limits if by_columns else limits[:, np.newaxis]))
    values = distances.reshape(-1)[found]
    owners = found % distances.shape[1] if by_columns else found // distances.shape[1]
    if by_columns:
        order = np.argsort(owners, kind="stable")
        owners, values = owners[order], values[order]
    changed, first, counts = np.unique(owners, return_index=True, return_counts=True)
    candidates = np.full((len(changed), int(counts.max(initial=0))), np.inf)
    candidates[np.repeat(np.arange(len(changed)), counts), np.arange(len(owners)) - np.repeat(first, counts)] = values
    return changed, candidates


@dataclass(eq=False)
class Balls:
    """Which balls of a reference of n hold which of m generated rows, and the reverse; filled by `add`.

    Attributes:
        reference_radii: Squared radii, (n,).
        generated_radii: Squared radii, (m,); None if nobody asks for generated balls.
        balls_holding: Reference balls that hold each generated row, (m,).
        rows_held: Generated rows in each reference ball, (n,).
        numbers_held: Sum of the numbers of those rows, (n,); where there is one, its number.
        is_in_generated_ball: Whether a generated ball holds each reference row, (n,).
        nearest_reference: Number of the reference row nearest to each generated one, the first of equals, (m,).
        nearest_distance: Its squared distance, less what rounding may have added, (m,).
    """

    reference_radii: Float64
    generated_radii: Float64 | None
    balls_holding: Int64
    rows_held: Int64
    numbers_held: Int64
    is_in_generated_ball: NDArray[np.bool_]
    nearest_reference: Int64
    nearest_distance: Float64

    @classmethod
    def empty(cls, num_generated: int, reference_radii: Float64, generated_radii: Float64 | None) -> Self:
        """No pairs yet."""
        num_reference = reference_radii.size
        return cls(
            reference_radii=reference_radii,
            generated_radii=generated_radii,
            balls_holding=np.zeros(num_generated, dtype=np.int64),
            rows_held=np.zeros(num_reference, dtype=np.int64),
            numbers_held=np.zeros(num_reference, dtype=np.int64),
            is_in_generated_ball=np.zeros(num_reference, dtype=bool),
            nearest_reference=np.zeros(num_generated, dtype=np.int64),
            nearest_distance=np.full(num_generated, np.inf),
        )

    def add(self, pairs: PairBlock) -> None:
        """Take a block of pairs: generated left, reference right."""
        generated, reference = pairs.left, pairs.right
        rounding = rounding_share(generated.rows.shape[1])
        # The most that the distances can be: what is inside by this measure is inside whatever the rounding was.
        distances = pairs.squared_distances(1 + rounding)
        inside = np.flatnonzero(distances < self.reference_radii[reference.place])
        rows, balls = np.divmod(inside, distances.shape[1])
        self.balls_holding[generated.place] += np.bincount(rows, minlength=len(generated.rows))
        self.rows_held[reference.place] += np.bincount(balls, minlength=len(reference.rows))
        np.add.at(self.numbers_held, balls + reference.start, rows + generated.start)
        if self.generated_radii is not None:
            held = distances < self.generated_radii[generated.place, np.newaxis]
            self.is_in_generated_ball[reference.place] |= held.any(axis=0)
        nearest = distances.argmin(axis=1)
        norms = generated.squared_norms + reference.squared_norms[nearest]
        closest = distances[np.arange(len(nearest)), nearest] - 2 * rounding * norms
        closer = np.flatnonzero(np.maximum(closest, 0) < self.nearest_distance[generated.place])
        self.nearest_reference[generated.start + closer] = nearest[closer] + reference.start
        self.nearest_distance[generated.start + closer] = np.maximum(closest[closer], 0)
