"""Pictures of two checkpoints side by side for people to judge, without a word about which is which.

1            2            3            4
▢ ▢          ▢ ▢          ▢ ▢          ▢ ▢          each left and right of two; of reconstructions the real one between
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vaeval_core.errors import InvalidInput
from vaeval_core.reports.sheet import GAP_COLOUR, INK, PAPER, QUIET, Sheet
from vaeval_core.reports.tiles import as_tiles, mosaic
from vaeval_core.types import Uint8

# All lengths are dots.
_TILE = 112
_TILE_GAP = 4
_MARGIN = 44
_HEADING = 40
_NUMBER = 24
_PAIR_GAP = 40
_PAIRS_IN_A_ROW = 4


def blind_sheet(
    first: Uint8, second: Uint8, first_is_left: NDArray[np.bool_], *, question: str, real: Uint8 | None = None
) -> Figure:
    """Draw pairs with their numbers.

    Args:
        first: Pictures of one of the two, (n, h, w, c) uint8.
        second: Of the other, in the same order.
        first_is_left: Whether the first stands on the left, (n,).
        question: What is asked, above all pairs.
        real: What both should look like, to stand between them; None where nothing should.

    Raises:
        InvalidInput: There are no pictures, or not as many of both.
    """
    given = [first, second] if real is None else [first, real, second]
    if not len(first) or any(pictures.shape != first.shape for pictures in given) or len(first_is_left) != len(first):
        raise InvalidInput(
            "These pictures make no pairs.",
            received=f"shapes {', '.join(str(pictures.shape) for pictures in given)}, {len(first_is_left)} sides",
            expected="pictures (n, h, w, c) of one shape, n ≥ 1, and n sides",
        )
    tiles = [as_tiles(pictures, _TILE) for pictures in given]
    drawn = [_side_by_side([of[number] for of in tiles], bool(left)) for number, left in enumerate(first_is_left)]
    height, width = drawn[0].shape[:2]
    rows = -(-len(drawn) // _PAIRS_IN_A_ROW)
    across = min(len(drawn), _PAIRS_IN_A_ROW)
    sheet = Sheet(
        max(2 * _MARGIN + across * (width + _PAIR_GAP) - _PAIR_GAP, 640),
        2 * _MARGIN + _HEADING + rows * (_NUMBER + height + _PAIR_GAP) - _PAIR_GAP,
    )
    sheet.write(_MARGIN, _MARGIN, question, colour=INK, weight="bold", size=10.5)
    for number, pair in enumerate(drawn):
        row, column = divmod(number, _PAIRS_IN_A_ROW)
        left = _MARGIN + column * (width + _PAIR_GAP)
        top = _MARGIN + _HEADING + row * (_NUMBER + height + _PAIR_GAP)
        sheet.write(left, top, f"{number + 1}", colour=QUIET)
        sheet.place(pair, left, top + _NUMBER)
    return sheet.figure


def _side_by_side(tiles: Sequence[Uint8], as_they_are: bool) -> Uint8:
    shown = np.stack(tiles if as_they_are else tiles[::-1])
    return mosaic(shown, rows=1, columns=len(tiles), gap=_TILE_GAP, gap_colour=GAP_COLOUR, paper=PAPER)
