"""Strips of interpolations and grids of traversals: what is on them, dot by dot where that matters."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from vaeval_core.errors import InvalidInput
from vaeval_core.reports.strips import (
    MAX_ENTRIES,
    MAX_ROWS,
    MAX_STEPS,
    InterpolationEntry,
    TraversalEntry,
    interpolation_sheet,
    traversal_sheet,
)
from vaeval_core.reports.tiles import as_tiles
from vaeval_core.types import Uint8

pytestmark = pytest.mark.slow


def _pictures(*counts: int, side: int = 8, channels: int = 1, seed: int = 0) -> Uint8:
    shape = (*counts, side, side, channels)
    return np.random.Generator(np.random.Philox(seed)).integers(0, 256, shape, dtype=np.uint8)


def _interpolations(num_pairs: int = 2, num_steps: int = 5, **changes: object) -> InterpolationEntry:
    fields: dict[str, object] = {
        "title": "epoch-30",
        "starts": _pictures(num_pairs, seed=1),
        "ends": _pictures(num_pairs, seed=2),
        "strips": {
            "linear": _pictures(num_pairs, num_steps, seed=3),
            "spherical": _pictures(num_pairs, num_steps, seed=4),
        },
    }
    return InterpolationEntry(**(fields | changes))  # type: ignore[arg-type]


def _traversals(num_rows: int = 3, num_steps: int = 4, **changes: object) -> TraversalEntry:
    fields: dict[str, object] = {
        "title": "epoch-30",
        "pictures": _pictures(num_rows, num_steps, seed=5),
        "labels": [f"z{row}" for row in range(num_rows)],
        "values": np.linspace(-1.5, 1.5, num_steps),
    }
    return TraversalEntry(**(fields | changes))  # type: ignore[arg-type]


def _dots(figure: Figure) -> Uint8:
    """What `savefig` writes, decoded."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return np.asarray(Image.open(buffer).convert("RGB"))


def _texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def _place(dots: Uint8, picture: Uint8) -> tuple[int, int]:
    """(top, left) of the only exact copy of a picture, enlarged as tiles are."""
    tile = as_tiles(picture[np.newaxis], 72)[0]
    height, width = tile.shape[:2]
    corners = np.argwhere((dots == tile[0, 0]).all(axis=2))
    [place] = [
        (int(top), int(left))
        for top, left in corners
        if np.array_equal(dots[top : top + height, left : left + width], tile)
    ]
    return place


def test_a_strip_goes_from_the_real_start_to_the_real_end() -> None:
    entry = _interpolations()
    dots = _dots(interpolation_sheet([entry]))
    for pair in range(2):
        for strip in entry.strips.values():
            places = [_place(dots, picture) for picture in strip[pair]]
            tops, lefts = {top for top, _ in places}, [left for _, left in places]
            assert len(tops) == 1
            assert np.diff(lefts).tolist() == [76] * 4
            assert _place(dots, entry.starts[pair])[1] < lefts[0]
            assert _place(dots, entry.ends[pair])[1] > lefts[-1]


def test_the_real_images_stand_half_way_between_the_rows_of_their_pair() -> None:
    entry = _interpolations()
    dots = _dots(interpolation_sheet([entry]))
    for pair in range(2):
        upper, lower = (_place(dots, strip[pair, 0])[0] for strip in entry.strips.values())
        assert _place(dots, entry.starts[pair])[0] == _place(dots, entry.ends[pair])[0] == (upper + lower) // 2


def test_rows_say_which_path_they_take() -> None:
    texts = _texts(interpolation_sheet([_interpolations(num_pairs=3)]))
    assert texts.count("linear") == texts.count("spherical") == 3
    assert texts.count("real") == 2
    assert "epoch-30" in texts


def test_one_kind_of_path_is_enough() -> None:
    entry = _interpolations(strips={"linear": _pictures(2, 3, seed=3)})
    dots = _dots(interpolation_sheet([entry]))
    assert _place(dots, entry.starts[0])[0] == _place(dots, entry.strips["linear"][0, 0])[0]


def test_a_traversal_has_a_row_for_each_dimension_and_a_column_for_each_value() -> None:
    entry = _traversals()
    dots = _dots(traversal_sheet([entry]))
    places = np.array([[_place(dots, picture) for picture in row] for row in entry.pictures])
    assert (np.diff(places[:, :, 0], axis=0) == 76).all()
    assert (np.diff(places[:, :, 1], axis=1) == 76).all()
    assert (places[:, :, 0] == places[:, :1, 0]).all()


def test_values_stand_above_their_columns_and_labels_beside_their_rows() -> None:
    texts = _texts(traversal_sheet([_traversals(num_steps=3)]))
    assert texts == ["epoch-30", "-1.50", "0.00", "1.50", "z0", "z1", "z2"]


def test_a_value_that_rounds_to_zero_has_no_sign() -> None:
    assert "-0.00" not in _texts(traversal_sheet([_traversals(num_steps=3, values=[-1.0, -1e-9, 1.0])]))


def test_of_long_rows_evenly_chosen_steps_are_shown_with_both_ends() -> None:
    entry = _traversals(num_rows=1, num_steps=31)
    figure = traversal_sheet([entry])
    assert len(_texts(figure)) == 1 + MAX_STEPS + 1
    dots = _dots(figure)
    for step in (0, 2, 28, 30):
        _place(dots, entry.pictures[0, step])


def test_of_many_rows_the_first_are_shown() -> None:
    assert (
        sum(text.startswith("z") for text in _texts(traversal_sheet([_traversals(num_rows=MAX_ROWS + 3)]))) == MAX_ROWS
    )
    assert _texts(interpolation_sheet([_interpolations(num_pairs=MAX_ROWS + 1)])).count("linear") == MAX_ROWS


def test_of_many_checkpoints_the_others_are_counted() -> None:
    texts = _texts(traversal_sheet([_traversals(1, 2)] * (MAX_ENTRIES + 2)))
    assert texts.count("epoch-30") == MAX_ENTRIES
    assert texts[-1] == "and 2 more, not shown"


def test_checkpoints_of_different_sizes_share_a_sheet() -> None:
    small = _interpolations()
    wide = _interpolations(
        title="other",
        starts=_pictures(1, side=32, channels=3, seed=6),
        ends=_pictures(1, side=32, channels=3, seed=7),
        strips={"linear": _pictures(1, 9, side=32, channels=3, seed=8)},
    )
    dots = _dots(interpolation_sheet([small, wide]))
    assert _place(dots, small.ends[0])[0] < _place(dots, wide.ends[0])[0]
    assert _place(dots, wide.ends[0])[1] + 64 + 44 == dots.shape[1]


@pytest.mark.parametrize(
    ("changes", "received"),
    [
        ({"starts": _pictures(3)}, "starts (3, 8, 8, 1), ends (2, 8, 8, 1), linear (2, 5, 8, 8, 1)"),
        ({"ends": _pictures(2, side=9)}, "ends (2, 9, 9, 1)"),
        ({"strips": {"linear": _pictures(2)}}, "linear (2, 8, 8, 1)"),
        ({"strips": {"linear": _pictures(2, 5), "spherical": _pictures(2, 4)}}, "spherical (2, 4, 8, 8, 1)"),
        ({"strips": {}}, "no strips"),
        ({"starts": _pictures(2).astype(float)}, "starts (2, 8, 8, 1)"),
        ({"strips": {"linear": _pictures(2, 5, channels=2)}}, "linear (2, 5, 8, 8, 2)"),
    ],
)
def test_what_is_no_strip_is_refused(changes: dict[str, object], received: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        interpolation_sheet([_interpolations(**changes)])
    assert received in str(caught.value.received)
    assert "each strip (p, T, h, w, c)" in str(caught.value.expected)
    assert "epoch-30" in caught.value.what


@pytest.mark.parametrize(
    ("changes", "received"),
    [
        ({"labels": ["z0"]}, "1 labels"),
        ({"values": np.zeros(5)}, "values (5,)"),
        ({"pictures": _pictures(3)}, "uint8 of shape (3, 8, 8, 1)"),
        ({"pictures": _pictures(3, 4).astype(np.float32)}, "float32 of shape (3, 4, 8, 8, 1)"),
    ],
)
def test_what_is_no_grid_is_refused(changes: dict[str, object], received: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        traversal_sheet([_traversals(**changes)])
    assert received in str(caught.value.received)
    assert "d labels and T values" in str(caught.value.expected)


@pytest.mark.parametrize("draw", [interpolation_sheet, traversal_sheet])
def test_an_empty_sheet_is_refused(draw: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        draw([])  # type: ignore[operator]
    assert caught.value.received == "no checkpoints"
    assert caught.value.expected == "at least one"
