"""KID: how far the features of two sets of images are apart, without assuming that they are Gaussian.

    KID = mean k(xᵢ, xⱼ)  +  mean k(yᵢ, yⱼ)  -  2 mean k(xᵢ, yⱼ)        k(x, y) = (x·y / d + 1)³
            i ≠ j              i ≠ j              all i, j

The squared maximum mean discrepancy of the kernel, estimated without bias: it does not depend on the number of images, and so
can be below 0 where the sets agree. Source: Gretton et al. 2012, «A kernel two-sample test», JMLR 13, for the estimator;
Bińkowski et al. 2018, arXiv:1801.01401, for features of InceptionV3 and this kernel.

    >>> kernel_distance(np.array([[0.0], [1.0]]), np.array([[0.0], [1.0]])).value      # 1 + 1 - 2 · 11/4
    -3.5
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

import numpy as np

from vaeval_core.errors import InvalidInput
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.feature_blocks import CheckedBlocks, Features, as_blocks, in_parts, require_same_length
from vaeval_core.metrics.kernel_variance import MeanDiscrepancy
from vaeval_core.metrics.pair_statistics import PairStatistics, SetStatistics, pair_statistics
from vaeval_core.types import Float64


def kernel_distance(
    generated: Features,
    reference: Features,
    *,
    fixed_reference: bool = False,
    known_reference: SetStatistics | None = None,
) -> MetricValue:
    """KID over all pairs of images.

    Args:
        generated: (m, d) features, m ≥ 2.
        reference: (n, d) features, n ≥ 2.
        fixed_reference: The standard error is of other generated images against this same reference, as between two
            checkpoints of a protocol; otherwise of other images in both sets.
        known_reference: What `set_statistics` gave for the same reference: saves a quarter of the work.

    Returns:
        Unitless, 0 in expectation if the sets are of one distribution; lower is better. The standard error is that of
        `kernel_variance`; None for fewer than four images in either set.

    Raises:
        TooFewImages: Either set has fewer than two rows.
        InvalidInput: A feature is not finite, or the dimensions differ.
    """
    pairs = pair_statistics(generated, reference, neighbours=0, known_reference=known_reference)
    return kernel_distance_of(pairs, fixed_reference=fixed_reference)


def kernel_distance_of(pairs: PairStatistics, *, fixed_reference: bool = False) -> MetricValue:
    """KID from statistics that are already there; see `kernel_distance`."""
    estimate = MeanDiscrepancy(pairs.generated.kernel, pairs.reference.kernel, pairs.kernel)
    with np.errstate(over="ignore", invalid="ignore"):  # the value says so
        value, variance = estimate.value, estimate.variance(fixed_reference=fixed_reference)
    return MetricValue.of(
        value,
        num_images=pairs.generated.count,
        std_error=None if variance is None else float(np.sqrt(variance)),
    )


def kernel_distance_in_blocks(generated: Features, reference: Features, *, block_size: int = 1000) -> MetricValue:
    """Mean of the KID of disjoint blocks of images: less work, and an error that needs no theory.

    Both sets are cut, in image order, into the fewest equally large parts of at most `block_size` images; part b of one is
    compared with part b of the other. The work grows with the number of images, not with its square. The estimate has the
    expectation of that over all pairs, and scatters more.

    Args:
        generated: (m, d) features.
        reference: (n, d) features.
        block_size: Most images in a block, ≥ 2.

    Returns:
        As `kernel_distance`. The standard error is sd/√blocks, with blocks - 1 in the variance, for other images in both
        sets; None for one block. The components are the values of the blocks.

    Raises:
        TooFewImages: A block would have fewer than two rows.
        InvalidInput: A feature is not finite, the dimensions differ, or the block size is below 2.
    """
    if block_size < 2:
        raise InvalidInput("A block is too small.", received=f"block_size={block_size}", expected="2 or more")
    sets = as_blocks(generated, "generated"), as_blocks(reference, "reference")
    require_same_length(*sets)
    count = -(-max(blocks.shape[0] for blocks in sets) // block_size)
    for blocks in sets:
        as_blocks(blocks, blocks.name, at_least=2 * count)
    values = []
    for one, other in zip(_parts(sets[0], count), _parts(sets[1], count), strict=True):
        value = kernel_distance(one, other).value
        values.append(np.nan if value is None else value)
    mean = float(np.mean(values))
    return MetricValue.of(
        mean,
        num_images=sets[0].shape[0],
        std_error=float(np.std(values, ddof=1) / np.sqrt(count)) if count > 1 else None,
        components=tuple(values) if np.isfinite(mean) else (),
    )


def _parts(blocks: CheckedBlocks, count: int) -> Iterator[Float64]:
    for _, pieces in groupby(in_parts(blocks, count), key=itemgetter(0)):
        yield np.concatenate([rows for _, rows in pieces])
