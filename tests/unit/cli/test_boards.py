"""What a leaderboard says below its tables."""

from __future__ import annotations

from cli.boards import score_warnings
from tests.factories import score

FEW = "500 images span at most 499 of 2048 feature dimensions."
OUTSIDE = "94.4% of the values that the decoder gives for samples lie outside [0, 1]."


def test_a_warning_of_many_rows_and_metrics_is_one_line() -> None:
    scores = {number: [score(name, 1.0, warnings=(FEW,)) for name in ("fid", "rfid")] for number in (1, 2, 3)}
    assert score_warnings(scores) == [f"fid, rfid (ids 1–3): {FEW}"]


def test_what_few_rows_carry_comes_last_with_their_ids() -> None:
    scores = {
        4: [score("fid", 1.0, warnings=(OUTSIDE, FEW))],
        9: [score("fid", 1.0, warnings=(FEW,)), score("mse", 1.0)],
    }
    assert score_warnings(scores) == [f"fid (ids 4, 9): {FEW}", f"fid (id 4): {OUTSIDE}"]


def test_scores_without_warnings_give_no_line() -> None:
    assert score_warnings({1: [score("fid", 1.0)], 2: []}) == []
