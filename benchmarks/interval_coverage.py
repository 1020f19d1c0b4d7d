"""Draws of one checkpoint after another from features with a known law: what their distances, errors and intervals come to.

Used by `benchmarks.uncertainty`. Draws are made in pieces, each with a seed of its own, so that any number of processes gives
the same figures.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg
from scipy.special import stdtrit

from vaeval_core.accumulators.feature_moments import FeatureMoments
from vaeval_core.metrics.cross_spectrum import cross_spectrum
from vaeval_core.metrics.fidelity import frechet_distance
from vaeval_core.metrics.frechet import fit_gaussian, squared_frechet_distance
from vaeval_core.metrics.gaussian_fit import GaussianFit
from vaeval_core.metrics.paired_difference import paired_difference
from vaeval_core.types import Float64

MANY = 100_000
"""Images that stand for infinitely many."""

DRAWS_OF_A_PIECE = 10

MOST_FEATURES_OF_FIRST_ORDER = 100

SCALE_AND_SHIFT = {"other": (1.2, 0.1), "same": (1.0, 0.0)}
"""How the features of the checkpoint differ from those of the reference."""


@dataclass(frozen=True)
class Setting:
    """What is drawn.

    Attributes:
        kind: Law of the features, see `benchmarks.uncertainty`.
        dimension: d.
        against: `other` or `same`.
        count: Images of a draw.
    """

    kind: str
    dimension: int
    against: str
    count: int

    @property
    def is_below_two_images_per_feature(self) -> bool:
        """Where an error is on the safe side, not calibrated."""
        return self.count < 2 * self.dimension

    def features(self, noise: Float64, scale: float, shift: float) -> Float64:
        """Features (n, d) of normal noise (n, d)."""
        if self.kind == "rare":
            return np.asarray(np.maximum(noise * scale + shift - 2.5, 0))
        axes, offsets = _axes(self.kind, self.dimension)
        spread = noise @ axes * scale + shift
        return np.asarray(np.maximum(spread + offsets, 0) if self.kind == "rectified" else spread)


@dataclass(frozen=True)
class Draw:
    """What one draw of a checkpoint and of a second one on the same noise gave.

    Attributes:
        distance: Of the checkpoint.
        error: Its standard error; None where it is withheld.
        first_order_error: That of the influence function by the optimal-transport map alone.
        bias: As estimated; None below two images per feature.
        difference: To the second checkpoint.
        paired_error: Of the difference; None where it is withheld.
        unpaired_error: What two separate errors would give; None where either is withheld.
    """

    distance: float
    error: float | None
    first_order_error: float
    bias: float | None
    difference: float
    paired_error: float | None
    unpaired_error: float | None


def draw_piece(setting: Setting, number: int) -> list[Draw]:
    """Ten draws; the same whatever process they are made in."""
    rng = np.random.default_rng([number, setting.count, setting.dimension])
    reference = reference_of(setting.kind, setting.dimension)
    scale, shift = SCALE_AND_SHIFT[setting.against]
    draws = []
    for _ in range(DRAWS_OF_A_PIECE):
        noise = rng.normal(size=(setting.count, setting.dimension))
        rows = setting.features(noise, scale, shift)
        value = frechet_distance(rows, reference)
        second = frechet_distance(setting.features(noise, scale + 0.03, shift + 0.02), reference)
        pair = paired_difference(value, second)
        both = value.std_error, second.std_error
        draws.append(
            Draw(
                distance=value.value or 0.0,
                error=value.std_error,
                first_order_error=first_order_error(rows, reference),
                bias=value.bias,
                difference=pair.difference,
                paired_error=pair.std_error,
                unpaired_error=None if both[0] is None or both[1] is None else math.hypot(both[0], both[1]),
            )
        )
    return draws


def first_order_error(rows: Float64, reference: GaussianFit) -> float:
    """sd(ψ)/√n of the influence function; NaN below two images per feature, and where it would cost as much as all else."""
    count, dimension = rows.shape
    if count < 2 * dimension or dimension > MOST_FEATURES_OF_FIRST_ORDER:
        return math.nan
    features = FeatureMoments.from_rows(rows)
    spectrum = cross_spectrum(features, reference)
    centred = rows - features.mean
    stretch = np.square(centred).sum(axis=1) - np.square(spectrum.coordinates(0, centred)).sum(axis=1)
    influence = 2 * centred @ (features.mean - reference.mean) + stretch
    return float(influence.std(ddof=1)) / math.sqrt(count)


@functools.cache
def reference_of(kind: str, dimension: int) -> GaussianFit:
    """The reference: so many images that they are the law itself."""
    return fit_gaussian(_many(kind, dimension, 1.0, 0.0, seed=1))


@functools.cache
def true_distance(kind: str, dimension: int, against: str) -> float:
    """The distance of infinitely many images of the checkpoint."""
    return squared_frechet_distance(
        _many(kind, dimension, *SCALE_AND_SHIFT[against], seed=2), reference_of(kind, dimension)
    )


@dataclass(frozen=True)
class Coverage:
    """Of intervals that were given.

    Attributes:
        covered: How many held the mean.
        given: How many there were.
        share: Mean error as a share of the true scatter.
    """

    covered: int
    given: int
    share: float

    @classmethod
    def of(cls, values: Sequence[float], errors: Sequence[float | None], count: int) -> Coverage:
        """Of intervals around values by Student's t; errors that are None are not given."""
        numbers, given = np.array(values), np.array([error is not None for error in errors])
        widths = np.array([math.nan if error is None else error for error in errors])
        held = np.abs(numbers - numbers.mean()) < float(stdtrit(count - 1, 0.975)) * widths
        share = float(widths[given].mean() / numbers.std(ddof=1)) if given.any() else math.nan
        return cls(int(held[given].sum()), int(given.sum()), share)


@functools.cache
def _axes(kind: str, dimension: int) -> tuple[Float64, Float64]:
    """Principal axes times deviations, (d, d), and offsets, (d,)."""
    rng = np.random.default_rng(dimension)
    axes = linalg.qr(rng.normal(size=(dimension, dimension)))[0]
    offsets = rng.normal(size=dimension) * 0.1
    numbers = np.arange(1, dimension + 1)
    deviations = 1 / numbers if kind == "steep" else 1 / np.sqrt(numbers)
    return axes * deviations[:, np.newaxis], offsets


def _many(kind: str, dimension: int, scale: float, shift: float, seed: int) -> FeatureMoments:
    rng = np.random.default_rng(seed)
    setting = Setting(kind, dimension, "same", MANY)
    moments = FeatureMoments.empty(dimension)
    for _ in range(MANY // 5000):
        rows = setting.features(rng.normal(size=(5000, dimension)), scale, shift)
        moments = moments.merge(FeatureMoments.from_rows(rows))
    return moments
