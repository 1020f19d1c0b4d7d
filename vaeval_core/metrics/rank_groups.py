"""Which checkpoints of a leaderboard are tied with the best: their paired difference to it may be chance.

Every other row is compared with the best one, and the p-values are corrected after Holm, so that a board of equal checkpoints
shows one of them as worse in at most 5 of 100 cases. The best row was picked because its number came out lowest, so what is
told apart from it is told apart too seldom rather than too often, if many rows are close to it.

Influences are read only where they can matter. By the triangle inequality the error of a difference is at most the sum of both
standard errors; a row that is worse by enough of those is worse whatever its influences are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.holm import holm_adjusted
from vaeval_core.metrics.paired_difference import p_value_of, paired_difference

Standing = Literal["best", "tied", "worse", "unknown"]
"""`unknown`: without influences, or without a number, nothing can be told."""

LEVEL = 0.05


def standings(values: Sequence[MetricValue], complete: Callable[[int], MetricValue]) -> tuple[Standing, ...]:
    """Where each row of a leaderboard stands against the best; lower is better.

    Args:
        values: The metric's value of each row, influences not needed.
        complete: Place of a row → its value with influences, or the same without where there are none. Asked for few rows.
    """
    ranked = [place for place, value in enumerate(values) if value.value is not None]
    result: list[Standing] = ["unknown"] * len(values)
    if not ranked:
        return tuple(result)
    best = min(ranked, key=lambda place: (values[place].value, place))
    result[best] = "best"
    others = [place for place in ranked if place != best]
    p_values: dict[int, float] = {}
    for place in others:
        bound = _largest_p_value(values[place], values[best])
        if bound * len(others) > LEVEL:
            pair = complete(place), complete(best)
            if any(value.influence is None for value in pair):
                continue
            compared = paired_difference(*pair).p_value
            if compared is None:
                continue
            bound = compared
        p_values[place] = bound
    for place, adjusted in zip(p_values, holm_adjusted(list(p_values.values())), strict=True):
        result[place] = "worse" if adjusted <= LEVEL else "tied"
    return tuple(result)


def _largest_p_value(worse: MetricValue, best: MetricValue) -> float:
    """What the p-value of the pair is at most, whatever the influences are."""
    if worse.std_error is None or best.std_error is None or worse.value is None or best.value is None:
        return 1.0
    return p_value_of(worse.value - best.value, worse.std_error + best.std_error, worse.num_images - 1)
