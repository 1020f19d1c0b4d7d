"""KID against closed forms, rational arithmetic and double loops; its standard error against enumeration and simulation."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable, Iterator
from fractions import Fraction
from math import factorial

import numpy as np
import pytest

from tests.feature_pieces import Pieces
from vaeval_core.errors import InvalidInput, TooFewImages
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.kernel_distance import kernel_distance, kernel_distance_in_blocks, kernel_distance_of
from vaeval_core.metrics.kernel_variance import MeanDiscrepancy
from vaeval_core.metrics.pair_statistics import SetStatistics, pair_statistics, set_statistics

DRAWS = np.random.RandomState(0)
REAL = DRAWS.randn(500, 16)
GENERATED = DRAWS.randn(400, 16) * 1.2 + 0.3


def by_double_loop(x: np.ndarray, y: np.ndarray) -> Fraction:
    """The definition, in rational numbers: without any rounding."""

    def mean_of_kernel(pairs: Iterator[tuple[np.ndarray, np.ndarray]]) -> Fraction:
        values = [
            (sum((Fraction(a) * Fraction(b) for a, b in zip(one, other, strict=True)), Fraction(0)) / len(one) + 1) ** 3
            for one, other in pairs
        ]
        return sum(values, Fraction(0)) / len(values)

    within = mean_of_kernel(itertools.permutations(x, 2)) + mean_of_kernel(itertools.permutations(y, 2))
    return within - 2 * mean_of_kernel(itertools.product(x, y))


def spread_and_errors(draw: Callable[[np.random.Generator], MetricValue], replicates: int = 250) -> tuple[float, float]:
    """Standard deviation of values over independent draws, and the root mean square of their standard errors."""
    values = [draw(np.random.default_rng(number)) for number in range(replicates)]
    errors = [value.std_error for value in values]
    return float(np.std([value.value for value in values], ddof=1)), float(np.sqrt(np.mean(np.square(errors))))


def test_two_points_by_hand() -> None:
    # k = (xy + 1)³: 1 between 0 and 1, so 1 within each set; 1, 1, 1 and 8 between them.
    points = np.array([[0.0], [1.0]])
    result = kernel_distance(points, points)
    assert result.value == pytest.approx(1 + 1 - 2 * 11 / 4, rel=1e-15)
    assert (result.num_images, result.std_error) == (2, None)


@pytest.mark.parametrize(("reference", "expected"), [(REAL[:400], 0.39618654081767435), (REAL, 0.39470801817396106)])
def test_the_published_seeded_cases(reference: np.ndarray, expected: float) -> None:
    assert kernel_distance(GENERATED, reference).value == pytest.approx(expected, rel=1e-12)


def test_the_mean_over_random_subsets_is_that_of_torch_fidelity() -> None:
    draw = np.random.RandomState(2020)
    values = []
    for _ in range(100):
        real = REAL[draw.choice(500, 100, replace=False)]
        values.append(kernel_distance(GENERATED[draw.choice(400, 100, replace=False)], real).value)
    assert np.mean(values) == pytest.approx(0.37073201409241113, rel=1e-12)
    assert np.std(values) == pytest.approx(0.08005989111056151, rel=1e-12)


@pytest.mark.parametrize("offset", [0.0, 100.0, 1e4])
def test_rational_arithmetic_agrees_at_any_offset(offset: float) -> None:
    # At an offset of 1e4 the kernel is 1e24; summing it as it is leaves seven digits.
    x, y = GENERATED[:9, :4] + offset, REAL[:8, :4] + offset
    assert kernel_distance(x, y).value == pytest.approx(float(by_double_loop(x, y)), rel=1e-12)


def test_integers_are_taken() -> None:
    x, y = np.arange(12, dtype=np.uint8).reshape(6, 2), np.arange(8, dtype=np.uint8).reshape(4, 2)
    expected = float(by_double_loop(x.astype(int).tolist(), y.astype(int).tolist()))
    assert kernel_distance(x, y).value == pytest.approx(expected, rel=1e-12)


def test_the_distance_is_symmetric() -> None:
    there, back = kernel_distance(GENERATED, REAL), kernel_distance(REAL, GENERATED)
    assert there.value == pytest.approx(back.value, rel=1e-12)
    assert there.std_error == pytest.approx(back.std_error, rel=1e-9)


def test_many_blocks_are_the_plain_formula() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2100, 3)), rng.normal(size=(1100, 3)) + 0.4
    kernels = [(one @ other.T / 3 + 1) ** 3 for one, other in ((x, x), (y, y), (x, y))]
    within = sum((k.sum() - k.trace()) / (len(k) * (len(k) - 1)) for k in kernels[:2])
    assert kernel_distance(x, y).value == pytest.approx(within - 2 * kernels[2].mean(), rel=1e-11)


def test_how_rows_arrive_changes_no_bit_and_their_order_only_the_last() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(1300, 3)), rng.normal(size=(1100, 3)) + 0.4
    whole = kernel_distance(x, y)
    assert kernel_distance(Pieces(x, [1, 700, 500]), Pieces(y, [1024])) == whole
    shuffled = kernel_distance(rng.permutation(x), rng.permutation(y))
    assert shuffled.value == pytest.approx(whole.value, rel=1e-12)
    assert shuffled.std_error == pytest.approx(whole.std_error, rel=1e-9)


def test_a_stored_reference_changes_no_bit() -> None:
    known = SetStatistics.from_arrays(set_statistics(REAL, neighbours=3).to_arrays())
    assert kernel_distance(GENERATED, REAL, known_reference=known) == kernel_distance(GENERATED, REAL)


def test_the_statistics_of_another_reference_are_refused() -> None:
    message = (
        r"Received: statistics of 400 rows of 16 features and 5 neighbours Expected: 500 rows of 16 features, 0 or"
    )
    with pytest.raises(InvalidInput, match=message):
        kernel_distance(GENERATED, REAL, known_reference=set_statistics(GENERATED))


# --- the standard error -----------------------------------------------------------------------------------------------

POINTS = np.array([0.0, 1.0, 3.0])


def all_samples(size: int, probabilities: list[float]) -> Iterator[tuple[float, np.ndarray]]:
    """Every sample of that size of the three points, without regard to order, with its probability."""
    for chosen in itertools.combinations_with_replacement(range(3), size):
        counts = np.bincount(chosen, minlength=3)
        orders = factorial(size) / np.prod([factorial(count) for count in counts])
        yield float(orders * np.prod(np.power(probabilities, counts))), POINTS[list(chosen)][:, np.newaxis]


def test_the_variance_is_unbiased_by_enumeration() -> None:
    """Over all samples of three points: mean of the estimate, of its square, and of the estimated variance, exactly."""
    mean = square = estimated = conditional = estimated_conditional = 0.0
    for reference_weight, reference in all_samples(4, [0.5, 0.3, 0.2]):
        given = np.zeros(3)
        for weight, generated in all_samples(5, [0.2, 0.2, 0.6]):
            pairs = pair_statistics(generated, reference, neighbours=0)
            estimate = MeanDiscrepancy(pairs.generated.kernel, pairs.reference.kernel, pairs.kernel)
            variances = [estimate.unclipped_variance(fixed_reference=fixed) for fixed in (False, True)]
            estimated += reference_weight * weight * sum(variances[0] or ())
            given += weight * np.array([estimate.value, estimate.value**2, sum(variances[1] or ())])
        mean += reference_weight * given[0]
        square += reference_weight * given[1]
        conditional += reference_weight * (given[1] - given[0] ** 2)
        estimated_conditional += reference_weight * given[2]
    assert estimated == pytest.approx(square - mean**2, rel=1e-9)
    assert estimated_conditional == pytest.approx(conditional, rel=1e-9)


@pytest.mark.parametrize("fixed", [False, True])
def test_the_standard_error_is_the_spread_over_replicates(fixed: bool) -> None:
    reference = np.random.default_rng(999).normal(size=(80, 8))

    def draw(rng: np.random.Generator) -> MetricValue:
        generated = rng.normal(size=(60, 8)) * 1.2 + 0.5
        return kernel_distance(generated, reference if fixed else rng.normal(size=(80, 8)), fixed_reference=fixed)

    spread, error = spread_and_errors(draw)
    assert error == pytest.approx(spread, rel=0.15)  # of 250 replicates a standard deviation is known to 5 %


def test_for_equal_distributions_the_standard_error_is_on_the_safe_side() -> None:
    spread, error = spread_and_errors(lambda rng: kernel_distance(rng.normal(size=(60, 8)), rng.normal(size=(80, 8))))
    assert spread * 0.9 < error < spread * 1.5


def test_the_standard_error_of_blocks_is_the_spread_over_replicates() -> None:
    spread, error = spread_and_errors(
        lambda rng: kernel_distance_in_blocks(
            rng.normal(size=(120, 8)) * 1.2 + 0.5, rng.normal(size=(120, 8)), block_size=20
        )
    )
    assert error == pytest.approx(spread, rel=0.15)


def test_constant_features_have_no_error() -> None:
    result = kernel_distance(np.zeros((5, 2)), np.ones((6, 2)))
    assert result.value == pytest.approx(1 + 8 - 2 * 1, rel=1e-15)
    # A variance of 0 that rounding leaves at 1e-14 has a root of 1e-7.
    assert result.std_error == pytest.approx(0, abs=1e-6)


# --- disjoint blocks --------------------------------------------------------------------------------------------------


def test_blocks_are_disjoint_consecutive_and_equally_large() -> None:
    result = kernel_distance_in_blocks(GENERATED, REAL, block_size=126)
    expected = [
        kernel_distance(GENERATED[100 * b : 100 * (b + 1)], REAL[125 * b : 125 * (b + 1)]).value for b in range(4)
    ]
    assert result.components == pytest.approx(expected, rel=1e-12)
    assert result.value == pytest.approx(np.mean(expected), rel=1e-12)
    assert result.std_error == pytest.approx(np.std(expected, ddof=1) / 2, rel=1e-12)
    assert result.num_images == 400


def test_one_block_is_all_pairs_without_an_error() -> None:
    result = kernel_distance_in_blocks(GENERATED, REAL, block_size=500)
    assert result.value == kernel_distance(GENERATED, REAL).value
    assert result.std_error is None


def test_blocks_do_not_depend_on_how_rows_arrive() -> None:
    whole = kernel_distance_in_blocks(GENERATED, REAL, block_size=60)
    assert kernel_distance_in_blocks(Pieces(GENERATED, [7, 300]), Pieces(REAL, [499]), block_size=60) == whole


# --- what cannot be used ----------------------------------------------------------------------------------------------


def test_one_image_is_refused_with_its_count() -> None:
    with pytest.raises(TooFewImages, match=r"too few generated features. Received: num_images=1 Expected: 2 or more"):
        kernel_distance(GENERATED[:1], REAL)


def test_different_dimensions_are_refused_with_both() -> None:
    with pytest.raises(InvalidInput, match=r"Received: 16 \(generated\) and 15 \(reference\)"):
        kernel_distance(GENERATED, REAL[:, :15])
    with pytest.raises(InvalidInput, match=r"Received: 16 \(generated\) and 15 \(reference\)"):
        kernel_distance_in_blocks(GENERATED, REAL[:, :15])


def test_nan_features_are_refused_with_count_and_first_row() -> None:
    rows = GENERATED.copy()
    rows[[3, 77], 1] = np.nan
    with pytest.raises(InvalidInput, match=r"2 values that are NaN or infinite, in 2 of 400 rows; first in row 3 "):
        kernel_distance(rows, REAL)


@pytest.mark.parametrize(
    ("size", "message"), [(1, "Received: block_size=1 Expected: 2 or more"), (2, "num_images=400")]
)
def test_blocks_that_are_too_small_are_refused(size: int, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        kernel_distance_in_blocks(GENERATED, REAL, block_size=size)


def test_a_negative_number_of_neighbours_is_refused() -> None:
    with pytest.raises(InvalidInput, match="Received: neighbours=-1 Expected: 0 or more"):
        pair_statistics(GENERATED, REAL, neighbours=-1)


def test_features_too_large_for_numbers_give_a_reason_instead_of_a_number() -> None:
    result = kernel_distance(GENERATED * 1e60, REAL)
    assert (result.value, result.std_error) == (None, None)
    assert result.kind in {"nan", "inf"}
    assert "too large" in str(result.reason)
    assert kernel_distance_in_blocks(GENERATED * 1e60, REAL, block_size=100).components == ()


def test_neither_memory_nor_reading_grows_with_the_square_of_the_number_of_images() -> None:
    count = 6000
    generated, reference = (Pieces(np.random.default_rng(seed).normal(size=(count, 2))) for seed in (3, 4))
    tracemalloc.start()
    try:
        kernel_distance_of(pair_statistics(generated, reference))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < count**2 * 8 / 3, "a third of one matrix of all pairs"
    # 4096 rows are held at a time. Reference: for its mean, held, beside the first of two holds, beside both of the other.
    assert reference.times_read == 1 + 1 + 1 + 2
    assert generated.times_read == 1 + 1 + 1
