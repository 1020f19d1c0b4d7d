"""Modularity: does each code tell about one factor only?

    modularity of code j = 1 - Σ_{i ≠ best} I_ji² / (I_j,best² (f - 1))        I: mutual information with the f factors

and the mean over codes; a code that tells about no factor counts 0.

Source: Ridgeway and Mozer 2018, arXiv:1802.05312, section 3; 20 bins as Locatello et al. 2019.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vaeval_core.disentanglement.labelled_codes import labelled_codes
from vaeval_core.disentanglement.mutual_information import mutual_information
from vaeval_core.disentanglement.mutual_information_gap import bias_warnings
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.types import Float64


def modularity(codes: ArrayLike, factors: ArrayLike) -> MetricValue:
    """Modularity of codes (n, k) and factors (n, f); components are those of the codes.

    Returns:
        Between 0 and 1, higher is better. It says nothing about how *much* a code tells: codes of pure noise, with the bit of
        information that a finite sample lends them, can reach any value. Not applicable for one factor.

    Raises:
        InvalidInput: See `labelled_codes`.
        TooFewImages: Fewer than 10.
    """
    labelled = labelled_codes(codes, factors)
    if labelled.num_factors < 2:
        return MetricValue.not_applicable("Modularity needs two factors or more to tell apart.")
    per_code = modularities(mutual_information(labelled))
    return MetricValue.of(
        float(per_code.mean()),
        num_images=len(labelled),
        components=tuple(per_code.tolist()),
        warnings=(*labelled.warnings, *bias_warnings(labelled)),
    )


def modularities(information: Float64) -> Float64:
    """Modularity of each code (k,) from mutual information (k, f), f ≥ 2."""
    squared = np.square(information)
    best = squared.max(axis=1)
    rest = squared.sum(axis=1) - best
    return np.where(best > 0, 1 - rest / np.where(best > 0, best, 1.0) / (information.shape[1] - 1), 0.0)
