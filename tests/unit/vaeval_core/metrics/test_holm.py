"""Holm's correction by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaeval_core.errors import InvalidInput
from vaeval_core.metrics.holm import holm_adjusted

p_values = st.lists(st.floats(min_value=0, max_value=1), min_size=1, max_size=8)


def test_the_smallest_counts_for_all_and_each_next_for_one_less() -> None:
    np.testing.assert_allclose(holm_adjusted([0.02, 0.3, 0.01, 0.5]), [0.06, 0.6, 0.04, 0.6])


def test_none_is_smaller_than_one_before_it() -> None:
    np.testing.assert_allclose(holm_adjusted([0.02, 0.021]), [0.04, 0.04])


def test_none_is_above_one() -> None:
    assert holm_adjusted([0.9, 0.8]).tolist() == [1.0, 1.0]


def test_of_rows_picked_after_the_fact_all_pairs_count() -> None:
    adjusted = holm_adjusted([0.01, 0.02, 0.05], comparisons=lambda left: left * (left + 1) // 2)
    np.testing.assert_allclose(adjusted, [0.06, 0.06, 0.06])  # 6, 3 and 1 pairs: 0.06, 0.06 and 0.05


def test_a_single_comparison_is_not_corrected_and_none_is_nothing() -> None:
    assert holm_adjusted([0.03]).tolist() == [0.03]
    assert holm_adjusted([]).tolist() == []


@settings(deadline=None, max_examples=50)
@given(p_values)
def test_it_rejects_what_the_step_down_procedure_rejects(given_values: list[float]) -> None:
    """As Holm states it: go through the p-values in order, stop at the first that is not small enough."""
    level = 0.05
    rejected = set()
    order = sorted(range(len(given_values)), key=lambda place: given_values[place])
    for passed, place in enumerate(order):
        if given_values[place] * (len(given_values) - passed) > level:
            break
        rejected.add(place)
    assert {place for place, adjusted in enumerate(holm_adjusted(given_values)) if adjusted <= level} == rejected


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused(wrong: float) -> None:
    with pytest.raises(InvalidInput, match=rf"no p-value\. Received: {wrong} Expected: a number from 0 to 1"):
        holm_adjusted([0.5, wrong])
