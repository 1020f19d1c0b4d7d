"""Whatever features are kept in, metrics see the same blocks, and what is wrong with them is named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.feature_pieces import Pieces
from vaeval_core.errors import InvalidInput, TooFewImages
from vaeval_core.metrics.feature_blocks import ROWS_PER_BLOCK, as_blocks, in_parts, require_same_length

COUNT = 2 * ROWS_PER_BLOCK + 100
ROWS = np.arange(COUNT * 2, dtype=np.float32).reshape(COUNT, 2)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(min_value=0, max_value=700), max_size=6))
def test_pieces_of_any_size_give_the_blocks_of_the_array(sizes: list[int]) -> None:
    whole, pieces = list(as_blocks(ROWS, "generated")), list(as_blocks(Pieces(ROWS, sizes), "generated"))
    assert [len(block) for block in whole] == [ROWS_PER_BLOCK, ROWS_PER_BLOCK, 100]
    for one, other in zip(whole, pieces, strict=True):
        np.testing.assert_array_equal(one, other)


def test_blocks_are_float64_whatever_the_numbers_were() -> None:
    for kind in (np.float16, np.float32, np.float64, np.uint8, np.int64):
        block = next(iter(as_blocks(np.ones((3, 2), kind), "generated")))
        assert block.dtype == np.float64


def test_a_list_of_rows_is_taken() -> None:
    assert as_blocks([[1, 2], [3, 4], [5, 6]], "generated").shape == (3, 2)


def test_arrays_of_other_libraries_are_arrays_not_pieces() -> None:
    class Tensor:
        shape = (3, 2)

        def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
            return np.ones((3, 2))

        def __iter__(self) -> object:
            raise AssertionError("iterating gives rows, one by one")

    assert [block.shape for block in as_blocks(Tensor(), "generated")] == [(3, 2)]


def test_reading_can_start_at_a_later_block() -> None:
    blocks = as_blocks(Pieces(ROWS, [10, 1500]), "generated")
    starts = [start for start, _ in blocks.starting_at(ROWS_PER_BLOCK)]
    assert starts == [ROWS_PER_BLOCK, 2 * ROWS_PER_BLOCK]
    np.testing.assert_array_equal(next(blocks.starting_at(ROWS_PER_BLOCK))[1][0], ROWS[ROWS_PER_BLOCK])


def test_blocks_can_be_read_while_they_are_being_read() -> None:
    blocks = as_blocks(Pieces(ROWS, [10, 1500]), "generated")
    firsts = [(one[0, 0], other[0, 0]) for one in blocks for other in blocks]
    starts = [ROWS[start, 0] for start in (0, ROWS_PER_BLOCK, 2 * ROWS_PER_BLOCK)]
    assert firsts == [(one, other) for one in starts for other in starts]


@pytest.mark.parametrize("count", [1, 3, 7])
def test_equal_parts_are_cut_where_the_division_says(count: int) -> None:
    parts: dict[int, list[np.ndarray]] = {}
    for part, rows in in_parts(as_blocks(ROWS, "generated"), count):
        parts.setdefault(part, []).append(rows)
    assert list(parts) == list(range(count))
    for part, pieces in parts.items():
        expected = ROWS[COUNT * part // count : COUNT * (part + 1) // count]
        np.testing.assert_array_equal(np.concatenate(pieces), expected)


@pytest.mark.parametrize("sizes", [[], [1030, 900]])
def test_values_that_are_not_finite_are_counted_over_all_rows(sizes: list[int]) -> None:
    rows = ROWS.copy()
    rows[5, 0] = np.nan
    rows[2000] = np.inf
    message = (
        "The generated features are not finite. Received: 3 values that are NaN or infinite, in 2 of 2148 rows; first in "
        "row 5 Expected: finite features Next: look at the images that the checkpoint generates"
    )
    with pytest.raises(InvalidInput) as caught:
        list(as_blocks(Pieces(rows, sizes), "generated"))
    assert str(caught.value) == message


def test_one_nan_far_behind_is_found_too() -> None:
    rows = ROWS.copy()
    rows[-1, 1] = -np.inf
    with pytest.raises(InvalidInput, match="1 values that are NaN or infinite, in 1 of 2148 rows; first in row 2147"):
        list(as_blocks(rows, "reference"))


@pytest.mark.parametrize(
    ("features", "received"),
    [
        (np.ones((3, 2), complex), "complex128 of shape (3, 2)"),
        (np.ones((3, 2), bool), "bool of shape (3, 2)"),
        (np.ones(3), "float64 of shape (3,)"),
        (np.ones((3, 2, 2)), "float64 of shape (3, 2, 2)"),
        (np.ones((3, 0)), "float64 of shape (3, 0)"),
        ([], "float64 of shape (0,)"),
        ("features.npy", "<U12 of shape ()"),
        (None, "object of shape ()"),
        (Pieces(np.ones((4, 3, 2))), "shape (4, 3, 2)"),
    ],
)
def test_what_is_no_table_of_real_numbers_is_refused_with_what_it_is(features: object, received: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        as_blocks(features, "generated")  # type: ignore[arg-type]
    assert caught.value.parts() == {
        "what": "The generated features are no table of numbers.",
        "received": received,
        "expected": "(images, features) real numbers",
    }


def test_rows_of_different_lengths_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"Received: rows that make no array \(.*Expected: \(images, features\)"):
        as_blocks([[1.0], [2.0, 3.0]], "generated")


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_rows_are_refused_with_their_number(count: int) -> None:
    message = (
        rf"There are too few reference features. Received: num_images={count} Expected: 2 or more Next: evaluate more"
    )
    with pytest.raises(TooFewImages, match=message):
        as_blocks(np.ones((count, 3)), "reference")


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        (Pieces(ROWS, stated=(3000, 2)), "Received: 2148 rows Expected: 3000"),
        (
            Pieces(ROWS, stated=(2148, 3)),
            r"Received: float32 of shape \(2148, 2\), after 0 rows Expected: .* \(rows, 3\)",
        ),
        (Pieces(ROWS.astype(complex)), r"Received: complex128 of shape \(2148, 2\), after 0 rows"),
    ],
)
def test_pieces_that_are_not_what_they_state_are_refused(pieces: Pieces, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        list(as_blocks(pieces, "generated"))


def test_a_piece_of_another_width_is_named_by_the_rows_before_it() -> None:
    class Mixed(Pieces):
        def __iter__(self) -> object:  # type: ignore[override]
            yield np.ones((2, 3))
            yield np.ones((2, 4))

    with pytest.raises(
        InvalidInput, match=r"float64 of shape \(2, 4\), after 2 rows Expected: .* of shape \(rows, 3\)"
    ):
        list(as_blocks(Mixed(np.ones((4, 3))), "generated"))


def test_features_of_different_extractors_are_refused_with_both_lengths() -> None:
    with pytest.raises(
        InvalidInput, match=r"Received: 3 \(generated\) and 4 \(reference\) Expected: .* of one extractor"
    ):
        require_same_length(as_blocks(np.ones((2, 3)), "generated"), as_blocks(np.ones((2, 4)), "reference"))
