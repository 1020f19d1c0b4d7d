"""k-means over rows that are read in blocks: the same centres whatever the blocks, for one seed.

Seeds are spread by greedy k-means++ (Arthur and Vassilvitskii 2007) over a random part of the rows, small enough to be kept;
then Lloyd's iteration runs over all rows until no row changes its cluster, `MOST_ROUNDS` at most. Random numbers are raw words
of Philox: they are the same with every NumPy, and what a generator makes of them need not be (NEP 19).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vaeval_core.metrics.feature_blocks import CheckedBlocks
from vaeval_core.metrics.row_pairs import rounding_share
from vaeval_core.types import Float64

Int64 = NDArray[np.int64]

ROWS_PER_SEED = 20
"""Rows kept for each cluster to choose seeds among."""

MOST_ROUNDS = 100


def find_clusters(blocks: CheckedBlocks, number: int, *, seed: int) -> Float64:
    """Centres of clusters.

    Args:
        blocks: (n, d), n ≥ number.
        number: Clusters to look for, ≥ 1.
        seed: 0 ≤ seed < 2**63.

    Returns:
        (number, d), or fewer where there are fewer different rows to seed from.
    """
    words = np.random.Philox(key=seed)
    centres = _seeds(_random_rows(blocks, number * ROWS_PER_SEED, words), number, words)
    previous = np.full(blocks.shape[0], -1)
    for _ in range(MOST_ROUNDS):
        members, means = _assign_with_means(blocks, centres)
        if np.array_equal(members, previous):
            break
        previous, centres = members, means
    return centres


def assign(blocks: CheckedBlocks, centres: Float64) -> Int64:
    """Number of the nearest centre of every row, the first of equals, (n,)."""
    return np.concatenate([distances.argmin(axis=1) for _, distances in _squared_distances(blocks, centres)])


def assign_left_out(blocks: CheckedBlocks, centres: Float64, members: Int64) -> Int64:
    """As `assign`, each row as if it had not taken part in its cluster: where it would go if it were new, (n,).

    The mean of k rows without x is k / (k - 1) times as far from x as the mean with it.
    """
    sizes = np.bincount(members, minlength=len(centres))[members]
    factors = np.where(sizes > 1, np.square(sizes / np.maximum(sizes - 1, 1)), np.inf)
    start, moved = 0, []
    for _, distances in _squared_distances(blocks, centres):
        rows = np.arange(len(distances))
        own = members[start : start + len(rows)]
        # A row that is its cluster is at distance 0, and 0 · ∞ is no number.
        distances[rows, own] = np.maximum(distances[rows, own], np.finfo(np.float64).tiny) * factors[start + rows]
        moved.append(distances.argmin(axis=1))
        start += len(rows)
    return np.concatenate(moved)


def _squared_distances(blocks: CheckedBlocks, centres: Float64) -> Iterator[tuple[Float64, Float64]]:
    """Blocks of rows, and their squared distances to the centres."""
    origin = centres.mean(axis=0)
    centred = centres - origin
    squared_norms = np.einsum("ij,ij->i", centred, centred)
    for block in blocks:
        rows = block - origin
        distances = np.einsum("ij,ij->i", rows, rows)[:, np.newaxis] + squared_norms - 2 * (rows @ centred.T)
        yield block, np.maximum(distances, 0)


def _assign_with_means(blocks: CheckedBlocks, centres: Float64) -> tuple[Int64, Float64]:
    """What `assign` gives, and the mean of the members of each cluster, from one reading of the rows.

    A centre without members stays where it is.
    """
    totals = np.zeros_like(centres)
    parts = []
    for block, distances in _squared_distances(blocks, centres):
        nearest = distances.argmin(axis=1)
        parts.append(nearest)
        is_member = nearest == np.arange(len(centres))[:, np.newaxis]
        totals += is_member.astype(np.float64) @ block
    members = np.concatenate(parts)
    counts = np.bincount(members, minlength=len(centres))[:, np.newaxis]
    return members, np.where(counts, totals / np.maximum(counts, 1), centres)


def _random_rows(blocks: CheckedBlocks, most: int, words: np.random.Philox) -> Float64:
    """As many different rows, in their order."""
    wanted = np.sort(np.argsort(words.random_raw(blocks.shape[0]), kind="stable")[:most])
    parts = []
    for start, block in blocks.starting_at(0):
        first, last = np.searchsorted(wanted, (start, start + len(block)))
        parts.append(block[wanted[first:last] - start])
    return np.concatenate(parts)


def _seeds(rows: Float64, number: int, words: np.random.Philox) -> Float64:
    """Greedy k-means++: draw candidates in proportion to the squared distance to the seeds so far, keep the best."""
    trials = 2 + int(np.log(number))
    uniforms = (words.random_raw((number, trials)) >> np.uint64(11)) * 2.0**-53
    centred = rows - rows.mean(axis=0)
    squared_norms = np.einsum("ij,ij->i", centred, centred)
    smallest = np.full(len(rows), np.inf)
    chosen: list[int] = []
    for drawn in uniforms:
        weights = np.cumsum(smallest if chosen else np.ones(len(rows)))
        if not weights[-1]:
            break
        candidates = np.searchsorted(weights, drawn * weights[-1], side="right")
        both = squared_norms + squared_norms[candidates, np.newaxis]
        distances = both - 2 * (centred[candidates] @ centred.T)
        distances[distances <= rounding_share(rows.shape[1]) * both] = 0
        distances = np.minimum(distances, smallest)
        best = int(distances.sum(axis=1).argmin())
        smallest = distances[best]
        chosen.append(int(candidates[best]))
    return rows[chosen]
