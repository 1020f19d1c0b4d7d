"""Holm's correction: many comparisons at once, with one chance of a false alarm for all of them together.

Source: Holm 1979, «A simple sequentially rejective multiple test procedure».
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from vaeval_core.errors import InvalidInput
from vaeval_core.types import Float64


def holm_adjusted(p_values: Sequence[float], *, comparisons: Callable[[int], int] = lambda left: left) -> Float64:
    """p-values that may each be held against the level, (m,), in the order given.

    The smallest is multiplied by m, the next by m - 1, and so on; none is smaller than one before it, or above 1.

    Args:
        p_values: One per comparison.
        comparisons: How many comparisons are possible while so many p-values are left; rises with it.

    Raises:
        InvalidInput: One is not between 0 and 1.

    >>> holm_adjusted([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    given = np.asarray(p_values, dtype=np.float64)
    outside = ~((given >= 0) & (given <= 1))
    if outside.any():
        raise InvalidInput(
            "This is no p-value.", received=given[outside][0], expected="a number from 0 to 1, which NaN is not"
        )
    order = np.argsort(given, kind="stable")
    factors = np.array([comparisons(left) for left in range(len(given), 0, -1)], dtype=np.float64)
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(np.maximum.accumulate(given[order] * factors), 1.0)
    return adjusted
