"""Scores of disentanglement as metrics of the catalogue: the numbers of `FactorScores`, or what they would need."""

from __future__ import annotations

from dataclasses import dataclass

from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.base import EvaluationSummary
from vaeval_core.metrics.gaussian_fit import GaussianFit

WITHOUT_FACTORS = (
    "The data set does not say what varies in its images. Disentanglement is measured on --data shapes, or with an array "
    "latents_classes beside the images of an .npz or HDF5 file."
)


@dataclass(frozen=True)
class OfFactors:
    """A metric: one of `DISENTANGLEMENT_SCORES`."""

    name: str

    def __call__(self, summary: EvaluationSummary, reference: GaussianFit) -> MetricValue:
        """The score, or why there is none."""
        if not summary.counts.get("reconstructions"):
            return MetricValue.not_applicable("The protocol has no reconstructions, so nothing was encoded.")
        if summary.factor_scores is None:
            return MetricValue.not_applicable(WITHOUT_FACTORS)
        return summary.factor_scores.score(self.name)
