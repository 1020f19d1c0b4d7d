"""Differences of two checkpoints on common noise: known answers, and how often intervals hold what they promise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from vaeval_core.errors import InvalidInput
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.fidelity import frechet_distance
from vaeval_core.metrics.gaussian_fit import GaussianFit
from vaeval_core.metrics.paired_difference import mean_over_seeds, paired_difference


def value(number: float, influence: np.ndarray) -> MetricValue:
    return MetricValue.of(number, num_images=len(influence), influence=influence)


def test_it_is_the_paired_t_test_on_the_influences() -> None:
    rng = np.random.default_rng(0)
    common = rng.normal(size=50)
    first, second = common + 0.1 * rng.normal(size=50), common + 0.1 * rng.normal(size=50)
    result = paired_difference(value(first.mean(), first - first.mean()), value(second.mean(), second - second.mean()))
    expected = stats.ttest_rel(first, second)
    interval = expected.confidence_interval(0.95)
    assert result.difference == pytest.approx(first.mean() - second.mean())
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert result.interval == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert result.std_error == pytest.approx((first - second).std(ddof=1) / np.sqrt(50), rel=1e-12)
    assert (result.num_images, result.num_seeds, result.reason) == (50, 1, None)


def test_a_checkpoint_against_itself_differs_by_nothing() -> None:
    same = value(2.0, np.random.default_rng(1).normal(size=40))
    result = paired_difference(same, same)
    assert (result.difference, result.std_error, result.interval, result.p_value) == (0.0, 0.0, (0.0, 0.0), 1.0)


def test_a_difference_that_no_image_changes_is_certain() -> None:
    constant = np.zeros(40)
    result = paired_difference(value(2.0, constant), value(1.5, constant))
    assert (result.interval, result.p_value) == ((0.5, 0.5), 0.0)


def test_a_difference_that_one_image_decides_has_no_interval() -> None:
    outlier = np.zeros(100)
    outlier[3] = 5.0
    result = paired_difference(value(2.0, outlier), value(1.0, np.zeros(100)))
    assert result.difference == 1.0
    assert (result.std_error, result.interval, result.p_value) == (None, None, None)
    assert str(result.reason).startswith("The standard error is unreliable")


class TestMeanOverSeeds:
    def means(self, first: np.ndarray, second: np.ndarray) -> tuple[MetricValue, MetricValue]:
        return value(first.mean(), first - first.mean()), value(second.mean(), second - second.mean())

    def calibration(self, draw: Callable[[np.random.Generator], list[tuple[MetricValue, MetricValue]]]) -> float:
        """Mean standard error as a share of the true scatter, over 2,000 draws: known to 1.6 %."""
        rng = np.random.default_rng(3)
        found = [mean_over_seeds(draw(rng)) for _ in range(2000)]
        assert all(each.std_error is not None for each in found)
        return float(np.mean([each.std_error for each in found]) / np.std([each.difference for each in found], ddof=1))

    def test_noise_that_is_new_under_every_seed_averages_out(self) -> None:
        def samples(rng: np.random.Generator) -> list[tuple[MetricValue, MetricValue]]:
            return [self.means(rng.normal(size=100), rng.normal(size=100) * 2) for _ in range(4)]

        assert 0.94 < self.calibration(samples) < 1.06

    def test_images_that_are_the_same_under_every_seed_tell_nothing_new(self) -> None:
        def reconstructions(rng: np.random.Generator) -> list[tuple[MetricValue, MetricValue]]:
            return [self.means(rng.normal(size=100), rng.normal(size=100))] * 4

        assert 0.94 < self.calibration(reconstructions) < 1.06

    def test_a_noise_floor_is_the_same_under_every_seed_though_the_samples_beside_it_are_not(self) -> None:
        def beside_a_floor(rng: np.random.Generator) -> list[tuple[MetricValue, MetricValue]]:
            floor = rng.normal(size=100)
            return [self.means(rng.normal(size=100), floor) for _ in range(4)]

        assert 0.94 < self.calibration(beside_a_floor) < 1.06

    def test_an_error_that_rests_on_few_images_is_left_out(self) -> None:
        outlier = np.zeros(100)
        outlier[3] = 5.0
        pair = value(2.0, outlier), value(1.0, np.zeros(100))
        result = mean_over_seeds([pair, pair])
        assert (result.difference, result.std_error, result.num_seeds) == (1.0, None, 2)
        assert str(result.reason).startswith("The standard error is unreliable")

    def test_seeds_with_different_numbers_of_images_are_no_seeds_of_one_protocol(self) -> None:
        pairs = [(value(1.0, np.zeros(size)), value(1.0, np.zeros(size))) for size in (40, 30)]
        with pytest.raises(InvalidInput, match=r"Received: 40 and 30 images Expected: evaluations of one protocol"):
            mean_over_seeds(pairs)

    def test_no_pair_has_no_mean(self) -> None:
        with pytest.raises(InvalidInput, match=r"Received: no pair Expected: one pair per seed"):
            mean_over_seeds([])


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (MetricValue.not_applicable("The protocol has no samples."), "Received: The protocol has no samples"),
        (MetricValue.of(3.0, num_images=40), "Received: a value without the influence of each image"),
    ],
)
def test_a_value_that_cannot_be_compared_says_which_and_why(broken: MetricValue, words: str) -> None:
    whole = value(1.0, np.arange(40.0) - 19.5)
    with pytest.raises(InvalidInput, match=rf"The second of two values cannot .*{words}"):
        paired_difference(whole, broken)
    with pytest.raises(InvalidInput, match=rf"The first of two values cannot .*{words}"):
        paired_difference(broken, whole)


def test_different_numbers_of_images_are_no_pair() -> None:
    with pytest.raises(InvalidInput, match=r"Received: 40 and 30 images Expected: evaluations of one protocol"):
        paired_difference(value(1.0, np.zeros(40)), value(1.0, np.zeros(30)))


@pytest.mark.parametrize(("count", "dimension"), [(160, 24), (70, 90)])
def test_intervals_of_differences_on_common_noise_cover_and_are_narrower_than_without_it(
    count: int, dimension: int
) -> None:
    """Two checkpoints whose decoders differ a little; 300 draws of 95 % intervals: 4 standard errors are 5 %."""
    replicates = 300
    rng = np.random.default_rng(count)
    reference = GaussianFit(None, np.zeros(dimension), np.eye(dimension))
    differences, intervals, shares = [], [], []
    for _ in range(replicates):
        noise = rng.normal(size=(count, dimension))
        pair = frechet_distance(noise * 1.3, reference), frechet_distance(noise * 1.32 + 0.02, reference)
        result = paired_difference(*pair)
        assert result.std_error is not None
        differences.append(result.difference)
        intervals.append(result.interval)
        shares.append(result.std_error / np.hypot(*(each.influence.std(ddof=1) for each in pair)) * np.sqrt(count))
    low, high = np.transpose(intervals)
    mean = np.mean(differences)
    assert 0.90 < np.mean((low < mean) & (mean < high)) < 0.99
    assert np.mean(shares) < 0.5
