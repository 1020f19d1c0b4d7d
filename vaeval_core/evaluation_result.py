"""What an evaluation ends in: named numbers that say how sure they are, or why they are missing."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from vaeval_core.types import Float64, Int64

ValueKind = Literal["finite", "nan", "inf", "not_applicable"]
"""`finite` carries a value; the others never do, so that no database or sort ever meets a NaN."""


@dataclass(frozen=True, kw_only=True)
class MetricValue:
    """One number of one checkpoint.

    Attributes:
        value: The number; None unless `kind` is `finite`.
        num_images: How many images it rests on.
        std_error: Its standard error where theory gives one.
        bias: By how much it exceeds, on average, the number from infinitely many images; None where that is not known.
        kind: Whether there is a number.
        reason: Why there is none, or None.
        components: The parts of a total, such as KL per latent dimension; empty if it has none.
        warnings: What a reader must know before using it, a sentence each.
        influence: What each image does to the number, (n,) float64 in image order with mean 0, or None. Two checkpoints
            compare as a pair by the difference of theirs (`metrics.paired_difference`). Not a part of what the value is.
        partners: Of a stream of paths between real images, with the influences: the image at the end of each path, (n,); path i
            starts at image i. Paths that share an end scatter together (`metrics.shared_images`).
    """

    value: float | None
    num_images: int
    std_error: float | None = None
    bias: float | None = None
    kind: ValueKind = "finite"
    reason: str | None = None
    components: tuple[float, ...] = ()
    warnings: tuple[str, ...] = ()
    influence: Float64 | None = field(default=None, compare=False, repr=False)
    partners: Int64 | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(
        cls,
        value: float,
        *,
        num_images: int,
        std_error: float | None = None,
        bias: float | None = None,
        components: tuple[float, ...] = (),
        warnings: tuple[str, ...] = (),
        influence: Float64 | None = None,
        partners: Int64 | None = None,
    ) -> MetricValue:
        """Classify a computed float: NaN and infinities become kinds with a reason."""
        if math.isfinite(value):
            return cls(
                value=float(value),
                num_images=num_images,
                std_error=std_error if std_error is not None and math.isfinite(std_error) else None,
                bias=bias if bias is not None and math.isfinite(bias) else None,
                components=components,
                warnings=warnings,
                influence=influence,
                partners=partners,
            )
        kind: ValueKind = "nan" if math.isnan(value) else "inf"
        return cls(
            value=None,
            num_images=num_images,
            kind=kind,
            reason=f"The computation gave {value}: the checkpoint produced values that are not finite or too large.",
            warnings=warnings,
        )

    @classmethod
    def not_applicable(cls, reason: str) -> MetricValue:
        """The metric needs something that this checkpoint or protocol does not have."""
        return cls(value=None, num_images=0, kind="not_applicable", reason=reason)


@dataclass(frozen=True, kw_only=True)
class Score:
    """A metric's name and version with its value: one row of the scores table."""

    metric: str
    version: int
    value: MetricValue
