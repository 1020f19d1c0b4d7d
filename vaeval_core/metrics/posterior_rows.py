"""Posteriors of all images of an evaluation, as the metrics of information and collapse take them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaeval_core.accumulators.value_moments import ValueMoments
from vaeval_core.computed_once import computed_once
from vaeval_core.errors import InvalidInput
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.measurements.gaussian_divergence import divergence_to_standard_normal
from vaeval_core.types import Float32, Float64

WITHOUT_VARIANCE = "The encoder gives no variance: this is an autoencoder without a posterior."


@dataclass(frozen=True, eq=False)
class PosteriorRows:
    """Diagonal Gaussian posteriors in image order.

    Attributes:
        mean: μ, (n, k), n ≥ 1, k ≥ 1.
        log_variance: ln σ², (n, k); None for an autoencoder without a posterior.

    Raises:
        InvalidInput: The arrays are no such rows.
    """

    mean: Float32
    log_variance: Float32 | None

    def __post_init__(self) -> None:
        other = self.mean if self.log_variance is None else self.log_variance
        kinds_fit = all(np.issubdtype(array.dtype, np.floating) for array in (self.mean, other))
        if self.mean.ndim != 2 or not self.mean.size or other.shape != self.mean.shape or not kinds_fit:
            raise InvalidInput(
                "These are no posteriors.",
                received=f"mean {self.mean.shape} {self.mean.dtype}, log-variance {other.shape} {other.dtype}",
                expected="floats (n, k), one row per image, both of one shape",
            )

    @property
    def num_images(self) -> int:
        """n."""
        return len(self.mean)

    @property
    def latent_size(self) -> int:
        """k."""
        return int(self.mean.shape[1])

    @computed_once
    def divergence(self) -> Float64 | None:
        """KL to the prior of each image and dimension, (n, k) nats; None without a variance."""
        if self.log_variance is None:
            return None
        return divergence_to_standard_normal(self.mean, self.log_variance)

    @computed_once
    def mean_moments(self) -> ValueMoments:
        """Moments over images of each dimension of μ."""
        return ValueMoments.from_rows(self.mean.astype(np.float64))

    def not_finite(self) -> MetricValue | None:
        """The value of every metric of these rows if some are not finite; None if all are."""
        finite = np.isfinite(self.mean).all(axis=1)
        if self.log_variance is not None:
            finite &= np.isfinite(self.log_variance).all(axis=1)
        bad = int((~finite).sum())
        if not bad:
            return None
        return MetricValue(
            value=None,
            num_images=self.num_images,
            kind="nan",
            reason=f"{bad} of {self.num_images} posteriors hold values that are not finite.",
        )
