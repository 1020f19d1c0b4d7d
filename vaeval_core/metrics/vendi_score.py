"""Vendi score: the effective number of different images, without looking at real ones.

    VS   = exp(-Σ λᵢ ln λᵢ)                     λ: eigenvalues of K / n, Kᵢⱼ = xᵢ·xⱼ / |xᵢ||xⱼ|
    VS_q = (Σ λᵢ^q)^(1 / (1 - q))               of order q ≠ 1; VS is its limit for q → 1, and 1 / max λ that for q → ∞

n images that are all alike score 1, n that are all at right angles score n. Source: Friedman and Dieng 2023,
arXiv:2210.02410; other orders: Pasarkar and Dieng 2023, arXiv:2310.12952.

K / n and the (d, d) matrix of second moments of the normalised rows have the same eigenvalues, but for zeros: the smaller one
is taken.

    >>> round(vendi_score(np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0], [0.0, 4.0]])).value, 12)
    2.0
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isinf

import numpy as np
import scipy

from vaeval_core.errors import InvalidInput
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.effective_images import unreliable
from vaeval_core.metrics.feature_blocks import CheckedBlocks, Features, as_blocks
from vaeval_core.metrics.shared_images import variance_of_mean
from vaeval_core.types import Float64

ROWS_PER_DIMENSION = 4
"""Rows for each dimension from which on a standard error is given: with fewer, the score says how many images there are."""

LOG_STEP = 0.5
LOG_RANGE = (-40.0, 25.0)
"""Nodes of the integral: ln t in units of the largest eigenvalue."""


def vendi_score(features: Features, *, order: float = 1.0) -> MetricValue:
    """Effective number of different images, by cosine similarity of their features.

    Exact; takes the memory of a square matrix of the smaller of n and d. With fewer images than a few times d it grows with
    their number: compare only values from equal numbers.

    Args:
        features: (n, d), no row all 0.
        order: q > 0, may be infinite. Below 1, rare images count for more; above 1, for less.

    Returns:
        1 to the smaller of n and d; higher is more diverse, which is not better by itself: noise is diverse. The standard
        error of order 1 is a jackknife, for n > 4d; there is none otherwise, nor where a few images decide, which is a warning.

    Raises:
        TooFewImages: There are no rows.
        InvalidInput: A feature is not finite, a row is all 0, or the order is not positive.
    """
    if not order > 0:
        raise InvalidInput("An order has to be positive.", received=f"order={order}", expected="more than 0")
    blocks = as_blocks(features, "generated", at_least=1)
    count, dimension = blocks.shape
    if order != 1 or count <= ROWS_PER_DIMENSION * dimension:
        matrix = _similarities(blocks) if count < dimension else _second_moments(blocks)
        # LAPACK overwrites only what has its order of axes; the matrix is its own transpose.
        eigenvalues = scipy.linalg.eigvalsh(matrix.T, overwrite_a=True)
        return MetricValue.of(_score(eigenvalues, order), num_images=count)
    eigenvalues, eigenvectors = scipy.linalg.eigh(_second_moments(blocks).T, overwrite_a=True)
    score = _score(eigenvalues, order)
    influence = score * _influence_on_entropy(blocks, eigenvalues, eigenvectors)
    reason = unreliable(influence)
    return MetricValue.of(
        score,
        num_images=count,
        std_error=None if reason else float(np.sqrt(variance_of_mean(influence))),
        warnings=(reason,) if reason else (),
    )


def _score(eigenvalues: Float64, order: float) -> float:
    # What is below rounding is a 0; a low order would make much of it.
    present = eigenvalues[eigenvalues > eigenvalues.size * np.finfo(np.float64).eps]
    if order == 1:
        return float(np.exp(scipy.special.entr(present).sum()))
    if isinf(order):
        return float(1 / present.max())
    return float(np.sum(present**order) ** (1 / (1 - order)))


def _influence_on_entropy(blocks: CheckedBlocks, eigenvalues: Float64, eigenvectors: Float64) -> Float64:
    """Pseudo-values of the entropy S = -tr C ln C of the second moments C, (n,): every image is left out once, exactly.

    Without the row x of coordinates y, C is n/(n - 1) (C - x xᵀ/n). From λ ln λ = λ + ∫ (λ/(1 + t) - ln(λ + t) + …) dt and the
    determinant lemma,

        tr C ln C - tr A ln A = (Σ y² ln λ + 1)/n + ∫₀^∞ (ln(1 - h(t)/n) + h(t)/n) dt     A = C - x xᵀ/n,  h = Σ y²/(λ + t)

    of which the integral is of second order: what an image does to the directions that it spans itself.
    """
    count = blocks.shape[0]
    logarithms = np.log(np.maximum(eigenvalues, np.finfo(np.float64).tiny))
    relative = np.exp(np.arange(*LOG_RANGE, LOG_STEP))
    nodes = relative * eigenvalues[-1]
    weights = 1 / np.add.outer(np.maximum(eigenvalues, 0), nodes) / count
    entropy = float(scipy.special.entr(np.maximum(eigenvalues, 0)).sum())
    without = []
    for rows in _normalised(blocks):
        squares = np.square(rows @ eigenvectors)
        taken = squares @ weights
        # What is left is a matrix of moments; rounding may take more than there is.
        left = np.maximum(1 - taken, relative / (1 + relative))
        removed = (squares @ logarithms + 1) / count + (np.log(left) + taken) @ nodes * LOG_STEP
        without.append(count / (count - 1) * (entropy + removed) + np.log1p(-1 / count))
    entropies = np.concatenate(without)
    influence: Float64 = (count - 1) * (entropies.mean() - entropies)
    return influence


def _similarities(blocks: CheckedBlocks) -> Float64:
    """K / n, (n, n)."""
    rows = np.concatenate(list(_normalised(blocks)))
    similarities: Float64 = rows @ rows.T
    similarities /= len(rows)
    return similarities


def _second_moments(blocks: CheckedBlocks) -> Float64:
    """Mean of x xᵀ over normalised rows, (d, d)."""
    total = np.zeros((blocks.shape[1], blocks.shape[1]))
    for rows in _normalised(blocks):
        total += rows.T @ rows
    total /= blocks.shape[0]
    return total


def _normalised(blocks: CheckedBlocks) -> Iterator[Float64]:
    for start, block in blocks.starting_at(0):
        largest = np.abs(block).max(axis=1, keepdims=True)
        if not largest.all():
            first = int(np.flatnonzero(largest[:, 0] == 0)[0])
            raise InvalidInput(
                f"The {blocks.name} features hold a row without a direction.",
                received=f"row {start + first}, all 0",
                expected="rows that are not all 0",
                next_step="look at the images that the checkpoint generates",
            )
        # Squares of what is divided by its largest value neither overflow nor vanish.
        rows = block / largest
        rows /= np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, np.newaxis]
        yield rows
