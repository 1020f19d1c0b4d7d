"""MIG: how much more the best code tells about a factor than the second best.

    MIG = mean over factors v of [I(z₍₁₎; v) - I(z₍₂₎; v)] / H(v)        z₍₁₎, z₍₂₎: the two codes that tell most about v

Source: Chen et al. 2018, arXiv:1802.04942, section 4.1, there with samples from q(z|x); here as Locatello et al. 2019
(arXiv:1811.12359) compute it, with posterior means in 20 bins. The two are different numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vaeval_core.disentanglement.labelled_codes import LabelledCodes, labelled_codes, numbered_factors
from vaeval_core.disentanglement.mutual_information import NUM_BINS, entropy, mutual_information
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.types import Float64

MOST_BIAS = 0.05
"""Expected excess of an estimated mutual information, as a share of the factor's entropy, that is not worth a word."""


def mutual_information_gap(codes: ArrayLike, factors: ArrayLike) -> MetricValue:
    """MIG of codes (n, k) and factors (n, f); components are the gaps of the factors.

    Returns:
        Between 0 and `mutual_information_gap_ceiling`; higher is better. A single code is compared with one that tells
        nothing.

    Raises:
        InvalidInput: See `labelled_codes`.
        TooFewImages: Fewer than 10.
    """
    labelled = labelled_codes(codes, factors)
    information = mutual_information(labelled)
    ranked = -np.sort(-np.vstack([information, np.zeros(labelled.num_factors)]), axis=0)
    gaps = (ranked[0] - ranked[1]) / _entropies(labelled)
    return MetricValue.of(
        float(gaps.mean()),
        num_images=len(labelled),
        components=tuple(gaps.tolist()),
        warnings=(*labelled.warnings, *bias_warnings(labelled)),
    )


def mutual_information_gap_ceiling(factors: ArrayLike) -> MetricValue:
    """The MIG of a perfect code: for each factor one dimension that counts its values, and all factors independent.

    1 where no factor has more values than there are bins; 0.9024 for the five factors of dSprites.

    Args:
        factors: (n, f) integers.

    Raises:
        InvalidInput: See `numbered_factors`.
        TooFewImages: Fewer than 10.
    """
    perfect = numbered_factors(factors)
    ceilings = np.diag(mutual_information(perfect)) / _entropies(perfect)
    return MetricValue.of(float(ceilings.mean()), num_images=len(perfect), components=tuple(ceilings.tolist()))


def bias_warnings(labelled: LabelledCodes) -> tuple[str, ...]:
    """Say so where there are so few images that even independent codes seem to tell something."""
    bias = (NUM_BINS - 1) * (np.array(labelled.num_values) - 1) / (2 * len(labelled)) / _entropies(labelled)
    worst = int(bias.argmax())
    if bias[worst] <= MOST_BIAS:
        return ()
    warning = (
        f"From {len(labelled)} images, codes seem to tell about {bias[worst]:.0%} of factor {worst} even where they tell "
        "nothing: evaluate more images."
    )
    return (warning,)


def _entropies(labelled: LabelledCodes) -> Float64:
    return np.array([entropy(column) for column in labelled.factors.T])
