"""Two checkpoints compared on the same noise: how far apart they are, and how sure that is.

Every checkpoint of a protocol decodes the same noise, so what is easy or hard for one image is so for both, and most of it
cancels. With the influences ψ of each image on either number (`MetricValue.influence`),

    standard error of the difference = sd(ψ₁ - ψ₂)/√n

which for similar checkpoints is a small part of what two separate standard errors would give. Of paths between images, and over
several seeds, it is that of `shared_images`. The interval and the p-value are those of Student's t with n - 1 degrees of
freedom, however many seeds there are: they may show the same n images. Both numbers are biased by n being finite; what is
compared is the mean of each at this n.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from vaeval_core.errors import InvalidInput
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.effective_images import unreliable
from vaeval_core.metrics.shared_images import variance_of_mean
from vaeval_core.types import Float64

COVERAGE = 0.95
"""Of the intervals."""


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """First less second.

    Attributes:
        difference: In the metric's own unit.
        num_images: Pairs of images behind it, over all seeds.
        num_seeds: Seeds behind it.
        std_error: Standard error of the difference; None where it is unreliable.
        interval: Covers the mean difference 95 times in 100; None without a standard error.
        p_value: How often chance alone makes two equal checkpoints differ as much; None without a standard error.
        reason: Why there is no standard error, or None.
    """

    difference: float
    num_images: int
    num_seeds: int = 1
    std_error: float | None = None
    interval: tuple[float, float] | None = None
    p_value: float | None = None
    reason: str | None = None


def paired_difference(first: MetricValue, second: MetricValue) -> PairedDifference:
    """Compare one metric of two checkpoints under one protocol.

    Raises:
        InvalidInput: One of them has no number or no influences, or they rest on different numbers of images.
    """
    return mean_over_seeds([(first, second)])


def mean_over_seeds(pairs: Sequence[tuple[MetricValue, MetricValue]]) -> PairedDifference:
    """The mean of the differences of one pair of checkpoints under several seeds.

    Args:
        pairs: The first and the second value under each seed. What seeds have in common, real images, and what they draw anew
            is told apart by the influences themselves; see `shared_images`.

    Raises:
        InvalidInput: There is no pair, one of the values has no number or no influences, or they rest on different numbers of
            images.
    """
    if not pairs:
        raise InvalidInput("There is nothing to take a mean of.", received="no pair", expected="one pair per seed")
    complete = [(_complete(first, "first"), _complete(second, "second")) for first, second in pairs]
    counts = [len(influence) for both in complete for _, influence in both]
    if len(set(counts)) > 1:
        raise InvalidInput(
            "Two values that rest on different numbers of images are no pair.",
            received=f"{' and '.join(map(str, dict.fromkeys(counts)))} images",
            expected="evaluations of one protocol",
        )
    difference = float(np.mean([first - second for (first, _), (second, _) in complete]))
    apart = np.stack([first - second for (_, first), (_, second) in complete])
    ends = [first.partners for first, _ in pairs if first.partners is not None]
    partners = np.stack(ends) if ends else None
    num_images = apart.size
    reason = unreliable(apart, partners)
    if reason is not None:
        return PairedDifference(difference=difference, num_images=num_images, num_seeds=len(pairs), reason=reason)
    std_error, degrees = math.sqrt(variance_of_mean(apart, partners)), apart.shape[1] - 1
    reach = float(scipy.special.stdtrit(degrees, (1 + COVERAGE) / 2)) * std_error
    return PairedDifference(
        difference=difference,
        num_images=num_images,
        num_seeds=len(pairs),
        std_error=std_error,
        interval=(difference - reach, difference + reach),
        p_value=p_value_of(difference, std_error, degrees),
    )


def p_value_of(difference: float, std_error: float, degrees: int) -> float:
    """Two-sided p-value of a difference; without any error, 1 for no difference and 0 for one."""
    if not std_error:
        return 0.0 if difference else 1.0
    return float(2 * scipy.special.stdtr(degrees, -abs(difference) / std_error))


def _complete(value: MetricValue, which: str) -> tuple[float, Float64]:
    if value.value is None or value.influence is None:
        raise InvalidInput(
            f"The {which} of two values cannot be compared as a pair.",
            received=value.reason or "a value without the influence of each image",
            expected="a number, with what each image does to it",
            next_step="evaluate the checkpoint again with this version of vaeval",
        )
    return value.value, value.influence
