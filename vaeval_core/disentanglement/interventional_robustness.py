"""IRS: how still a code keeps while everything but its own factor changes.

    stillness of code j under factor i = 1 - mean over values v of q(|z_j - E[z_j | v]|, images with v) / q(|z_j - E z_j|)
    IRS = mean over codes of the best stillness, weighted by q(|z_j - E z_j|)

q is the 0.99 quantile in both places. Code that takes the quantile above and the maximum below gives a third to codes of pure
noise, because the largest of thousands of normal numbers is half as large again as their 0.99 quantile.

Source: Suter et al. 2019, arXiv:1811.00007, section 4, where q is the maximum, which a single image can decide.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vaeval_core.disentanglement.labelled_codes import LabelledCodes, labelled_codes
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.types import Float64

QUANTILE = 0.99


def interventional_robustness(codes: ArrayLike, factors: ArrayLike) -> MetricValue:
    """IRS of codes (n, k) and factors (n, f); components are the best stillness of each code, 0 for a constant one.

    Returns:
        Between 0 and 1, higher is better; 0 where every code is constant.

    Raises:
        InvalidInput: See `labelled_codes`.
        TooFewImages: Fewer than 10.
    """
    labelled = labelled_codes(codes, factors)
    spread = _typical_deviation(labelled.codes)
    best = np.max([_stillness(labelled, factor, spread) for factor in range(labelled.num_factors)], axis=0)
    total = float(spread.sum())
    return MetricValue.of(
        float(best @ spread) / total if total > 0 else 0.0,
        num_images=len(labelled),
        components=tuple(best.tolist()),
        warnings=labelled.warnings,
    )


def _stillness(labelled: LabelledCodes, factor: int, spread: Float64) -> Float64:
    """(k,) in [0, 1]: 1 for a code that only this factor moves."""
    classes, num_values = labelled.factors[:, factor], labelled.num_values[factor]
    left = np.mean([_typical_deviation(labelled.codes[classes == value]) for value in range(num_values)], axis=0)
    relative = np.divide(left, spread, out=np.ones_like(left), where=spread > 0)
    stillness: Float64 = np.clip(1 - relative, 0.0, 1.0)
    return stillness


def _typical_deviation(codes: Float64) -> Float64:
    """(k,) the 0.99 quantile of the distance to the mean."""
    deviation: Float64 = np.quantile(np.abs(codes - codes.mean(axis=0)), QUANTILE, axis=0)
    return deviation
