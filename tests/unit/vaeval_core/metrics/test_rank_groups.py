"""Who is tied with the best, and whose influences are read to find out."""

from __future__ import annotations

import numpy as np
import pytest

from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.fidelity import frechet_distance
from vaeval_core.metrics.gaussian_fit import GaussianFit
from vaeval_core.metrics.paired_difference import paired_difference
from vaeval_core.metrics.rank_groups import MOST_TAKEN_OFF, reach_of_ties, standings


class Board:
    """Rows of a leaderboard by number and influences; notes which influences were asked for."""

    def __init__(self, *rows: tuple[float, np.ndarray | None]) -> None:
        self._rows = rows
        self.read: set[int] = set()

    def values(self) -> list[MetricValue]:
        return [
            MetricValue.of(
                number,
                num_images=100,
                std_error=None if influence is None else float(influence.std(ddof=1)) / 10,
            )
            for number, influence in self._rows
        ]

    def complete(self, place: int) -> MetricValue:
        self.read.add(place)
        number, influence = self._rows[place]
        return MetricValue.of(number, num_images=100, influence=influence)


RNG = np.random.default_rng(0)
COMMON = RNG.normal(size=100)
"""Of a standard deviation near 1, so that a standard error is near 0.1."""


def near(scale: float) -> np.ndarray:
    """Influences like the common ones; their difference has about this standard deviation."""
    return COMMON + scale * RNG.normal(size=100)


def test_a_row_within_the_error_of_the_paired_difference_is_tied_and_one_beyond_is_worse() -> None:
    # Paired errors are near 0.01: 0.005 is half of one, 0.1 is ten of them; unpaired, 0.1 would be less than one.
    board = Board((5.1, near(0.1)), (5.0, COMMON), (5.005, near(0.1)))
    assert standings(board.values(), board.complete) == ("worse", "best", "tied")


def test_influences_of_a_row_that_is_far_behind_are_not_read() -> None:
    board = Board((5.0, COMMON), (50.0, near(0.1)), (5.005, near(0.1)))
    assert standings(board.values(), board.complete) == ("best", "worse", "tied")
    assert board.read == {0, 2}


def test_what_a_bound_decides_is_what_reading_decides() -> None:
    rows = [(5 + step, near(0.3)) for step in (0.0, 0.04, 0.08, 0.2, 0.6, 0.9, 3.0)]
    board, all_read = Board(*rows), Board(*rows)
    without_errors = [MetricValue.of(number, num_images=100) for number, _ in rows]
    assert standings(board.values(), board.complete) == standings(without_errors, all_read.complete)
    assert len(board.read) < len(all_read.read) == len(rows)


def test_many_comparisons_make_it_harder_to_be_told_apart() -> None:
    # A difference of 2.3 standard errors: p near 0.02, which of one is worse and of five is not.
    behind = COMMON + 0.1 * np.tile([1.0, -1.0], 50)
    apart = float((behind - COMMON).std(ddof=1)) / 10 * 2.3
    alone = Board((5.0, COMMON), (5.0 + apart, behind))
    assert standings(alone.values(), alone.complete) == ("best", "worse")
    among = Board((5.0, COMMON), *[(5.0 + apart, behind)] * 5)
    assert standings(among.values(), among.complete) == ("best", *["tied"] * 5)


def test_equal_rows_are_rarely_told_apart_though_the_best_was_picked_for_its_luck() -> None:
    """Ten equal rows with independent errors; 200 boards: 5 % is 10, and 20 is more than three deviations above."""
    rng = np.random.default_rng(1)
    seen = 0
    for _ in range(200):
        influences = [rng.normal(size=100) for _ in range(10)]
        board = Board(*[(5 + influence.mean(), influence - influence.mean()) for influence in influences])
        seen += "worse" in standings(board.values(), board.complete)
    assert seen < 20


def test_rows_without_number_or_influences_are_unknown() -> None:
    board = Board((5.0, COMMON), (5.001, None))
    values = [*board.values(), MetricValue.not_applicable("No samples.")]
    assert standings(values, board.complete) == ("best", "unknown", "unknown")


def test_a_best_row_without_influences_leaves_all_others_unknown() -> None:
    board = Board((5.0, None), (5.001, COMMON))
    assert standings(board.values(), board.complete) == ("best", "unknown")


def test_a_difference_that_one_image_decides_is_unknown() -> None:
    outlier = COMMON.copy()
    outlier[0] += 50
    board = Board((5.0, COMMON), (5.1, outlier))
    assert standings(board.values(), board.complete) == ("best", "unknown")


def test_rows_that_cannot_be_told_are_comparisons_all_the_same() -> None:
    """Otherwise a board would be told apart the more easily, the less is known of it."""
    behind = COMMON + 0.1 * np.tile([1.0, -1.0], 50)
    apart = float((behind - COMMON).std(ddof=1)) / 10 * 2.3
    outlier = COMMON.copy()
    outlier[0] += 50
    known = [(5.0, COMMON), (5.0 + apart, behind)]
    assert standings((board := Board(*known)).values(), board.complete) == ("best", "worse")
    for untold in ((5.1, None), (5.1, outlier)):
        board = Board(*known, *[untold] * 4)
        assert standings(board.values(), board.complete) == ("best", "tied", *["unknown"] * 4)


def test_the_bound_holds_of_distances_of_which_second_order_variance_is_taken_off() -> None:
    """Checkpoints near the reference, one too wide and one too narrow: the sum of both errors is no bound."""
    reference = GaussianFit(None, np.zeros(10), np.eye(10))
    shares = []
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(size=(2, 120, 10))
        for one, other in ((noise[0] * 1.05, noise[0] * 0.95), (noise[0] * 1.05, noise[1]), (noise[0], noise[1])):
            pair = frechet_distance(one, reference), frechet_distance(other, reference)
            errors = [value.std_error for value in pair]
            found = paired_difference(*pair).std_error
            assert found is not None
            assert None not in errors
            shares.append(found / sum(errors))
    assert 1.05 < max(shares) <= MOST_TAKEN_OFF


def test_a_board_of_one_and_a_board_without_numbers() -> None:
    alone = Board((5.0, COMMON))
    assert standings(alone.values(), alone.complete) == ("best",)
    assert alone.read == set()
    assert standings([MetricValue.not_applicable("No samples.")], alone.complete) == ("unknown",)


class TestAPartOfTheBoard:
    """A board of many rows, of which only those within reach of the best are given."""

    def whole(self) -> Board:
        rng = np.random.default_rng(7)
        near_ones = [(5 + 0.02 * place, near(0.2)) for place in range(8)]
        return Board(*near_ones, *[(6 + float(rng.uniform(1, 90)), near(0.4)) for _ in range(60)])

    def within(self, board: Board) -> list[int]:
        values = board.values()
        reach = reach_of_ties(len(values) - 1, 100)
        best = min(values, key=lambda value: value.value or 0.0)
        return [
            place
            for place, value in enumerate(values)
            if (value.value or 0.0) - (best.value or 0.0)
            <= reach * ((value.std_error or 0.0) + (best.std_error or 0.0))
        ]

    def test_rows_out_of_reach_may_be_left_out_without_changing_any_answer(self) -> None:
        board = self.whole()
        whole = standings(board.values(), board.complete)
        given = self.within(board)
        assert len(given) < len(whole)
        part = standings(
            [board.values()[place] for place in given],
            lambda place: board.complete(given[place]),
            others=len(whole) - 1,
        )
        assert part == tuple(whole[place] for place in given)
        assert {"tied", "worse"} <= set(part)
        assert {standing for place, standing in enumerate(whole) if place not in given} == {"worse"}

    def test_rows_within_reach_that_are_not_given_count_as_tied(self) -> None:
        board = self.whole()
        given = self.within(board)
        values = [board.values()[place] for place in given]

        def told(few: int) -> tuple[str, ...]:
            return standings(
                values[:few],
                lambda place: board.complete(given[place]),
                others=len(board.values()) - 1,
                not_given=len(values) - few,
            )

        everything = told(len(values))
        for few in range(1, len(values)):
            assert all(
                part == whole or (part, whole) == ("tied", "worse")
                for part, whole in zip(told(few), everything, strict=False)
            )

    def test_the_more_rows_the_farther_the_reach(self) -> None:
        reaches = [reach_of_ties(others, 500) for others in (1, 10, 1000, 100_000)]
        assert reaches == sorted(reaches)
        assert reaches[0] == pytest.approx(1.9647 * np.sqrt(2), abs=1e-4), "Student's t, 499 degrees of freedom, 97.5 %"

    def test_without_others_or_without_a_spread_nothing_is_too_far(self) -> None:
        assert reach_of_ties(0, 500) == reach_of_ties(5, 1) == np.inf
