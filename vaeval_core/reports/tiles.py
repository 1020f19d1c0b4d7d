"""Pictures as tiles of one array: enlarged a whole number of times, or reduced by averaging, and set side by side."""

from __future__ import annotations

import numpy as np

from vaeval_core.types import Uint8


def as_tiles(pictures: Uint8, wanted_side: int) -> Uint8:
    """Bring pictures near a size without blurring or unequal pixels.

    Args:
        pictures: (n, h, w, c) uint8, c of 1 or 3.
        wanted_side: Dots that the longer side should about have.

    Returns:
        (n, h', w', 3) uint8: h' / h and w' / w are one whole number, or one over it (rounded up).
    """
    small = reduced(pictures, wanted_side)
    colour = np.broadcast_to(small, (*small.shape[:3], 3))
    times = max(1, round(wanted_side / max(small.shape[1:3])))
    return np.repeat(np.repeat(colour, times, axis=1), times, axis=2)


def reduced(pictures: Uint8, wanted_side: int) -> Uint8:
    """Pictures (n, h, w, c) as small as `as_tiles` would make them; those that it would not reduce stay as they are."""
    reduction = round(max(pictures.shape[1:3]) / wanted_side)
    return _averaged(pictures, reduction) if reduction > 1 else pictures


def mosaic(
    tiles: Uint8, *, rows: int, columns: int, gap: int, gap_colour: tuple[int, int, int], paper: tuple[int, int, int]
) -> Uint8:
    """Set tiles side by side, row by row.

    Args:
        tiles: (n, h, w, 3) uint8, n ≤ rows · columns.
        rows: Rows of tiles.
        columns: Tiles in a row.
        gap: Dots between two tiles.
        gap_colour: Colour of the gaps to the right of and below a tile.
        paper: Colour of places without a tile.

    Returns:
        (rows · h + gaps, columns · w + gaps, 3) uint8.
    """
    height, width = tiles.shape[1:3]
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, 3)
    sheet = np.broadcast_to(np.array(paper, dtype=np.uint8), shape).copy()
    for place, tile in enumerate(tiles):
        row, column = divmod(place, columns)
        top, left = row * (height + gap), column * (width + gap)
        sheet[top : top + height + gap, left : left + width + gap] = gap_colour
        sheet[top : top + height, left : left + width] = tile
    return sheet


def _averaged(pictures: Uint8, size: int) -> Uint8:
    """Means over squares of `size` × `size` pixels; the last row and column are repeated to fill the last squares."""
    _, height, width, _ = pictures.shape
    padding = ((0, 0), (0, -height % size), (0, -width % size), (0, 0))
    padded = np.pad(pictures, padding, mode="edge").astype(np.float32)
    number, tall, wide, channels = padded.shape
    squares = padded.reshape(number, tall // size, size, wide // size, size, channels)
    means: Uint8 = np.rint(squares.mean(axis=(2, 4))).astype(np.uint8)
    return means
