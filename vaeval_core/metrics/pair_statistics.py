"""What the metrics of pairs of images have in common, from one pass over the pairs.

    pair_statistics(generated, reference) ─► kernel_distance_of     KID
                                          ─► manifold_scores_of     precision, recall, density, coverage
                                          ─► authenticity_of        if the reference is the training set

The pass is a matrix product of all rows with each other and costs far more than what is made of it, so whoever wants more
than one of these metrics makes the statistics once. The part that concerns the reference alone (`set_statistics`) is the
same for every checkpoint; `to_arrays` gives it a form to be stored in.

Memory: a few numbers per row, and the blocks of `row_pairs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vaeval_core.errors import InvalidInput, TooFewImages
from vaeval_core.metrics.feature_blocks import CheckedBlocks, Features, as_blocks, require_same_length
from vaeval_core.metrics.kernel_sums import KernelBetween, KernelWithin
from vaeval_core.metrics.neighbourhoods import Balls, NearestDistances
from vaeval_core.metrics.row_pairs import mean_row, pairs_between, pairs_within
from vaeval_core.types import Float64

NEIGHBOURS = 5
"""k of precision, recall, density and coverage: as in the program of Naeem et al. 2020."""


@dataclass(frozen=True, eq=False)
class SetStatistics:
    """Pairs of different rows of one set of n.

    Attributes:
        origin: What rows are taken relative to, (d,): the mean of the reference.
        kernel: Sums of the kernel.
        nearest: Squared distances to the k nearest others, ascending, (n, k).
    """

    origin: Float64
    kernel: KernelWithin
    nearest: Float64

    @property
    def count(self) -> int:
        """n."""
        return len(self.nearest)

    def squared_radii(self, neighbours: int) -> Float64:
        """Squared distance of every row to its k-th nearest neighbour, (n,)."""
        radii: Float64 = self.nearest[:, neighbours - 1]
        return radii

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """As named arrays, to be stored."""
        return {
            "origin": self.origin,
            "kernel_sums": self.kernel.sums,
            "kernel_squares": np.array([self.kernel.squares]),
            "nearest": self.nearest,
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Self:
        """Undo `to_arrays`."""
        kernel = KernelWithin(arrays["kernel_sums"], float(arrays["kernel_squares"][0]))
        return cls(arrays["origin"], kernel, arrays["nearest"])


@dataclass(frozen=True, eq=False)
class PairStatistics:
    """All pairs of rows of a generated and a reference set.

    Attributes:
        neighbours: k; 0 if nothing was asked about neighbours.
        generated: Of the generated rows.
        reference: Of the reference rows.
        kernel: Sums of the kernel over pairs of one row of each.
        balls: Who is in whose ball; None for k = 0.
    """

    neighbours: int
    generated: SetStatistics
    reference: SetStatistics
    kernel: KernelBetween
    balls: Balls | None


def set_statistics(reference: Features, *, neighbours: int = NEIGHBOURS, name: str = "reference") -> SetStatistics:
    """Statistics of the pairs of a reference set, relative to its own mean.

    Args:
        reference: (n, d).
        neighbours: k ≥ 0.
        name: What it is, for messages.

    Raises:
        TooFewImages: The set has no more than k rows, or fewer than two.
        InvalidInput: A feature is not finite.
    """
    blocks = as_blocks(reference, name)
    return _within(blocks, mean_row(blocks), neighbours)


def pair_statistics(
    generated: Features,
    reference: Features,
    *,
    neighbours: int = NEIGHBOURS,
    known_reference: SetStatistics | None = None,
) -> PairStatistics:
    """Look at every pair of images once.

    Args:
        generated: (m, d).
        reference: (n, d).
        neighbours: k; 0 if no metric of neighbours is wanted.
        known_reference: What `set_statistics` gave for the same reference, with as many neighbours or more.

    Raises:
        TooFewImages: Either set has no more than k rows, or fewer than two.
        InvalidInput: A feature is not finite, the dimensions differ, or `known_reference` is of another reference.
    """
    generated_blocks, reference_blocks = as_blocks(generated, "generated"), as_blocks(reference, "reference")
    require_same_length(generated_blocks, reference_blocks)
    _require_more_than(neighbours, generated_blocks)
    within_reference = statistics_of(reference_blocks, known_reference, neighbours)
    within_generated = _within(generated_blocks, within_reference.origin, neighbours)
    kernel = KernelBetween.empty(within_generated.count, within_reference.count)
    balls = None
    if neighbours:
        balls = Balls.empty(
            within_generated.count,
            within_reference.squared_radii(neighbours),
            within_generated.squared_radii(neighbours),
        )
    # Features of the size of 1e60 overflow: the metric reports it, and a warning would add nothing.
    with np.errstate(over="ignore", invalid="ignore"):
        for pairs in pairs_between(generated_blocks, reference_blocks, within_reference.origin):
            if balls is not None:
                balls.add(pairs)
            kernel.add(pairs, within_reference.origin)
    return PairStatistics(neighbours, within_generated, within_reference, kernel, balls)


def statistics_of(blocks: CheckedBlocks, known: SetStatistics | None, neighbours: int) -> SetStatistics:
    """The statistics of a reference: those that are known, if they can be its own, else made now.

    Raises:
        TooFewImages: The set has no more than k rows.
        InvalidInput: The known ones are of another set, or of fewer neighbours.
    """
    if known is None:
        return _within(blocks, mean_row(blocks), neighbours)
    received, expected = (known.count, known.origin.size), blocks.shape
    if received != expected or known.nearest.shape[1] < neighbours:
        raise InvalidInput(
            f"The known statistics are not those of the {blocks.name} features.",
            received=f"statistics of {received[0]} rows of {received[1]} features and {known.nearest.shape[1]} neighbours",
            expected=f"{expected[0]} rows of {expected[1]} features, {neighbours} or more neighbours",
            next_step="make them again with set_statistics",
        )
    return known


def _within(blocks: CheckedBlocks, origin: Float64, neighbours: int) -> SetStatistics:
    _require_more_than(neighbours, blocks)
    kernel = KernelWithin.empty(blocks.shape[0])
    nearest = NearestDistances(blocks.shape[0], neighbours)
    with np.errstate(over="ignore", invalid="ignore"):
        for pairs in pairs_within(blocks, origin):
            if neighbours:
                nearest.add(pairs)
            kernel.add(pairs, origin)
    return SetStatistics(origin, kernel, nearest.in_order())


def _require_more_than(neighbours: int, blocks: CheckedBlocks) -> None:
    if neighbours < 0:
        raise InvalidInput(
            "A number of neighbours cannot be negative.", received=f"neighbours={neighbours}", expected="0 or more"
        )
    if blocks.shape[0] <= neighbours:
        raise TooFewImages(
            f"There are too few {blocks.name} features for that many neighbours.",
            received=f"num_images={blocks.shape[0]}, neighbours={neighbours}",
            expected=f"{neighbours + 1} images or more",
            next_step="evaluate more images",
        )
