"""Do intervals of Fréchet distances hold what they promise? Coverage of the nominal 95 % on features with known laws.

    OMP_NUM_THREADS=2 python -m benchmarks.uncertainty                       seven minutes
    OMP_NUM_THREADS=2 python -m benchmarks.uncertainty --ratios 0.5 1 2 5 20 --replicates 800      an hour
    OMP_NUM_THREADS=1 python -m benchmarks.uncertainty --dimensions 64 --ratios 2 20 --replicates 100

The same «checkpoint» is drawn from many times. An interval should cover the mean distance at this number of images in 95 of
100 draws; the distance less its bias should scatter around the distance of infinitely many images. The rule of the project:
coverage between 90 % and 98 %, or no standard error.

    features     `normal`: correlated, with deviations that fall as 1/√k; `rectified`: the same, shifted and cut at 0;
                 `rare`: cut so high that a feature is 0 for nearly every image, where intervals fail
    against      `other`: the checkpoint's features are wider and shifted; `same`: they have the law of the reference, where
                 the first order of the distance vanishes and all scatter is of second order
    error        mean standard error as a share of the true scatter
    coverage     of the interval; `first order` is that of the influence function by the optimal-transport map alone
    bar          whether either coverage is between 90 % and 98 %, as far as so many draws tell: within two standard errors
    withheld     draws whose standard error is left out as unreliable; they count for neither coverage
    bias         mean estimate and true bias; `∞` is the bias that the extrapolation to infinitely many images finds
    paired       error and coverage of the difference to a second checkpoint on the same noise, and its error as a share of what
                 two unpaired errors give
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.special import stdtrit

from vaeval_core.accumulators.feature_moments import FeatureMoments
from vaeval_core.accumulators.feature_rows import FeatureRows
from vaeval_core.metrics.cross_spectrum import cross_spectrum
from vaeval_core.metrics.effective_images import unreliable
from vaeval_core.metrics.frechet import fit_gaussian, squared_frechet_distance
from vaeval_core.metrics.frechet_infinity import frechet_distance_infinity
from vaeval_core.metrics.frechet_jackknife import frechet_jackknife
from vaeval_core.metrics.gaussian_fit import GaussianFit
from vaeval_core.types import Float64

LOWEST, HIGHEST = 0.90, 0.98
"""Coverage of nominal 95 % intervals that the project takes for calibrated."""

MANY = 100_000
"""Images that stand for infinitely many."""


@dataclass(frozen=True)
class Law:
    """Where features come from."""

    kind: str
    dimension: int

    def features(self, noise: Float64, scale: float, shift: float) -> Float64:
        """Features (n, d) of normal noise (n, d)."""
        rng = np.random.default_rng(self.dimension)
        axes = linalg.qr(rng.normal(size=(self.dimension, self.dimension)))[0]
        offsets = rng.normal(size=self.dimension) * 0.1
        spread = noise @ (axes / np.sqrt(np.arange(1, self.dimension + 1))[:, np.newaxis])
        if self.kind == "normal":
            return np.asarray(spread * scale + shift)
        if self.kind == "rare":
            return np.asarray(np.maximum(noise * scale + shift - 2.5, 0))
        return np.asarray(np.maximum(spread * scale + shift + offsets, 0))

    def many(self, scale: float, shift: float, seed: int) -> FeatureMoments:
        """Moments of infinitely many images."""
        rng = np.random.default_rng(seed)
        moments = FeatureMoments.empty(self.dimension)
        for _ in range(MANY // 5000):
            rows = self.features(rng.normal(size=(5000, self.dimension)), scale, shift)
            moments = moments.merge(FeatureMoments.from_rows(rows))
        return moments


@dataclass(frozen=True)
class Draw:
    """What one draw of a checkpoint gave."""

    distance: float
    influence: Float64
    error: float
    first_order_error: float
    bias: float


def draw_of(rows: Float64, reference: GaussianFit) -> Draw:
    """Distance and errors of features (n, d)."""
    count, dimension = rows.shape
    # In float64 throughout: rounding the rows to float32 would be another law than the one that is drawn from.
    features = FeatureRows(rows) if count < dimension else FeatureMoments.from_rows(rows)
    result = frechet_jackknife(features, [rows], reference)
    spectrum = cross_spectrum(features, reference)
    centred = rows - features.mean
    stretch = np.square(centred).sum(axis=1) - np.square(spectrum.coordinates(0, centred)).sum(axis=1)
    first_order = 2 * centred @ (features.mean - reference.mean) + stretch
    return Draw(
        distance=result.distance,
        influence=result.influence,
        error=result.std_error,
        first_order_error=float(first_order.std(ddof=1)) / math.sqrt(count),
        bias=result.bias,
    )


def measure(law: Law, against: str, ratio: float, replicates: int) -> list[str]:
    """Cells of one line."""
    count = round(ratio * law.dimension)
    scale, shift = (1.2, 0.1) if against == "other" else (1.0, 0.0)
    reference = fit_gaussian(law.many(1.0, 0.0, seed=1))
    truth = squared_frechet_distance(law.many(scale, shift, seed=2), reference)
    rng = np.random.default_rng(3)
    draws, others, extrapolated = [], [], []
    for replicate in range(replicates):
        noise = rng.normal(size=(count, law.dimension))
        rows = law.features(noise, scale, shift)
        draws.append(draw_of(rows, reference))
        others.append(draw_of(law.features(noise, scale + 0.03, shift + 0.02), reference))
        if replicate < 10:
            extrapolated.append(frechet_distance_infinity(rows, reference).value)
    distances = np.array([draw.distance for draw in draws])
    told = np.array([unreliable(draw.influence) is None for draw in draws])
    reach = float(stdtrit(count - 1, 0.975))
    off = np.abs(distances - distances.mean())
    errors = np.array([draw.error for draw in draws])
    first_order = np.array([draw.first_order_error for draw in draws])
    bias = np.mean([draw.bias for draw in draws])
    fits = [draw.distance - value for draw, value in zip(draws, extrapolated, strict=False) if value is not None]
    apart = [draw.influence - other.influence for draw, other in zip(draws, others, strict=True)]
    paired = np.array([influence.std(ddof=1) / math.sqrt(count) for influence in apart])
    differences = np.array([draw.distance - other.distance for draw, other in zip(draws, others, strict=True)])
    unpaired = np.hypot(errors, [other.error for other in others])
    paired_off = np.abs(differences - differences.mean())
    return [
        law.kind,
        against,
        str(law.dimension),
        f"{ratio:g}",
        f"{distances.mean():.4g}",
        f"{errors.mean() / distances.std(ddof=1):.2f}",
        share((off < reach * errors)[told]),
        share((off < reach * first_order)[told]),
        f"{1 - told.mean():.0%}",
        f"{bias:.3g} of {distances.mean() - truth:.3g}",
        f"{np.mean(fits):.3g}" if fits else "–",
        f"{paired.mean() / differences.std(ddof=1):.2f}",
        share(paired_off < reach * paired),
        f"{paired.mean() / unpaired.mean():.2f}",
        kept((off < reach * errors)[told]) + " · " + kept(paired_off < reach * paired),
    ]


def kept(covered: NDArray[np.bool_]) -> str:
    """Whether coverage is within the bar, draws being what they are."""
    if not covered.size:
        return "withheld"
    scatter = 2 * math.sqrt(0.95 * 0.05 / covered.size)
    return "kept" if LOWEST - scatter <= covered.mean() <= HIGHEST + scatter else "MISSED"


def share(which: Float64) -> str:
    """Of draws, in per cent."""
    return f"{which.mean():.1%}" if which.size else "–"


TITLES = (
    "features",
    "against",
    "d",
    "n/d",
    "distance",
    "error",
    "coverage",
    "first order",
    "withheld",
    "bias, of true",
    "∞",
    "paired error",
    "coverage",
    "of unpaired",
    "bar",
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", nargs="+", default=["normal", "rectified"])
    parser.add_argument("--dimensions", type=int, nargs="+", default=[64, 512])
    parser.add_argument("--ratios", type=float, nargs="+", default=[2, 5, 20])
    parser.add_argument("--replicates", type=int, default=300, help="draws; of more than 100 features a sixth of them")
    wish = parser.parse_args()
    print("| " + " | ".join(TITLES) + " |")
    print("|" + "---|" * len(TITLES))
    for dimension in wish.dimensions:
        for kind in wish.features:
            for against in ("other", "same"):
                for ratio in wish.ratios:
                    replicates = wish.replicates if dimension <= 100 else wish.replicates // 6
                    cells = measure(Law(kind, dimension), against, ratio, replicates)
                    print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
