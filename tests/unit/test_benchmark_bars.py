"""Bars of `benchmarks.uncertainty`: that they can be missed, on either side, by the numbers of draws that it takes."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.interval_coverage import Coverage
from benchmarks.uncertainty import FEWEST_DRAWS, HIGHEST, missed_bars


@pytest.mark.parametrize(
    ("covered", "given", "words"),
    [
        (FEWEST_DRAWS, FEWEST_DRAWS, ["covers too much"]),
        (200, 200, ["covers too much"]),
        (399, 400, ["covers too much"]),
        (196, 200, []),
        (180, 200, []),
        (170, 200, ["covers too little"]),
        (0, 200, ["covers too little"]),
    ],
)
def test_coverage_beyond_a_bar_by_more_than_chance_misses_it(covered: int, given: int, words: list[str]) -> None:
    assert list(missed_bars(Coverage(covered, given, 1.0), highest=HIGHEST)) == words


def test_with_one_draw_less_nothing_would_cover_too_much() -> None:
    fewer = FEWEST_DRAWS - 1
    assert list(missed_bars(Coverage(fewer, fewer, 1.0), highest=HIGHEST)) == []


def test_intervals_on_the_safe_side_may_all_cover() -> None:
    assert list(missed_bars(Coverage(200, 200, 1.0), highest=None)) == []


def test_errors_that_are_withheld_count_for_no_coverage() -> None:
    values = [-1.0, 1.0, -1.0, 1.0]
    found = Coverage.of(values, [10.0, None, 0.1, 0.1], count=100)
    assert (found.covered, found.given) == (1, 3)
    assert found.share == pytest.approx(np.mean([10.0, 0.1, 0.1]) / np.std(values, ddof=1))
