"""The unbiased estimate of a maximum mean discrepancy from sums of its kernel, and how far it would be off another time.

With the kernel centred, k̃ = k less its means over either argument, the estimate over n rows x and m rows y has the variance

    V = V₁ + V₂        V₂ = 2τ(x,x) / n(n-1) + 2τ(y,y) / m(m-1) + 4τ(x,y) / nm        τ = E k̃²

V₁ is what single rows contribute, and vanishes where the two distributions are one; V₂ is what pairs contribute, and is all
that is left then (Hoeffding's decomposition; for this estimate: Sutherland and Deka 2019, arXiv:1906.02104). The jackknife
over the rows of x, then y, counts the part of single rows once and the part of pairs twice (Efron and Stein 1981, Annals of
Statistics 9). So with unbiased estimates of τ,

    V = max(jackknife - what it counts of pairs, 0) + V₂,

which is unbiased but for the maximum, and never negative. τ within a set is estimated from the U-centred kernel (Székely and
Rizzo 2014, Annals of Statistics 42), τ between sets from the doubly centred one.

With one set fixed, what its rows have in common with the others' counts among the single rows: only the jackknife over the
other set is taken, and only the pairs within it are subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaeval_core.metrics.kernel_sums import KernelBetween, KernelWithin
from vaeval_core.types import Float64

FEWEST = 4
"""Rows in either set below which the part of pairs has no unbiased estimate."""


@dataclass(frozen=True, eq=False)
class MeanDiscrepancy:
    """Two sets and the sums of a kernel over their pairs.

    Attributes:
        generated: Pairs of generated rows, m.
        reference: Pairs of reference rows, n.
        between: Pairs of one of each.
    """

    generated: KernelWithin
    reference: KernelWithin
    between: KernelBetween

    @property
    def value(self) -> float:
        """The unbiased estimate of the squared discrepancy."""
        m, n = self.generated.sums.size, self.reference.sums.size
        within = self.generated.sums.sum() / (m * (m - 1)) + self.reference.sums.sum() / (n * (n - 1))
        return float(within - 2 * self.between.generated_sums.sum() / (m * n))

    def variance(self, *, fixed_reference: bool = False) -> float | None:
        """Its variance over other draws of both sets, or of the generated one; None for fewer than `FEWEST` rows."""
        parts = self.unclipped_variance(fixed_reference=fixed_reference)
        return None if parts is None else max(parts[0], 0) + max(parts[1], 0)

    def unclipped_variance(self, *, fixed_reference: bool = False) -> tuple[float, float] | None:
        """V₁ and V₂, each without bias."""
        m, n = self.generated.sums.size, self.reference.sums.size
        if min(m, n) < FEWEST:
            return None
        pairs_generated = _centred_squares_within(self.generated)
        single = _jackknife(self.generated.sums, self.between.generated_sums, n)
        single -= 4 * pairs_generated / (m * (m - 2))
        pairs = 2 * pairs_generated / (m * (m - 1))
        if not fixed_reference:
            pairs_reference = _centred_squares_within(self.reference)
            pairs_between = _centred_squares_between(self.between)
            single += _jackknife(self.reference.sums, self.between.reference_sums, m)
            single -= 4 * pairs_reference / (n * (n - 2)) + 8 * pairs_between / (n * m)
            pairs += 2 * pairs_reference / (n * (n - 1)) + 4 * pairs_between / (n * m)
        return single, pairs


def _jackknife(within: Float64, between: Float64, num_others: int) -> float:
    """Jackknife estimate of the variance from leaving out the rows of one set in turn."""
    n = within.size
    # Without row i the mean within is (S - 2 withinᵢ) / (n-1)(n-2), the mean between (C - betweenᵢ) / (n-1) num_others.
    changes = 2 * between / ((n - 1) * num_others) - 2 * within / ((n - 1) * (n - 2))
    return (n - 1) ** 2 / n * float(np.var(changes, ddof=1))


def _centred_squares_within(kernel: KernelWithin) -> float:
    """Unbiased estimate of E k̃² for two rows of one set."""
    n = kernel.sums.size
    total = float(kernel.sums.sum())
    squares = kernel.squares - 2 / (n - 2) * float(np.square(kernel.sums).sum()) + total * total / ((n - 1) * (n - 2))
    return squares / (n * (n - 3))


def _centred_squares_between(kernel: KernelBetween) -> float:
    """Unbiased estimate of E k̃² for a row of each set."""
    m, n = kernel.generated_sums.size, kernel.reference_sums.size
    total = float(kernel.generated_sums.sum())
    squares = kernel.squares - float(np.square(kernel.generated_sums).sum()) / n
    squares -= float(np.square(kernel.reference_sums).sum()) / m
    return (squares + total * total / (m * n)) / ((m - 1) * (n - 1))
