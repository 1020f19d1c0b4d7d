"""Every score of disentanglement under its metric name: the one door for an evaluation."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vaeval_core.disentanglement.beta_vae import beta_vae_score
from vaeval_core.disentanglement.explicitness import explicitness
from vaeval_core.disentanglement.factor_vae import factor_vae_score
from vaeval_core.disentanglement.importance_scores import importance_scores
from vaeval_core.disentanglement.interventional_robustness import interventional_robustness
from vaeval_core.disentanglement.labelled_codes import numbered_factors
from vaeval_core.disentanglement.modularity import modularity
from vaeval_core.disentanglement.mutual_information_gap import mutual_information_gap, mutual_information_gap_ceiling
from vaeval_core.disentanglement.separated_predictability import separated_attribute_predictability
from vaeval_core.errors import InvalidInput
from vaeval_core.evaluation_result import MetricValue

DISENTANGLEMENT_SCORES = (
    "mig",
    "mig_ceiling",
    "sap",
    "dci_disentanglement",
    "dci_completeness",
    "dci_informativeness",
    "factor_vae",
    "beta_vae",
    "modularity",
    "explicitness",
    "irs",
)


def score_disentanglement(codes: ArrayLike, factors: ArrayLike, *, seed: int) -> dict[str, MetricValue]:
    """All of DISENTANGLEMENT_SCORES, with a reason where there is none: an evaluation does not fail for want of them.

    They are not applicable where the factors cannot be used, such as one that never changes among the evaluated images, and
    `nan` where the encoder gave codes that are not finite.

    Args:
        codes: (n, k) posterior means.
        factors: (n, f) integers, the class of each factor.
        seed: Seed of the protocol.

    Raises:
        InvalidInput: The codes are no table of numbers, or not of the same images as the factors.
    """
    try:
        numbered_factors(factors)
    except InvalidInput as error:
        return dict.fromkeys(
            DISENTANGLEMENT_SCORES, MetricValue.not_applicable(f"{error.what} Received: {error.received}.")
        )
    bad = ~np.isfinite(np.asarray(codes)).reshape(len(np.asarray(codes)), -1).all(axis=1)
    if bad.any():
        reason = f"The posterior means of {int(bad.sum())} of {len(bad)} images are not finite."
        diverged = MetricValue(value=None, num_images=len(bad), kind="nan", reason=reason)
        return dict.fromkeys(DISENTANGLEMENT_SCORES, diverged)
    importance = importance_scores(codes, factors, seed=seed)
    return {
        "mig": mutual_information_gap(codes, factors),
        "mig_ceiling": mutual_information_gap_ceiling(factors),
        "sap": separated_attribute_predictability(codes, factors, seed=seed),
        "dci_disentanglement": importance.disentanglement,
        "dci_completeness": importance.completeness,
        "dci_informativeness": importance.informativeness,
        "factor_vae": factor_vae_score(codes, factors, seed=seed),
        "beta_vae": beta_vae_score(codes, factors, seed=seed),
        "modularity": modularity(codes, factors),
        "explicitness": explicitness(codes, factors, seed=seed),
        "irs": interventional_robustness(codes, factors),
    }
