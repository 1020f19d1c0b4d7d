"""The variance of means over paths that share images and over seeds that share them, against enumeration and simulation."""

from __future__ import annotations

import numpy as np
import pytest

from vaeval_core.generation.interpolation_pairs import interpolation_fractions, interpolation_partners
from vaeval_core.metrics.fidelity import frechet_distance
from vaeval_core.metrics.gaussian_fit import GaussianFit
from vaeval_core.metrics.paired_difference import mean_over_seeds, paired_difference
from vaeval_core.metrics.path_length import path_length
from vaeval_core.metrics.shared_images import variance_of_mean
from vaeval_core.types import IndexRange

BATCH = 32


def rings(count: int, seeds: int = 1) -> np.ndarray:
    return np.stack([interpolation_partners(seed, IndexRange(0, count), count, BATCH) for seed in range(seeds)])


def by_all_pairs(influence: np.ndarray, partners: np.ndarray) -> float:
    """The definition: products of all paths with all, that share an end."""
    of_seeds, ends = np.atleast_2d(influence), np.atleast_2d(partners)
    seeds, count = of_seeds.shape
    paths = [
        (value, {start, int(end)})
        for row, to in zip(of_seeds, ends, strict=True)
        for start, (value, end) in enumerate(zip(row, to, strict=True))
    ]
    total = sum(one * other for one, these in paths for other, those in paths if these & those)
    return total / seeds**2 / (count * (count - 1))


@pytest.mark.parametrize(("count", "seeds"), [(34, 1), (34, 3), (40, 2), (2, 1), (3, 2), (5, 1)])
def test_it_sums_the_products_of_all_paths_that_share_an_end(count: int, seeds: int) -> None:
    partners = rings(count, seeds)
    ends = np.random.default_rng(count).normal(size=count)
    influence = ends + ends[partners] + 0.3 * np.random.default_rng(seeds).normal(size=(seeds, count))
    alone = np.square(influence).sum() / seeds**2 / (count * (count - 1))
    expected = max(by_all_pairs(influence, partners), alone)
    assert variance_of_mean(influence, partners) == pytest.approx(expected, rel=1e-12)


def test_without_paths_it_is_the_variance_of_the_mean_over_seeds_image_by_image() -> None:
    influence = np.random.default_rng(0).normal(size=(3, 50))
    influence -= influence.mean(axis=1, keepdims=True)
    assert variance_of_mean(influence[0]) == pytest.approx(influence[0].var(ddof=1) / 50, rel=1e-12)
    assert variance_of_mean(influence) == pytest.approx(influence.mean(0).var(ddof=1) / 50, rel=1e-12)
    again = np.repeat(influence[:1], 3, axis=0)
    assert variance_of_mean(again) == pytest.approx(variance_of_mean(influence[0]), rel=1e-12), "nothing new was seen"


def test_an_estimate_below_that_of_independent_paths_is_taken_for_chance() -> None:
    alternating = np.tile([1.0, -1.0], 4)
    assert variance_of_mean(alternating, np.roll(np.arange(8), -1)) == variance_of_mean(alternating) == 8 / 56


class Interpolations:
    """A stream of interpolations between normal images, whose decoder scales and shifts."""

    def __init__(self, count: int, dimension: int, seeds: int) -> None:
        self.partners = rings(count, seeds)
        self._fractions = [interpolation_fractions(seed, IndexRange(0, count))[:, np.newaxis] for seed in range(seeds)]
        self._reference = GaussianFit(None, np.zeros(dimension), np.eye(dimension))

    def latents(self, images: np.ndarray, seed: int) -> np.ndarray:
        t = self._fractions[seed]
        return (1 - t) * images + t * images[self.partners[seed]]

    def distance(self, images: np.ndarray, seed: int, scale: float, shift: float):
        rows = self.latents(images, seed) * scale + shift
        return frechet_distance(rows, self._reference, partners=self.partners[seed])


def calibration(values: list[float], errors: list[float]) -> tuple[float, float]:
    """Mean error as a share of the true scatter, and coverage of ± 1.96 errors."""
    numbers, widths = np.array(values), np.array(errors)
    covered = np.abs(numbers - numbers.mean()) < 1.96 * widths
    return float(widths.mean() / numbers.std(ddof=1)), float(covered.mean())


def test_errors_of_a_distance_and_of_differences_are_those_of_new_images_and_not_of_new_paths() -> None:
    """250 draws of 320 images. The scatter is known to 4.5 %; independent paths would give 0.75 to 0.85 of it."""
    stream = Interpolations(320, 8, seeds=4)
    rng = np.random.default_rng(1)
    single, naive, paired, over_seeds = [], [], [], []
    for _ in range(250):
        images = rng.normal(size=(320, 8))
        pairs = [
            (stream.distance(images, seed, 1.2, 0.5), stream.distance(images, seed, 1.25, 0.55)) for seed in range(4)
        ]
        first = pairs[0][0]
        single.append((first.value, first.std_error))
        naive.append((first.value, np.sqrt(variance_of_mean(first.influence))))
        paired.append((lambda found: (found.difference, found.std_error))(paired_difference(*pairs[0])))
        over_seeds.append((lambda found: (found.difference, found.std_error))(mean_over_seeds(pairs)))
    for found in (single, paired, over_seeds):
        share, coverage = calibration(*map(list, zip(*found, strict=True)))
        assert 0.88 < share < 1.12
        assert 0.90 < coverage <= 0.98
    assert calibration(*map(list, zip(*naive, strict=True)))[0] < 0.88, "the setting tells the two apart"


def test_the_error_of_a_path_length_is_that_of_new_images_too() -> None:
    rng = np.random.default_rng(2)
    (partners,) = rings(320)
    found = []
    for _ in range(400):
        images = rng.normal(size=(320, 2))
        speeds = np.square(images - images[partners]).sum(axis=1)
        value = path_length(speeds, partners)
        found.append((value.value, value.std_error))
    share, coverage = calibration(*map(list, zip(*found, strict=True)))
    assert 0.9 < share < 1.1
    assert 0.91 < coverage <= 0.98
