"""The sheet of pictures: what is on it, dot by dot where that matters."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from vaeval_core.errors import InvalidInput
from vaeval_core.reports.contact_sheet import MAX_ENTRIES, MAX_PICTURES, PictureEntry, contact_sheet
from vaeval_core.reports.tiles import as_tiles
from vaeval_core.types import Uint8

pytestmark = pytest.mark.slow


def _pictures(num_pictures: int = 4, *, side: int = 8, channels: int = 1, seed: int = 0) -> Uint8:
    shape = (num_pictures, side, side, channels)
    return np.random.Generator(np.random.Philox(seed)).integers(0, 256, shape, dtype=np.uint8)


def _entry(title: str = "step-10", **pictures: Uint8) -> PictureEntry:
    return PictureEntry(title=title, pictures=pictures)


def _full_entry(title: str = "step-10") -> PictureEntry:
    return _entry(title, originals=_pictures(seed=1), reconstructions=_pictures(seed=2), samples=_pictures(seed=3))


def _dots(figure: Figure) -> Uint8:
    """What `savefig` writes, decoded."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return np.asarray(Image.open(buffer).convert("RGB"))


def _texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def _places(dots: Uint8, tile: Uint8) -> list[tuple[int, int]]:
    """(top, left) of every exact copy of a tile."""
    height, width = tile.shape[:2]
    corners = np.argwhere((dots == tile[0, 0]).all(axis=2))
    return [
        (int(top), int(left))
        for top, left in corners
        if np.array_equal(dots[top : top + height, left : left + width], tile)
    ]


def _tiles(pictures: Uint8) -> Uint8:
    return as_tiles(pictures, 72)


def test_every_picture_is_drawn_dot_by_dot() -> None:
    entry = _full_entry()
    dots = _dots(contact_sheet([entry]))
    for pictures in entry.pictures.values():
        for tile in _tiles(pictures):
            assert len(_places(dots, tile)) == 1


def test_a_reconstruction_stands_right_below_its_original() -> None:
    entry = _full_entry()
    dots = _dots(contact_sheet([entry]))
    tops = set()
    pairs = zip(_tiles(entry.pictures["originals"]), _tiles(entry.pictures["reconstructions"]), strict=True)
    for original, reconstruction in pairs:
        [(top, left)], [(top_below, left_below)] = _places(dots, original), _places(dots, reconstruction)
        assert left_below == left
        assert 72 < top_below - top < 80
        tops.add(top)
    assert len(tops) == 1


def test_samples_stand_to_the_right_at_the_same_height() -> None:
    entry = _full_entry()
    dots = _dots(contact_sheet([entry]))
    [(top, _)] = _places(dots, _tiles(entry.pictures["originals"])[0])
    [(_, left_of_last)] = _places(dots, _tiles(entry.pictures["originals"])[-1])
    [(samples_top, samples_left)] = _places(dots, _tiles(entry.pictures["samples"])[0])
    assert samples_top == top
    assert samples_left > left_of_last + 72


def test_blocks_are_in_the_order_given_and_aligned() -> None:
    entries = [_entry(f"step-{seed}", originals=_pictures(seed=seed)) for seed in range(12)]
    dots = _dots(contact_sheet(entries))
    corners = [_places(dots, _tiles(entry.pictures["originals"])[0]) for entry in entries]
    assert all(len(places) == 1 for places in corners)
    tops, lefts = zip(*(places[0] for places in corners), strict=True)
    assert list(tops) == sorted(set(tops))
    assert len(set(lefts)) == 1


def test_colour_is_colour() -> None:
    pictures = _pictures(channels=3)
    dots = _dots(contact_sheet([_entry(samples=pictures)]))
    assert all(len(_places(dots, tile)) == 1 for tile in _tiles(pictures))


def test_titles_and_columns_are_labelled() -> None:
    texts = _texts(contact_sheet([_full_entry("step-1"), _full_entry("step-2")]))
    assert texts.count("real") == texts.count("reconstructions") == 2
    assert texts.count("samples") == 1
    assert [text for text in texts if text.startswith("step-")] == ["step-1", "step-2"]


def test_a_missing_stream_is_said_where_others_have_it() -> None:
    entries = [_full_entry(), _entry(samples=_pictures()), _entry(originals=_pictures(), reconstructions=_pictures())]
    texts = _texts(contact_sheet(entries))
    assert texts.count("no reconstructions") == 1
    assert texts.count("no samples") == 1


def test_a_stream_that_nobody_has_gets_no_column() -> None:
    texts = _texts(contact_sheet([_entry(samples=_pictures()), _entry(samples=_pictures()[:0])]))
    assert "no reconstructions" not in texts
    assert "real" not in texts
    assert texts.count("samples") == 1


def test_checkpoints_without_any_picture_have_their_title() -> None:
    assert _texts(contact_sheet([_entry("step-7")])) == ["step-7"]


def test_only_whole_pairs_are_shown() -> None:
    originals = _pictures(4)
    dots = _dots(contact_sheet([_entry(originals=originals, reconstructions=_pictures(3, seed=9))]))
    assert [len(_places(dots, tile)) for tile in _tiles(originals)] == [1, 1, 1, 0]


def test_more_pictures_than_fit_are_left_out() -> None:
    pictures = _pictures(MAX_PICTURES + 1)
    dots = _dots(contact_sheet([_entry(samples=pictures)]))
    assert [len(_places(dots, tile)) for tile in _tiles(pictures)] == [1] * MAX_PICTURES + [0]


def test_more_checkpoints_than_fit_are_counted() -> None:
    texts = _texts(contact_sheet([_entry(f"step-{step}") for step in range(MAX_ENTRIES + 3)]))
    assert "and 3 more, not shown" in texts
    assert f"step-{MAX_ENTRIES - 1}" in texts
    assert f"step-{MAX_ENTRIES}" not in texts


def test_as_many_checkpoints_as_fit_can_be_drawn() -> None:
    entries = [_entry(originals=_pictures(1), reconstructions=_pictures(1)) for _ in range(MAX_ENTRIES)]
    assert contact_sheet(entries).bbox.height < 2**16


def test_texts_stay_on_the_sheet_and_long_titles_keep_both_ends() -> None:
    title = "runs/" + "a-long-name-" * 40 + "/step-300"
    figure = contact_sheet([_entry(title, samples=_pictures(1)), _full_entry()])
    for text in figure.texts:
        box = text.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width
    [shown] = [text for text in _texts(figure) if "…" in text]
    assert shown.startswith("runs/a-long-name-")
    assert shown.endswith("-name-/step-300")


def test_a_dollar_sign_is_no_formula() -> None:
    assert _dots(contact_sheet([_entry("$run_1$ and $\\broken")])).shape[2] == 3


def test_pyplot_is_not_imported() -> None:
    code = (
        "import sys, numpy as np; from vaeval_core.reports.contact_sheet import *; "
        "contact_sheet([PictureEntry(title='a', pictures={'samples': np.zeros((2, 8, 8, 1), np.uint8)})]); "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_checkpoint_is_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        contact_sheet([])
    assert caught.value.received == "no checkpoints"
    assert caught.value.expected == "at least one"


@pytest.mark.parametrize(
    ("pictures", "received"),
    [
        (np.zeros((2, 8, 8, 1), np.float32), "float32 of shape (2, 8, 8, 1)"),
        (np.zeros((2, 8, 8), np.uint8), "uint8 of shape (2, 8, 8)"),
        (np.zeros((2, 8, 8, 2), np.uint8), "uint8 of shape (2, 8, 8, 2)"),
    ],
)
def test_what_is_no_picture_is_refused(pictures: Uint8, received: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        contact_sheet([_entry("step-3", samples=pictures)])
    assert caught.value.what == "The samples of step-3 are no pictures."
    assert caught.value.received == received
    assert "uint8 of shape (k, h, w, 1)" in str(caught.value.expected)
