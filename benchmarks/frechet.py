"""Time of a Fréchet distance of 2048 features, beside the formulas of other libraries.

    OMP_NUM_THREADS=2 python -m benchmarks.frechet                  about five minutes
    OMP_NUM_THREADS=1 python -m benchmarks.frechet --rounds 1 --images 1000

Everybody starts from what is at hand per checkpoint: moments of the generated features (rows, where there are fewer than
dimensions), and what is kept of the reference. They take turns: a round times every one once. Reported are medians over
rounds, of seconds and of the share of another's time within a round, each with the bar that the project sets itself; and how
far values are from ours, which must be less than 10⁻⁶. The exit status is 1 where a bar is missed.

`scipy sqrtm` is what pytorch-fid and TTUR compute, `eigenvalues` is what torch-fidelity computes: the libraries' own functions
where they are installed, else the same formula.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import linalg

from benchmarks.contestants import make_torchvision_importable
from vaeval_core.accumulators.feature_moments import FeatureMoments
from vaeval_core.accumulators.feature_rows import FeatureRows
from vaeval_core.metrics.frechet import fit_gaussian, squared_frechet_distance
from vaeval_core.metrics.frechet_jackknife import frechet_jackknife
from vaeval_core.types import Float32, Float64

Contestants = dict[str, Callable[[], float]]
OURS, WITH_ERROR = "vaeval", "vaeval, with error and bias"
SQRTM, EIGENVALUES = "scipy sqrtm", "eigenvalues"
BARS = {
    (OURS, SQRTM, False): 1 / 8,
    (OURS, EIGENVALUES, False): 1 / 2,
    (WITH_ERROR, SQRTM, False): 1 / 3,
    (OURS, SQRTM, True): 1 / 15,
}
"""Who, beside whom, with fewer images than features or not → the largest share of the other's time."""
PARITY = 1e-6
"""Largest relative difference of any value from ours."""
BLOCK = 1024


def rectified_features(count: int, dimension: int, seed: int, spread: float) -> Float32:
    """Features as a network's last pool gives them: not negative, of very different sizes, and correlated."""
    rng = np.random.default_rng(0)
    sizes = np.exp(rng.normal(size=dimension))
    offsets = rng.normal(size=dimension) * 0.3
    common = rng.normal(size=(32, dimension)) * 0.2
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(count, dimension)) + rng.normal(size=(count, 32)) @ common
    features: Float32 = (np.maximum(noise * spread + offsets, 0) * sizes).astype(np.float32)
    return features


def library(module: str, function: str) -> Any:
    """A function of a peer; None if the peer does not import here."""
    try:
        make_torchvision_importable()
        return getattr(importlib.import_module(module), function)
    except (ImportError, RuntimeError):
        return None


def by_sqrtm(mean: Float64, covariance: Float64, real_mean: Float64, real_covariance: Float64) -> float:
    """The formula of Heusel et al. 2017."""
    root = linalg.sqrtm(covariance @ real_covariance)
    shift = mean - real_mean
    return float(shift @ shift + np.trace(covariance) + np.trace(real_covariance) - 2 * np.trace(root).real)


def by_eigenvalues(mean: Float64, covariance: Float64, real_mean: Float64, real_covariance: Float64) -> float:
    """The formula of torch-fidelity 0.4."""
    roots = np.sqrt(np.linalg.eigvals(covariance @ real_covariance).astype(np.complex128)).real
    shift = mean - real_mean
    return float(shift @ shift + np.trace(covariance) + np.trace(real_covariance) - 2 * roots.sum())


def contestants(generated: Float32, real: Float32) -> Contestants:
    """Each computes the distance from what it would have at hand."""
    few = len(generated) <= generated.shape[1]
    moments = FeatureMoments.from_rows(generated)
    features: FeatureMoments | FeatureRows = FeatureRows(generated) if few else moments
    real_moments = FeatureMoments.from_rows(real)
    reference = fit_gaussian(real_moments)
    blocks = [generated[start : start + BLOCK] for start in range(0, len(generated), BLOCK)]
    sides = (moments.mean, moments.covariance, real_moments.mean, real_moments.covariance)

    sqrtm: Callable[..., float] = by_sqrtm
    eigenvalues: Callable[..., float] = by_eigenvalues
    theirs = library("pytorch_fid.fid_score", "calculate_frechet_distance")
    if theirs is not None:
        sqrtm = theirs
    statistics_to_metric = library("torch_fidelity.metric_fid", "fid_statistics_to_metric")
    if statistics_to_metric is not None:

        def by_torch_fidelity(*given: Float64) -> float:
            pair = [{"mu": given[0], "sigma": given[1]}, {"mu": given[2], "sigma": given[3]}]
            return float(statistics_to_metric(*pair, verbose=False)["frechet_inception_distance"])

        eigenvalues = by_torch_fidelity

    print(f"sqrtm: {'pytorch-fid' if theirs else 'its formula'}", end="; ")
    print(f"eigenvalues: {'torch-fidelity' if statistics_to_metric else 'its formula'}")
    return {
        OURS: lambda: squared_frechet_distance(features, reference),
        WITH_ERROR: lambda: frechet_jackknife(features, blocks, reference).distance,
        EIGENVALUES: lambda: eigenvalues(*sides),
        SQRTM: lambda: float(sqrtm(*sides)),
    }


def compare(count: int, dimension: int, rounds: int) -> list[str]:
    """Measure at one number of images, and print; what was missed, a phrase for each."""
    generated = rectified_features(count, dimension, 1, 1.0)
    real = rectified_features(max(10_000, 2 * dimension), dimension, 2, 1.1)
    print(f"\n{count} generated images, {dimension} features; ", end="")
    computing = contestants(generated, real)
    seconds: dict[str, list[float]] = {name: [] for name in computing}
    values: dict[str, float] = {}
    for _ in range(rounds):
        for name, compute in computing.items():
            start = time.perf_counter()
            values[name] = compute()
            seconds[name].append(time.perf_counter() - start)
    titles = ("images", "", "seconds", "of sqrtm", "bar", "of eigenvalues", "bar", "value apart", "bar")
    print("| " + " | ".join(titles) + " |\n|" + "---|" * len(titles))
    missed = []
    for name, taken in seconds.items():
        cells = [f"{count:,}", name, f"{statistics.median(taken):.2f}"]
        for other in (SQRTM, EIGENVALUES):
            share = statistics.median(one / base for one, base in zip(taken, seconds[other], strict=True))
            bar = BARS.get((name, other, count <= dimension))
            cells += [f"1/{1 / share:.1f}" if share < 1 else f"{share:.1f}", "" if bar is None else told(share, bar)]
            if bar is not None and not share <= bar:
                missed.append(f"time of {name} beside {other}, {count:,} images")
        apart = abs(values[name] / values[OURS] - 1)
        is_equal = apart <= PARITY
        cells += [f"{apart:.1e}", f"≤ {PARITY:g}, {'kept' if is_equal else 'MISSED'}"]
        if not is_equal:
            missed.append(f"value of {name}, {count:,} images")
        print(f"| {' | '.join(cells)} |", flush=True)
    return missed


def told(share: float, bar: float) -> str:
    """The bar, and whether it is kept."""
    return f"≤ 1/{1 / bar:g}, {'kept' if share <= bar else 'MISSED'}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 1000])
    parser.add_argument("--dimension", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    wish = parser.parse_args()
    missed = [phrase for count in wish.images for phrase in compare(count, wish.dimension, wish.rounds)]
    if missed:
        sys.exit(f"\nBars missed: {'; '.join(missed)}.")


if __name__ == "__main__":
    main()
