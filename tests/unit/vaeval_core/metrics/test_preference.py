"""Answers to blind pairs: who stood where, what is counted, and how sure it is."""

from __future__ import annotations

import numpy as np
import pytest

from vaeval_core.errors import InvalidInput
from vaeval_core.metrics.preference import preference, sides

LEFT = np.array([True, False, True, True, False])


def test_a_letter_counts_for_who_stood_there() -> None:
    counted = preference("LR-RL", LEFT)
    # First on the left and chosen; first on the right and chosen; none; first on the left, not chosen; not chosen.
    assert (counted.first, counted.second, counted.num_pairs) == (2, 2, 5)
    assert counted.share == 0.5
    assert counted.p_value == pytest.approx(1)


def test_one_that_is_always_chosen_has_the_closed_form_of_interval_and_chance() -> None:
    counted = preference("LRLLR", LEFT)
    # Of n answers alike: p = 2 · ½ⁿ, and the interval of Clopper and Pearson begins at the n-th root of 0.025.
    assert (counted.share, counted.p_value) == (1, pytest.approx(2 / 2**5))
    assert counted.interval == (pytest.approx(0.025 ** (1 / 5)), 1)


def test_without_any_preference_there_is_no_share() -> None:
    counted = preference("- - - - -", LEFT)
    assert (counted.first, counted.second, counted.share, counted.p_value) == (0, 0, None, 1)
    assert counted.interval == (0, 1)


def test_small_letters_spaces_and_commas_are_taken() -> None:
    assert preference("l, r l,l r", LEFT) == preference("LRLLR", LEFT)


@pytest.mark.parametrize(
    ("answers", "received"),
    [("LRL", "3 answers: LRL"), ("LRLLRR", "6 answers: LRLLRR"), ("LRXLR", "5 answers: LRXLR"), ("", "no answer")],
)
def test_other_answers_are_refused(answers: str, received: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        preference(answers, LEFT)
    assert caught.value.received == received
    assert caught.value.expected == "5 letters, each L, R or -"


def test_exchanging_the_two_leaves_the_sheet_as_it_is() -> None:
    np.testing.assert_array_equal(sides("a", "b", 40), ~sides("b", "a", 40))
    np.testing.assert_array_equal(sides("a", "b", 40)[:7], sides("a", "b", 7))


def test_sides_are_even_and_others_for_other_checkpoints() -> None:
    many = sides("a", "b", 4000)
    assert abs(many.mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)
    assert abs(np.mean(many == sides("a", "c", 4000)) - 0.5) < 4 * 0.5 / np.sqrt(4000)
