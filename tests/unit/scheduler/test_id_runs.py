"""Ids of evaluations as text, there and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from scheduler.id_runs import ids_as_text, ids_of_argument, ids_of_text


@pytest.mark.parametrize(
    ("ids", "text"),
    [([], ""), ([7], "7"), ([1, 2], "1-2"), ([1, 2, 3, 9, 11, 12], "1-3,9,11-12"), (range(1, 10_001), "1-10000")],
)
def test_runs_are_written_by_their_ends_and_read_again(ids: list[int], text: str) -> None:
    assert ids_as_text(ids) == text
    assert ids_of_text(text) == list(ids)


def test_order_and_repetition_do_not_matter() -> None:
    assert ids_as_text([5, 3, 4, 3]) == "3-5"


@pytest.mark.parametrize("text", ["a", "1,,2", "1-", "-1", "1 2"])
def test_text_without_ids_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        ids_of_text(text)


def test_an_argument_is_text_or_a_file_of_it(tmp_path: Path) -> None:
    file = tmp_path / "ids"
    file.write_text("3-5,9", encoding="ascii")
    assert ids_of_argument("3-5,9") == ids_of_argument(f"@{file}") == [3, 4, 5, 9]


def test_a_file_of_ids_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no-ids cannot be read: No such file"):
        ids_of_argument(f"@{tmp_path}/no-ids")
