"""The laws that `vaeval_core.accumulators` states, over random rows and random cuts."""

from __future__ import annotations

import functools
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaeval_core.accumulators.feature_moments import FeatureMoments
from vaeval_core.accumulators.feature_rows import FeatureRows
from vaeval_core.accumulators.feature_summary import FeatureSummary
from vaeval_core.accumulators.fixed_blocks import FixedBlocks
from vaeval_core.accumulators.value_moments import ValueMoments

WIDTH = 3
cuts = st.lists(st.integers(min_value=1, max_value=60), min_size=1, max_size=8)
offsets = st.sampled_from([0.0, 1.0, 1e4])


def rows_for(sizes: list[int], offset: float) -> list[np.ndarray]:
    rng = np.random.default_rng(sum(sizes))
    return [rng.normal(size=(size, WIDTH)) + offset for size in sizes]


def exact_covariance(rows: np.ndarray) -> np.ndarray:
    """In rational numbers: no rounding at all until the end."""
    exact = [[Fraction(float(value)) for value in row] for row in rows]
    means = [sum(column) / len(rows) for column in zip(*exact, strict=True)]
    centred = [[value - mean for value, mean in zip(row, means, strict=True)] for row in exact]
    columns = list(zip(*centred, strict=True))
    return np.array(
        [
            [float(sum(a * b for a, b in zip(one, other, strict=True)) / (len(rows) - 1)) for other in columns]
            for one in columns
        ]
    )


def lost_to(offset: float) -> float:
    """A mean of this size is rounded, and with it by how much parts differ: a few units in its last place, of a spread of 1."""
    return 1e-12 + 4 * float(np.finfo(np.float64).eps) * offset


@settings(deadline=None, max_examples=40)
@given(cuts, offsets)
def test_merged_feature_moments_are_those_of_all_rows_in_any_order(sizes: list[int], offset: float) -> None:
    parts = rows_for(sizes, offset)
    together = np.concatenate(parts)
    for order in (parts, parts[::-1]):
        merged = FeatureMoments.empty(WIDTH)
        for part in order:
            merged = merged.merge(FeatureMoments.from_rows(part))
        assert merged.count == len(together)
        np.testing.assert_allclose(merged.mean, together.mean(axis=0), rtol=1e-12, atol=1e-12)
        if len(together) > 1:
            np.testing.assert_allclose(merged.covariance, exact_covariance(together), rtol=1e-12, atol=lost_to(offset))


def test_merging_in_place_changes_no_bit_and_takes_no_memory_of_its_own() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(size, 500)) for size in (7, 300, 41)]
    fresh, in_place = FeatureMoments.empty(500), FeatureMoments.empty(500)
    for part in parts:
        fresh = fresh.merge(FeatureMoments.from_rows(part))
        in_place = in_place.merge(FeatureMoments.from_rows(part), reuse=True)
    np.testing.assert_array_equal(fresh.scatter, in_place.scatter)
    np.testing.assert_array_equal(fresh.mean, in_place.mean)
    more = FeatureMoments.from_rows(parts[0])
    tracemalloc.start()
    try:
        in_place.merge(more, reuse=True)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < in_place.scatter.nbytes / 4


def test_merging_leaves_both_sides_as_they_are_unless_told_otherwise() -> None:
    one, other = (FeatureMoments.from_rows(rows_for([5], offset)[0]) for offset in (0.0, 3.0))
    before = one.scatter.copy(), other.scatter.copy()
    one.merge(other)
    np.testing.assert_array_equal((one.scatter, other.scatter), before)


@settings(deadline=None, max_examples=40)
@given(cuts, offsets)
def test_merged_value_moments_are_those_of_all_rows(sizes: list[int], offset: float) -> None:
    parts = rows_for(sizes, offset)
    together = np.concatenate(parts)
    merged = ValueMoments.empty(WIDTH)
    for part in parts:
        merged = merged.merge(ValueMoments.from_rows(part))
    np.testing.assert_allclose(merged.mean, together.mean(axis=0), rtol=1e-12, atol=1e-12)
    if len(together) > 1:
        expected = np.sqrt(exact_covariance(together).diagonal() / len(together))
        assert merged.std_error is not None
        np.testing.assert_allclose(merged.std_error, expected, rtol=1e-12, atol=lost_to(offset))


@settings(deadline=None, max_examples=40)
@given(cuts, offsets, st.sampled_from([FeatureMoments, ValueMoments]))
def test_it_is_no_matter_which_are_merged_first(sizes: list[int], offset: float, kind: type) -> None:
    parts = [kind.from_rows(rows) for rows in rows_for([*sizes, 3, 5], offset)]
    left = functools.reduce(lambda one, other: one.merge(other), parts)
    right = functools.reduce(lambda one, other: other.merge(one), reversed(parts))
    backwards = functools.reduce(lambda one, other: one.merge(other), reversed(parts))
    for other in (right, backwards):
        assert other.count == left.count
        np.testing.assert_allclose(other.mean, left.mean, rtol=1e-12, atol=1e-12)
        for name in ("scatter", "squares"):
            if hasattr(left, name):
                one, two = getattr(left, name) / left.count, getattr(other, name) / left.count
                np.testing.assert_allclose(one, two, rtol=1e-12, atol=lost_to(offset))


@settings(deadline=None, max_examples=40)
@given(st.integers(min_value=1, max_value=39), offsets, st.sampled_from([FeatureMoments, FeatureRows, ValueMoments]))
def test_a_set_that_is_split_and_merged_is_the_set(cut: int, offset: float, kind: type) -> None:
    (rows,) = rows_for([40], offset)
    whole, merged = kind.from_rows(rows), kind.from_rows(rows[:cut]).merge(kind.from_rows(rows[cut:]))
    assert merged.count == whole.count
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-12, atol=1e-12)
    if kind is FeatureRows:
        np.testing.assert_array_equal(merged.rows, whole.rows)
    elif kind is FeatureMoments:
        np.testing.assert_allclose(merged.covariance, whole.covariance, rtol=1e-12, atol=lost_to(offset))
    else:
        np.testing.assert_allclose(merged.squares / 40, whole.squares / 40, rtol=1e-12, atol=lost_to(offset))


@pytest.mark.parametrize("kind", [FeatureMoments, FeatureRows, ValueMoments])
def test_merging_with_empty_changes_no_bit(kind: type) -> None:
    some = kind.from_rows(np.random.default_rng(0).normal(size=(5, WIDTH)).astype(np.float32))
    for merged in (kind.empty(WIDTH).merge(some), some.merge(kind.empty(WIDTH))):
        assert merged.count == 5
        for name in ("mean", "scatter", "squares", "rows"):
            if hasattr(some, name):
                np.testing.assert_array_equal(getattr(merged, name), getattr(some, name))


def test_one_value_has_no_standard_error() -> None:
    assert ValueMoments.from_rows(np.array([[2.0]])).std_error is None


def test_an_infinite_value_makes_the_mean_infinite_not_nan() -> None:
    some = ValueMoments.from_rows(np.array([[1.0], [3.0]]))
    infinite = ValueMoments.from_rows(np.array([[np.inf]]))
    assert some.merge(infinite).mean[0] == np.inf
    assert infinite.merge(some).mean[0] == np.inf
    assert infinite.merge(infinite).mean[0] == np.inf


@given(cuts)
def test_blocks_do_not_depend_on_how_rows_arrive(sizes: list[int]) -> None:
    rows = np.arange(sum(sizes))
    blocks = FixedBlocks(size=16)
    received, start = [], 0
    for size in sizes:
        received.extend(blocks.push(rows[start : start + size]))
        start += size
    received.extend(blocks.rest())
    expected = [rows[first : first + 16] for first in range(0, len(rows), 16)]
    assert [block.tolist() for block in received] == [block.tolist() for block in expected]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(min_value=1, max_value=400), min_size=1, max_size=5), st.sampled_from([1, 10_000]))
def test_a_summary_of_features_is_the_same_to_the_bit_however_they_arrive(sizes: list[int], expected: int) -> None:
    parts = rows_for(sizes, 1e4)
    whole, cut = FeatureSummary(expected, WIDTH), FeatureSummary(expected, WIDTH)
    whole.push(np.concatenate(parts))
    for part in parts:
        cut.push(part)
    first, second = whole.features(), cut.features()
    assert type(first) is type(second) is (FeatureRows if expected < WIDTH else FeatureMoments)
    assert first.count == second.count == sum(sizes)
    np.testing.assert_array_equal(first.mean, second.mean)
    if isinstance(first, FeatureMoments) and isinstance(second, FeatureMoments):
        np.testing.assert_array_equal(first.scatter, second.scatter)
