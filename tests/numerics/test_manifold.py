"""Precision, recall, density and coverage against cases by hand and a double loop over directly computed distances."""

from __future__ import annotations

from collections.abc import Callable
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.feature_pieces import Pieces
from vaeval_core.errors import InvalidInput, TooFewImages
from vaeval_core.metrics.kernel_distance import kernel_distance_of
from vaeval_core.metrics.manifold import (
    ManifoldScores,
    coverage,
    density,
    manifold_scores,
    manifold_scores_of,
    precision,
    recall,
)
from vaeval_core.metrics.pair_statistics import SetStatistics, pair_statistics, set_statistics

Four = tuple[float, float, float, float]


def four(scores: ManifoldScores) -> Four:
    """The values, in the order of the definition."""
    values = (scores.precision.value, scores.recall.value, scores.density.value, scores.coverage.value)
    assert None not in values
    return values  # type: ignore[return-value]


def by_double_loop(generated: np.ndarray, reference: np.ndarray, k: int) -> Four:
    """The definition, with every distance from the difference of two rows."""

    def distance(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.sqrt(np.square(x - y).sum()))

    def radii(rows: np.ndarray) -> list[float]:
        return [
            sorted(distance(row, other) for number, other in enumerate(rows) if number != own)[k - 1]
            for own, row in enumerate(rows)
        ]

    reference_radii, generated_radii = radii(reference), radii(generated)
    held = [[distance(y, x) < radius for x, radius in zip(reference, reference_radii, strict=True)] for y in generated]
    return (
        sum(any(row) for row in held) / len(generated),
        sum(
            any(distance(x, y) < radius for y, radius in zip(generated, generated_radii, strict=True))
            for x in reference
        )
        / len(reference),
        sum(sum(row) for row in held) / k / len(generated),
        sum(any(row[number] for row in held) for number in range(len(reference))) / len(reference),
    )


def test_the_published_seeded_case() -> None:
    draws = np.random.RandomState(0)
    real, generated = draws.randn(500, 16), draws.randn(400, 16) * 1.2 + 0.3
    assert four(manifold_scores(generated, real)) == pytest.approx((0.58, 0.972, 0.3755, 0.632), rel=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_identical_sets_have_density_one_not_more(offset: float) -> None:
    # The k-th neighbour is on the surface: with ≤ instead of < density would be 1.2.
    rows = np.random.default_rng(0).normal(size=(300, 64)) + offset
    assert four(manifold_scores(rows, rows)) == (1, 1, 1, 1)
    shuffled = np.random.default_rng(1).permutation(rows)
    assert four(manifold_scores(shuffled, rows)) == (1, 1, 1, 1)


def test_equal_distributions_have_the_expected_density_and_coverage() -> None:
    # A real image is not covered if its k nearest are all real: chosen among the n - 1 others, of n + m - 1 images.
    # A generated one is in the ball of a real one if it is among the k nearest of n: k / n for each of n balls.
    n, m, k = 40, 30, 3
    scores = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        scores.append(manifold_scores(rng.normal(size=(m, 2)), rng.normal(size=(n, 2)), neighbours=k))
    assert np.mean([score.density.value for score in scores]) == pytest.approx(1, abs=0.04)
    expected = 1 - comb(n - 1, k) / comb(n + m - 1, k)
    assert np.mean([score.coverage.value for score in scores]) == pytest.approx(expected, abs=0.015)


def test_points_on_a_line_by_hand() -> None:
    # Balls of 0, 1, 2, 3 with k = 1 reach to 1 on both sides, surface excluded; the generated ball of 0.25 reaches to 9.
    reference, generated = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([[0.25], [9.25]])
    scores = manifold_scores(generated, reference, neighbours=1)
    # 0.25 is in the balls of 0 and 1, 9.25 in none; all of the reference is nearer than 9 to 0.25.
    assert four(scores) == (0.5, 1.0, 1.0, 0.5)


@settings(deadline=None, max_examples=30)
@given(
    st.integers(min_value=0, max_value=10**6),
    st.integers(min_value=4, max_value=15),
    st.integers(min_value=4, max_value=15),
    st.integers(min_value=1, max_value=3),
    st.booleans(),
)
def test_a_double_loop_agrees(seed: int, num_generated: int, num_reference: int, k: int, with_ties: bool) -> None:
    rng = np.random.default_rng(seed)
    generated, reference = rng.normal(size=(num_generated, 3)), rng.normal(size=(num_reference, 3)) + 0.3
    if with_ties:  # a coarse grid: copies, and many equal distances
        generated, reference = np.round(generated), np.round(reference)
    scores = four(manifold_scores(generated, reference, neighbours=k))
    assert scores == pytest.approx(by_double_loop(generated, reference, k), rel=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e4, -1e4])
def test_more_rows_than_a_block_at_any_offset(offset: float) -> None:
    rng = np.random.default_rng(5)
    generated, reference = rng.normal(size=(1100, 6)) * 1.1 + offset, rng.normal(size=(1300, 6)) + offset

    def distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.sqrt(sum(np.square(one[:, [j]] - other[:, j]) for j in range(6)))

    reference_radii = np.sort(distances(reference, reference), axis=1)[:, 5]
    generated_radii = np.sort(distances(generated, generated), axis=1)[:, 5]
    between = distances(generated, reference)
    held = between < reference_radii
    expected = (
        held.any(axis=1).mean(),
        (between < generated_radii[:, np.newaxis]).any(axis=0).mean(),
        held.sum(axis=1).mean() / 5,
        held.any(axis=0).mean(),
    )
    assert four(manifold_scores(generated, reference)) == pytest.approx(expected, rel=1e-12)


def test_a_common_offset_changes_nothing() -> None:
    rng = np.random.default_rng(6)
    generated, reference = rng.normal(size=(150, 32)), rng.normal(size=(200, 32)) + 0.1
    assert manifold_scores(generated + 1e4, reference + 1e4) == manifold_scores(generated, reference)


def test_single_functions_give_what_all_together_give() -> None:
    rng = np.random.default_rng(7)
    generated, reference = rng.normal(size=(30, 3)), rng.normal(size=(40, 3)) + 0.5
    scores = manifold_scores(generated, reference, neighbours=3)
    assert precision(generated, reference, neighbours=3) == scores.precision
    assert recall(generated, reference, neighbours=3) == scores.recall
    assert density(generated, reference, neighbours=3) == scores.density
    assert coverage(generated, reference, neighbours=3) == scores.coverage
    assert scores.coverage.num_images == 30


def test_precision_one_way_is_recall_the_other() -> None:
    rng = np.random.default_rng(8)
    one, other = rng.normal(size=(60, 4)), rng.normal(size=(50, 4)) * 0.7
    there, back = manifold_scores(one, other), manifold_scores(other, one)
    assert there.precision.value == back.recall.value
    assert there.recall.value == back.precision.value


def test_one_image_again_and_again_covers_nothing_but_itself() -> None:
    reference = np.random.default_rng(9).normal(size=(100, 8))
    collapsed = np.repeat(reference[:1], 50, axis=0)
    scores = manifold_scores(collapsed, reference)
    assert scores.precision.value == 1
    assert scores.recall.value == 0  # its balls have no size
    held = int((by_columns(reference)[0] < np.sort(by_columns(reference), axis=1)[:, 5]).sum())
    assert scores.density.value == pytest.approx(held / 5)
    assert scores.coverage.value == pytest.approx(held / 100)


def by_columns(rows: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(rows[:, np.newaxis] - rows).sum(axis=2))


def test_copies_within_the_reference_have_balls_without_size() -> None:
    copies = np.repeat(np.random.default_rng(10).normal(size=(20, 8)) + 100, 6, axis=0)
    assert four(manifold_scores(copies, copies)) == (0, 0, 0, 0)


def test_how_rows_arrive_and_their_order_change_no_bit() -> None:
    rng = np.random.default_rng(11)
    generated, reference = rng.normal(size=(1100, 3)), rng.normal(size=(1300, 3)) + 0.4
    whole = manifold_scores(generated, reference)
    assert manifold_scores(Pieces(generated, [1, 700]), Pieces(reference, [1024, 5])) == whole
    assert four(manifold_scores(rng.permutation(generated), rng.permutation(reference))) == four(whole)


def test_rows_that_come_nearer_block_by_block_have_the_right_radii() -> None:
    # Sorted away from and towards the first rows: every block has something nearer than all before.
    rows = np.concatenate([[0.0], np.linspace(50, 1, 2100)])[:, np.newaxis]
    nearest = set_statistics(rows, neighbours=3).nearest
    distances = np.sort(np.abs(rows - rows.T), axis=1)[:, 1:4]
    np.testing.assert_allclose(np.sqrt(nearest), distances, atol=1e-6)


def test_one_pass_and_a_stored_reference_serve_all_metrics() -> None:
    rng = np.random.default_rng(12)
    generated, reference = rng.normal(size=(60, 4)), rng.normal(size=(50, 4)) * 0.7
    known = SetStatistics.from_arrays(set_statistics(reference, neighbours=7).to_arrays())
    pairs = pair_statistics(generated, reference, neighbours=5, known_reference=known)
    assert manifold_scores_of(pairs) == manifold_scores(generated, reference)
    assert kernel_distance_of(pairs).value == pytest.approx(
        kernel_distance_of(pair_statistics(generated, reference, neighbours=0)).value, rel=1e-12
    )


@pytest.mark.parametrize(
    ("metric", "shift", "most"),
    [
        (precision, 0.0, 1.2), (precision, 0.7, 1.2), (density, 0.0, 1.2), (density, 0.7, 1.2), (coverage, 0.7, 1.2),
        (coverage, 0.0, 1.6),
    ],
)  # fmt: skip
def test_the_standard_error_is_the_spread_over_generated_sets(metric: Callable, shift: float, most: float) -> None:
    reference = np.random.default_rng(999).normal(size=(200, 8))
    values = [metric(np.random.default_rng(seed).normal(size=(150, 8)) + shift, reference) for seed in range(150)]
    spread = np.std([value.value for value in values], ddof=1)
    errors = [value.std_error for value in values if value.std_error is not None]
    assert len(errors) > 0.9 * len(values)
    assert 0.87 * spread < np.mean(errors) < most * spread


@pytest.mark.parametrize(("generated", "reference", "name"), [(5, 9, "generated"), (9, 5, "reference")])
def test_as_many_neighbours_as_images_are_refused_with_both(generated: int, reference: int, name: str) -> None:
    message = (
        f"few {name} features for that many neighbours. Received: num_images=5, neighbours=5 Expected: 6 images or"
    )
    with pytest.raises(TooFewImages, match=message):
        manifold_scores(np.eye(generated, 3), np.eye(reference, 3))


def test_no_neighbours_are_refused() -> None:
    with pytest.raises(InvalidInput, match="Received: neighbours=0 Expected: 1 or more"):
        manifold_scores(np.eye(4), np.eye(4), neighbours=0)


def test_one_image_different_dimensions_and_nan_are_refused() -> None:
    rows = np.random.default_rng(13).normal(size=(20, 3))
    with pytest.raises(TooFewImages, match="Received: num_images=1 "):
        manifold_scores(rows[:1], rows)
    with pytest.raises(InvalidInput, match=r"Received: 3 \(generated\) and 2 \(reference\)"):
        manifold_scores(rows, rows[:, :2])
    broken = rows.copy()
    broken[7, 0] = np.inf
    with pytest.raises(InvalidInput, match=r"reference features are not finite. Received: 1 values .* first in row 7"):
        manifold_scores(rows, broken)


def test_features_too_large_for_distances_give_a_reason_instead_of_numbers() -> None:
    rows = np.random.default_rng(14).normal(size=(20, 3))
    scores = manifold_scores(rows * 1e200, rows)
    assert (scores.precision.kind, scores.recall.kind, scores.density.kind, scores.coverage.kind) == ("nan",) * 4
    assert "too large" in str(scores.precision.reason)
