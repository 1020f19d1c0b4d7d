"""NDB, the number of statistically different bins: which kinds of real images are made too rarely or too often?

The reference is divided into bins, the cells of its k-means clusters; every generated image belongs to the nearest centre.
With shares p of n reference images and q of m generated ones in a bin, and P their pooled share,

    z = (p - q) / √(P (1 - P) (1/n + 1/m))        the bin differs  ⟺  2 Φ(-|z|) < significance

    NDB = number of bins that differ              JS = Σ [p ln(2p / (p + q)) + q ln(2q / (p + q))] / 2

Source: Richardson and Weiss 2018, arXiv:1805.12462, on pixels; here the bins are of features. JS, the Jensen-Shannon divergence
of the shares, is what their program gives beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy
from numpy.typing import NDArray

from vaeval_core.errors import InvalidInput, TooFewImages
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.clusters import Int64, assign, assign_left_out, find_clusters
from vaeval_core.metrics.feature_blocks import Features, as_blocks
from vaeval_core.types import Float64

NUM_BINS = 100
SIGNIFICANCE = 0.05
"""Probability with which a bin differs although the distributions are equal: 5 of 100 are to be expected."""

FEWEST_PER_BIN = 5
"""Expected images in a bin below which the normal distribution is a poor stand-in for a count."""


@dataclass(frozen=True, eq=False)
class Bins:
    """A reference divided into bins.

    Attributes:
        centres: (bins, d).
        counts: Reference images in each, (bins,).
        counts_as_new: The same if each image were assigned to clusters that were found without it, (bins,).
        num_wanted: Bins that were asked for; fewer are made where too few images differ.
    """

    centres: Float64
    counts: Int64
    counts_as_new: Int64
    num_wanted: int

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """As named arrays, to be stored."""
        return {
            "centres": self.centres,
            "counts": self.counts,
            "counts_as_new": self.counts_as_new,
            "num_wanted": np.array([self.num_wanted]),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Self:
        """Undo `to_arrays`."""
        return cls(arrays["centres"], arrays["counts"], arrays["counts_as_new"], int(arrays["num_wanted"][0]))


def find_bins(reference: Features, *, bins: int = NUM_BINS, seed: int = 0) -> Bins:
    """Divide a reference into bins; the same for every checkpoint, so made once.

    Args:
        reference: (n, d) features, n > bins.
        bins: Bins to make, ≥ 1.
        seed: 0 ≤ seed < 2**63; where the clusters start from.

    Raises:
        TooFewImages: No more rows than bins.
        InvalidInput: A feature is not finite, or no bin is asked for.
    """
    if bins < 1:
        raise InvalidInput("There has to be a bin.", received=f"bins={bins}", expected="1 or more")
    blocks = as_blocks(reference, "reference")
    if blocks.shape[0] <= bins:
        raise TooFewImages(
            "There are too few reference features for that many bins.",
            received=f"num_images={blocks.shape[0]}, bins={bins}",
            expected=f"{bins + 1} images or more; {10 * bins} for bins of a useful size",
            next_step="evaluate more images, or take fewer bins",
        )
    centres = find_clusters(blocks, bins, seed=seed)
    members = assign(blocks, centres)
    as_new = assign_left_out(blocks, centres, members)
    counts, counts_as_new = (np.bincount(numbers, minlength=len(centres)) for numbers in (members, as_new))
    return Bins(centres, counts, counts_as_new, bins)


def number_of_different_bins(
    generated: Features, reference: Features | Bins, *, significance: float = SIGNIFICANCE
) -> MetricValue:
    """NDB of generated images.

    Args:
        generated: (m, d) features.
        reference: (n, d) features, to be divided as `find_bins` does by default, or bins.
        significance: Chance of a difference that is none, between 0 and 1, for each bin by itself.

    Returns:
        0 to the number of bins, lower is better; `significance` times that many are expected where the distributions are
        equal. No standard error: the value is itself a count of tests. The component is JS, 0 to ln 2.

    Raises:
        TooFewImages: There are no generated rows, or no more reference rows than bins.
        InvalidInput: A feature is not finite, the dimensions differ, or the significance is no probability.
    """
    if not 0 < significance < 1:
        raise InvalidInput(
            "A significance level is a probability.",
            received=f"significance={significance}",
            expected="between 0 and 1",
        )
    bins = reference if isinstance(reference, Bins) else find_bins(reference)
    blocks = as_blocks(generated, "generated", at_least=1)
    dimension = bins.centres.shape[1]
    if blocks.shape[1] != dimension:
        raise InvalidInput(
            "The features of the two sets have different lengths.",
            received=f"{blocks.shape[1]} (generated) and {dimension} (reference)",
            expected="features of one extractor",
        )
    counts = np.bincount(assign(blocks, bins.centres), minlength=len(bins.centres))
    num_reference, num_generated = int(bins.counts.sum()), blocks.shape[0]
    pooled = (bins.counts + counts) / (num_reference + num_generated)
    return MetricValue.of(
        float((_p_values(bins.counts, counts) < significance).sum()),
        num_images=num_generated,
        components=(_jensen_shannon_divergence(bins.counts / num_reference, counts / num_generated),),
        warnings=tuple(_warnings(bins, pooled * min(num_reference, num_generated))),
    )


def _p_values(counts: Int64, others: Int64) -> Float64:
    """Two-sided p-values of equal shares, bin by bin."""
    n, m = int(counts.sum()), int(others.sum())
    pooled = (counts + others) / (n + m)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    # Without an image in a bin, or outside it, nothing differs and there is nothing to divide by.
    z = np.divide(counts / n - others / m, error, out=np.zeros(len(counts)), where=error > 0)
    p_values: Float64 = 2 * scipy.special.ndtr(-np.abs(z))
    return p_values


def _jensen_shannon_divergence(p: Float64, q: Float64) -> float:
    middle = np.maximum((p + q) / 2, np.finfo(np.float64).tiny)
    return max(float((scipy.special.xlogy(p, p / middle) + scipy.special.xlogy(q, q / middle)).sum() / 2), 0.0)


def _warnings(bins: Bins, expected: Float64) -> Iterator[str]:
    number = len(bins.counts)
    if number < bins.num_wanted:
        yield f"The reference has different images for {number} of {bins.num_wanted} bins only."
    sparse = int((expected < FEWEST_PER_BIN).sum())
    if sparse:
        yield f"{sparse} of {number} bins expect fewer than {FEWEST_PER_BIN} images: their test is a rough one."
    moved = int((_p_values(bins.counts, bins.counts_as_new) < SIGNIFICANCE).sum())
    if moved > SIGNIFICANCE * number:
        yield (
            f"{moved} of {number} bins would hold another share of the reference's own images if these were new: the bins are "
            "fitted too closely to it, and more of them differ than should. Take more images or fewer bins."
        )
