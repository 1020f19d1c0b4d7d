"""Blind sheets: who stands where, and that nothing on the paper tells."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import ndimage

from vaeval_core.errors import InvalidInput
from vaeval_core.reports.blind_pairs import blind_sheet

pytestmark = pytest.mark.slow

SIDES = np.array([True, False, False, True, True, False])
BLACK, RED = np.zeros((6, 8, 8, 3), np.uint8), np.zeros((6, 8, 8, 3), np.uint8) + np.array([200, 0, 0], np.uint8)
BLUE = np.zeros((6, 8, 8, 3), np.uint8) + np.array([0, 0, 200], np.uint8)


def dots(figure: Figure) -> np.ndarray:
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def places(image: np.ndarray, colour: tuple[int, int, int]) -> list[tuple[int, int]]:
    """Top left corners of the squares of one colour, as (row, column) of the paper, in reading order."""
    areas = ndimage.find_objects(ndimage.label((image == np.array(colour)).all(axis=2))[0])
    return sorted((rows.start, columns.start) for rows, columns in areas)


def test_each_stands_where_the_sides_say() -> None:
    image = dots(blind_sheet(RED, BLUE, SIDES, question="Which one?"))
    red, blue = (places(image, colour) for colour in ((200, 0, 0), (0, 0, 200)))
    assert len(red) == len(blue) == 6
    assert [one < other for one, other in zip(red, blue, strict=True)] == SIDES.tolist()


def test_the_real_image_stands_between() -> None:
    image = dots(blind_sheet(RED, BLUE, SIDES, question="Which one?", real=BLACK))
    red, black, blue = (places(image, colour) for colour in ((200, 0, 0), (0, 0, 0), (0, 0, 200)))
    assert len(red) == len(black) == len(blue) == 6
    assert all(min(r, b) < middle < max(r, b) for r, middle, b in zip(red, black, blue, strict=True))


def test_the_paper_says_numbers_and_the_question_only() -> None:
    figure = blind_sheet(RED, BLUE, SIDES, question="Which one?")
    assert [text.get_text() for text in figure.texts] == ["Which one?", "1", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize(("second", "sides"), [(BLUE[:5], SIDES), (BLUE, SIDES[:5]), (BLUE[:, :4], SIDES)])
def test_what_makes_no_pairs_is_refused(second: np.ndarray, sides: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match=r"make no pairs.*shapes \(6, 8, 8, 3\).*of one shape"):
        blind_sheet(RED, second, sides, question="Which one?")
