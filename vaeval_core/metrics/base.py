"""What a metric is, and what it is computed from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from vaeval_core.accumulators.feature_moments import FeatureMoments
from vaeval_core.accumulators.feature_rows import FeatureRows
from vaeval_core.accumulators.value_moments import ValueMoments
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.frechet import GaussianFit
from vaeval_core.protocol import StreamName
from vaeval_core.types import Uint8


@dataclass(frozen=True, kw_only=True)
class EvaluationSummary:
    """All shards of one evaluation, merged.

    Attributes:
        features: Stream → its features.
        values: Name of a measurement → its moments over images: `squared_error`, `cross_entropy`, `peak_signal_to_noise`,
            `divergence`, `divergence_per_dimension`. A measurement that the checkpoint cannot give is missing.
        not_finite: Stream → how many of its images hold values that are not finite.
        pictures: `originals`, `reconstructions`, `samples` → the first few images, uint8.
    """

    features: Mapping[StreamName, FeatureMoments | FeatureRows] = field(default_factory=dict)
    values: Mapping[str, ValueMoments] = field(default_factory=dict)
    not_finite: Mapping[StreamName, int] = field(default_factory=dict)
    pictures: Mapping[str, Uint8] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A named, versioned number.

    Attributes:
        name: Column and row name.
        version: Raised whenever the same checkpoint would get another number; part of the fingerprint.
        title: For people.
        unit: Physical or statistical unit.
        direction: Which way is better; `neither` for a rate, which a collapsed posterior brings to 0.
        compute: The number, or why there is none. Pure.
    """

    name: str
    version: int
    title: str
    unit: str
    direction: Literal["lower", "higher", "neither"]
    compute: Callable[[EvaluationSummary, GaussianFit], MetricValue]
