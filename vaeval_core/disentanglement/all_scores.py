"""Every score of disentanglement under its metric name: the one door for an evaluation."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from vaeval_core.disentanglement.beta_vae import beta_vae_score
from vaeval_core.disentanglement.explicitness import explicitness
from vaeval_core.disentanglement.factor_vae import factor_vae_score
from vaeval_core.disentanglement.importance_scores import ImportanceScores, importance_scores
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


class DisentanglementScores:
    """The scores of one set of codes, each computed when it is asked for, with a reason where there is none.

    They are not applicable where the factors cannot be used, such as one that never changes among the evaluated images, and
    `nan` where the encoder gave codes that are not finite: an evaluation does not fail for want of them.

    Args:
        codes: (n, k) posterior means.
        factors: (n, f) integers, the class of each factor.
        seed: Seed of the protocol.
    """

    def __init__(self, codes: ArrayLike, factors: ArrayLike, *, seed: int) -> None:
        self._codes = np.asarray(codes)
        self._factors = np.asarray(factors)
        self._seed = seed
        self._computed: dict[str, Callable[[], MetricValue]] = {
            "mig": lambda: mutual_information_gap(self._codes, self._factors),
            "mig_ceiling": lambda: mutual_information_gap_ceiling(self._factors),
            "sap": lambda: separated_attribute_predictability(self._codes, self._factors, seed=seed),
            "dci_disentanglement": lambda: self._importance.disentanglement,
            "dci_completeness": lambda: self._importance.completeness,
            "dci_informativeness": lambda: self._importance.informativeness,
            "factor_vae": lambda: factor_vae_score(self._codes, self._factors, seed=seed),
            "beta_vae": lambda: beta_vae_score(self._codes, self._factors, seed=seed),
            "modularity": lambda: modularity(self._codes, self._factors),
            "explicitness": lambda: explicitness(self._codes, self._factors, seed=seed),
            "irs": lambda: interventional_robustness(self._codes, self._factors),
        }

    def score(self, name: str) -> MetricValue:
        """One of DISENTANGLEMENT_SCORES.

        Raises:
            InvalidInput: The codes are no table of numbers, or not of the same images as the factors.
        """
        return self._computed[name]() if self._unusable is None else self._unusable

    @cached_property
    def _unusable(self) -> MetricValue | None:
        """The value of every score if codes or factors cannot be used; None if they can."""
        try:
            numbered_factors(self._factors)
        except InvalidInput as error:
            return MetricValue.not_applicable(f"{error.what} Received: {error.received}.")
        bad = ~np.isfinite(self._codes).reshape(len(self._codes), -1).all(axis=1)
        if not bad.any():
            return None
        reason = f"The posterior means of {int(bad.sum())} of {len(bad)} images are not finite."
        return MetricValue(value=None, num_images=len(bad), kind="nan", reason=reason)

    @cached_property
    def _importance(self) -> ImportanceScores:
        return importance_scores(self._codes, self._factors, seed=self._seed)


def score_disentanglement(codes: ArrayLike, factors: ArrayLike, *, seed: int) -> dict[str, MetricValue]:
    """All of DISENTANGLEMENT_SCORES of codes (n, k) and factors (n, f); see `DisentanglementScores`.

    Raises:
        InvalidInput: The codes are no table of numbers, or not of the same images as the factors.
    """
    scores = DisentanglementScores(codes, factors, seed=seed)
    return {name: scores.score(name) for name in DISENTANGLEMENT_SCORES}
