"""Standard error of a share of images, which is never 0: that none of a hundred has something says little about the next one.

    std_error = √(p(1 - p)/n)        p = (successes + 2)/(n + 4)

The share itself stays what was counted; two successes and two failures are added for its error alone, after Agresti and Coull
1998, «Approximate is better than exact for interval estimation of binomial proportions». Where all of n images are alike the
error is about 1.4/n. Intervals of ± 1.96 of it cover at least 92 of 100 times from fifty images on, whatever the true share
(tests/numerics/test_shares.py); those of p(1 - p)/n with the counted share cover 0 of 100 where it is near 0 or 1.

    >>> round(error_of_share(0, 100), 4), round(error_of_share(50, 100), 4)
    (0.0137, 0.05)
"""

from __future__ import annotations

import math

ADDED = 2
"""Successes, and as many failures."""


def error_of_share(successes: int, count: int) -> float:
    """Standard error of successes/count, count ≥ 1; above 0."""
    share = (successes + ADDED) / (count + 2 * ADDED)
    return math.sqrt(share * (1 - share) / count)
