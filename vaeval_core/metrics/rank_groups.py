"""Which checkpoints of a leaderboard are tied with the best: their paired difference to it may be chance.

Every other row is compared with the best one, and the p-values are corrected after Holm. The best row was picked because its
number came out lowest, so the comparisons are not those with one row that was named before, but the largest of all pairs: of k
rows that are left and the best one, k(k + 1)/2. So a board of equal checkpoints shows any of them as worse in less than 5 of
100 cases. Counting k comparisons instead, it would in 15 of 100 with ten rows, and in 53 with a hundred.

Influences are read only where they can matter. By the triangle inequality the error of a difference is at most the sum of what
either's influences give by themselves. Standard errors are smaller than that by up to √2, as the second-order variance, which
influences count twice, is taken off of them (`frechet_jackknife`); so √2 times their sum is a bound, and a row that is worse by
enough of it is worse whatever its influences are:

    worse for certain   number - best number ≥ reach · (standard error + standard error of the best),   reach of `reach_of_ties`

Holm's correction takes such rows out first, and goes on as if they had never been there. So the rows within reach decide among
themselves, and nothing but their number must be known of all others: a database can count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import scipy

from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.holm import holm_adjusted
from vaeval_core.metrics.paired_difference import p_value_of, paired_difference

Standing = Literal["best", "tied", "worse", "unknown"]
"""`unknown`: without influences, or without a number, nothing can be told."""

LEVEL = 0.05

MOST_TAKEN_OFF = math.sqrt(2)
"""How many times a standard error the standard deviation of the influences over √n may be."""

_ROUNDING = 1e-9
"""Share by which a reach is stretched: a row on its edge is compared rather than left out."""


def reach_of_ties(others: int, num_images: int) -> float:
    """How far behind the best a row may be and still be tied with it, in the sum of both standard errors.

    Args:
        others: Rows of the board that have a number, the best left out.
        num_images: Images behind each number, ≥ 2.

    Returns:
        Above 0; infinite where nothing is too far.

    >>> round(reach_of_ties(1, 10_000), 2), round(reach_of_ties(100_000, 10_000), 2)
    (2.77, 9.64)
    """
    if num_images < 2 or others < 1:
        return math.inf
    quantile = float(-scipy.special.stdtrit(num_images - 1, LEVEL / _pairs(others) / 2))
    return quantile * MOST_TAKEN_OFF * (1 + _ROUNDING)


def standings(
    values: Sequence[MetricValue],
    complete: Callable[[int], MetricValue],
    *,
    others: int | None = None,
    not_given: int = 0,
) -> tuple[Standing, ...]:
    """Where each row of a leaderboard stands against the best; lower is better.

    Rows that are out of reach may be left out of `values`: then `others` says how many there are in all, and the answer for
    those given is that of the whole board. If rows within reach are left out too, `not_given` says how many: they are counted
    as if all were tied, so that some that would be told apart from the best are tied with it, never the other way round.

    Args:
        values: The metric's value of each row, the best among them, influences not needed.
        complete: Place of a row → its value with influences, or the same without where there are none. Asked for few rows.
        others: Rows of the board that have a number, the best left out; None if all of them are in `values`.
        not_given: Rows within reach that are not in `values`.

    Rows without influences are counted in the same way: leaving them out would make the others easier to tell apart.
    """
    ranked = [place for place, value in enumerate(values) if value.value is not None]
    result: list[Standing] = ["unknown"] * len(values)
    if not ranked:
        return tuple(result)
    best = min(ranked, key=lambda place: (values[place].value, place))
    result[best] = "best"
    comparisons = _pairs(len(ranked) - 1 if others is None else others)
    p_values: dict[int, float] = {}
    not_told = not_given
    for place in (place for place in ranked if place != best):
        bound = _largest_p_value(values[place], values[best])
        if bound * comparisons > LEVEL:
            pair = complete(place), complete(best)
            compared = None
            if all(value.influence is not None for value in pair):
                compared = paired_difference(*pair).p_value
            if compared is None:
                not_told += 1  # it is one of the comparisons all the same
                continue
            bound = compared
        p_values[place] = bound
    adjusted_ones = holm_adjusted(list(p_values.values()), comparisons=lambda left: _pairs(left + not_told))
    for place, adjusted in zip(p_values, adjusted_ones, strict=True):
        result[place] = "worse" if adjusted <= LEVEL else "tied"
    return tuple(result)


def _pairs(others: int) -> int:
    """Pairs among the best row and so many others."""
    return others * (others + 1) // 2


def _largest_p_value(worse: MetricValue, best: MetricValue) -> float:
    """What the p-value of the pair is at most, whatever the influences are."""
    if worse.std_error is None or best.std_error is None or worse.value is None or best.value is None:
        return 1.0
    error = MOST_TAKEN_OFF * (worse.std_error + best.std_error)
    return p_value_of(worse.value - best.value, error, worse.num_images - 1)
