"""The FactorVAE score: in images that agree in one factor, does the code that varies least tell which factor it is?

For each observation one factor is held fixed over a batch of 64 images, and the code with the least variance, relative to
its variance over all images, casts a vote. Each code is then taken to stand for the factor it voted for most often; the score
is how often that is right on other observations.

Codes whose standard deviation over all images is below 0.05 are left out before anything is compared, and votes are counted
under a code's own number: with the dead codes among the candidates, one of them, next to constant, would win every vote.

Source: Kim and Mnih 2018, arXiv:1802.05983, section 4; the settings are those of Locatello et al. 2019.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vaeval_core.disentanglement.fixed_factor_batches import (
    BATCH,
    SharingRows,
    chunks,
    one_of,
    per_factor,
)
from vaeval_core.disentanglement.labelled_codes import NUM_TEST, NUM_TRAIN, LabelledCodes, labelled_codes
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.seeding import uniform
from vaeval_core.types import Float64, Int64

LEAST_DEVIATION = 0.05
"""Standard deviation below which a posterior mean has collapsed to the prior's; presumes a prior of unit variance."""


def factor_vae_score(
    codes: ArrayLike, factors: ArrayLike, *, seed: int, num_train: int = NUM_TRAIN, num_test: int = NUM_TEST
) -> MetricValue:
    """Accuracy of the majority vote on held-out observations; components are the accuracy for each fixed factor.

    Args:
        codes: (n, k) posterior means, at the scale of a standard normal prior.
        factors: (n, f) integers.
        seed: Of the observations.
        num_train: Observations that decide what a code stands for.
        num_test: Observations that are counted.

    Returns:
        Between 0 and 1, higher is better; 1/f is chance, and 0 is given where every code has collapsed. Not applicable
        for one factor, which is always right.

    Raises:
        InvalidInput: See `labelled_codes`.
        TooFewImages: Fewer than 10.
    """
    labelled = labelled_codes(codes, factors)
    if labelled.num_factors < 2:
        return MetricValue.not_applicable("The FactorVAE score needs two factors or more to tell apart.")
    deviations = labelled.codes.std(axis=0, ddof=1)
    active = np.flatnonzero(deviations >= LEAST_DEVIATION)
    if not len(active):
        warning = f"Every code has collapsed: no posterior mean has a standard deviation of {LEAST_DEVIATION} or more."
        return MetricValue.of(0.0, num_images=len(labelled), warnings=(*labelled.warnings, warning))
    scaled = labelled.codes / np.where(deviations > 0, deviations, 1.0)
    fixed, voting = _observe(labelled, scaled, active, seed, num_train + num_test)
    stands_for = votes(voting[:num_train], fixed[:num_train], labelled).argmax(axis=1)
    correct = stands_for[voting[num_train:]] == fixed[num_train:]
    return MetricValue.of(
        float(correct.mean()),
        num_images=len(labelled),
        components=per_factor(correct, fixed[num_train:], labelled.num_factors),
        warnings=labelled.warnings,
    )


def votes(voting: Int64, fixed: Int64, labelled: LabelledCodes) -> Int64:
    """(k, f): how often each code voted while each factor was fixed."""
    counts = np.bincount(voting * labelled.num_factors + fixed, minlength=labelled.num_codes * labelled.num_factors)
    return counts.reshape(labelled.num_codes, labelled.num_factors)


def _observe(
    labelled: LabelledCodes, scaled: Float64, active: Int64, seed: int, num_points: int
) -> tuple[Int64, Int64]:
    """For each observation the fixed factor, and the number among all codes of the active one that varies least."""
    sharing = SharingRows(labelled)
    fixed, voting = np.empty(num_points, dtype=np.int64), np.empty(num_points, dtype=np.int64)
    for chunk in chunks(labelled, num_points):
        chances = uniform(seed, "votes", chunk, 2 + BATCH)
        fixed[chunk.start : chunk.stop] = one_of(labelled.num_factors, chances[:, 0])
        anchors = one_of(len(labelled), chances[:, 1])
        for factor in range(labelled.num_factors):
            chosen = np.flatnonzero(fixed[chunk.start : chunk.stop] == factor)
            if len(chosen):
                rows = sharing.draw(factor, anchors[chosen, np.newaxis], chances[chosen, 2:])
                variances = scaled[rows][:, :, active].var(axis=1, ddof=1)
                voting[chunk.start + chosen] = active[variances.argmin(axis=1)]
    return fixed, voting
