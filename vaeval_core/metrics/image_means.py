"""Metrics that are means over images of one measurement on reconstructions, from the posterior mean or from one draw."""

from __future__ import annotations

from dataclasses import dataclass

from vaeval_core.evaluation_result import MetricValue
from vaeval_core.measurements.reconstruction_error import PSNR_CAP
from vaeval_core.metrics.base import EvaluationSummary, not_finite, outside_warnings
from vaeval_core.metrics.gaussian_fit import GaussianFit

NO_RECONSTRUCTIONS = "The protocol has no reconstructions."
NO_DRAWS = (
    "The encoder gives nothing to draw a reconstruction from: no variance, or groups of latents of which the model alone "
    "can draw."
)
TOO_SMALL = "The images are smaller than {smallest} × {smallest} pixels, which the windows of this metric need."


@dataclass(frozen=True, kw_only=True)
class MeanOverImages:
    """A metric: the mean of a measurement over images, never over means of batches.

    Attributes:
        measurement: Its name in `EvaluationSummary.values`; `drawn/…` is measured on reconstructions from one draw.
        is_clamped: It sees values clamped to [0, 1], so that a value that is not finite would go unnoticed.
        missing: Why a summary with reconstructions can be without it.
    """

    measurement: str
    is_clamped: bool = True
    missing: str = NO_RECONSTRUCTIONS

    def __call__(self, summary: EvaluationSummary, reference: GaussianFit) -> MetricValue:
        """The mean with its standard error, or why there is none."""
        if not summary.counts.get("reconstructions"):
            return MetricValue.not_applicable(NO_RECONSTRUCTIONS)
        is_drawn = self.measurement.startswith("drawn/")
        if is_drawn and "drawn/finite" not in summary.values:
            return MetricValue.not_applicable(NO_DRAWS)
        moments = summary.values.get(self.measurement)
        if moments is None:
            return MetricValue.not_applicable(self.missing)
        bad = None
        if self.is_clamped:
            bad = _draws_not_finite(summary) if is_drawn else not_finite(summary, "reconstructions")
        error = moments.std_error
        return bad or MetricValue.of(
            float(moments.mean[0]),
            num_images=moments.count,
            std_error=None if error is None else float(error[0]),
            warnings=(*outside_warnings(summary, "reconstructions"), *capped_warnings(summary, self.measurement)),
        )


def capped_warnings(summary: EvaluationSummary, measurement: str) -> tuple[str, ...]:
    """Say how many images stand at the cap of a PSNR, where another cap would give another mean."""
    capped = summary.values.get(f"{measurement}/capped")
    if capped is None or not capped.mean[0] > 0:
        return ()
    count = round(float(capped.mean[0]) * capped.count)
    return (
        f"{count} of {capped.count} reconstructions equal their image, or nearly so, and count as {PSNR_CAP:g} dB.",
    )


def _draws_not_finite(summary: EvaluationSummary) -> MetricValue | None:
    finite = summary.values["drawn/finite"]
    bad = round((1 - float(finite.mean[0])) * finite.count)
    if not bad:
        return None
    return MetricValue(
        value=None,
        num_images=finite.count,
        kind="nan",
        reason=f"{bad} of {finite.count} reconstructions from a draw hold values that are not finite.",
    )
