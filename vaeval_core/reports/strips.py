"""Rows of pictures that change step by step: interpolations between encoded images, and latent traversals.

    epoch-30     real   from one image to the other              real
       linear    ▢      ▢ ▢ ▢ ▢ ▢ ▢ ▢ ▢                          ▢
    spherical           ▢ ▢ ▢ ▢ ▢ ▢ ▢ ▢

    epoch-30            -1.96   -0.67    0.00    0.67    1.96
    z3 · 2.4 nats       ▢       ▢        ▢       ▢       ▢
    z7 · 1.9 nats       ▢       ▢        ▢       ▢       ▢

Laid out in whole dots, as the contact sheet is. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from vaeval_core.errors import InvalidInput
from vaeval_core.reports.sheet import GAP_COLOUR, INK, PAPER, QUIET, Sheet
from vaeval_core.reports.tiles import as_tiles, mosaic
from vaeval_core.types import Uint8

MAX_ENTRIES = 25
"""Checkpoints that are shown; the sheet says how many are not."""

MAX_ROWS = 12
"""Pairs, or dimensions, that are shown of a checkpoint."""

MAX_STEPS = 16
"""Pictures that are shown of a row; of a longer one, evenly chosen ones with both ends."""

# All lengths are dots.
_TILE = 72
_TILE_GAP = 4
_MARGIN = 44
_LABELS = 136
_SIDE_GAP = 20  # between real images and what is decoded
_GROUP_GAP = 16  # between two pairs
_HEADING = 28
_TITLE = 36
_BLOCK_GAP = 40
_MIN_WIDTH = 640


@dataclass(frozen=True, kw_only=True)
class InterpolationEntry:
    """What is shown of one checkpoint.

    Attributes:
        title: Its name, on one line; cut in the middle if it is too long.
        starts: The real images that paths start from, (p, h, w, c) uint8.
        ends: Those at which they end, (p, h, w, c) uint8.
        strips: Kind of path → its pictures, (p, T, h, w, c) uint8, both ends among them.
    """

    title: str
    starts: Uint8
    ends: Uint8
    strips: Mapping[str, Uint8]


@dataclass(frozen=True, kw_only=True)
class TraversalEntry:
    """What is shown of one checkpoint.

    Attributes:
        title: Its name, on one line; cut in the middle if it is too long.
        pictures: One row a dimension, (d, T, h, w, c) uint8.
        labels: What each row is, such as `z3 · 2.4 nats`.
        values: The value of the dimension in each column, (T,).
    """

    title: str
    pictures: Uint8
    labels: Sequence[str]
    values: ArrayLike


@dataclass(frozen=True)
class _Group:
    """Rows that belong together, with a real image left and right of them or without."""

    labels: tuple[str, ...]
    rows: Uint8  # (rows, T, h, w, 3) tiles
    sides: Uint8 | None = None  # (2, h, w, 3) tiles

    @property
    def height(self) -> int:
        return len(self.rows) * (int(self.rows.shape[2]) + _TILE_GAP) - _TILE_GAP


@dataclass(frozen=True)
class _Block:
    """One checkpoint, ready to be placed."""

    title: str
    headings: tuple[str, ...]  # one a column, or one for all
    groups: tuple[_Group, ...]

    @property
    def rows_left(self) -> int:
        sides = self.groups[0].sides
        return _MARGIN + _LABELS + (0 if sides is None else sides.shape[2] + _SIDE_GAP)

    @property
    def rows_right(self) -> int:
        _, steps, _, width, _ = self.groups[0].rows.shape
        return self.rows_left + int(steps) * (int(width) + _TILE_GAP) - _TILE_GAP

    @property
    def right(self) -> int:
        sides = self.groups[0].sides
        return self.rows_right + (0 if sides is None else _SIDE_GAP + sides.shape[2])

    @property
    def height(self) -> int:
        return _TITLE + _HEADING + sum(group.height + _GROUP_GAP for group in self.groups) - _GROUP_GAP


def interpolation_sheet(entries: Sequence[InterpolationEntry]) -> Figure:
    """Draw a block per checkpoint: for each pair a row per kind of path, between the two real images.

    Args:
        entries: At least one; those after the first `MAX_ENTRIES` are only counted.

    Returns:
        A figure with an Agg canvas; `savefig` as it is keeps each dot.

    Raises:
        InvalidInput: There is nothing to draw, or pictures do not have the shapes above.
    """
    return _draw(entries, [_interpolation_block(entry) for entry in entries[:MAX_ENTRIES]])


def traversal_sheet(entries: Sequence[TraversalEntry]) -> Figure:
    """Draw a block per checkpoint: a row for each latent dimension, a column for each of its values.

    Args:
        entries: At least one; those after the first `MAX_ENTRIES` are only counted.

    Returns:
        A figure with an Agg canvas; `savefig` as it is keeps each dot.

    Raises:
        InvalidInput: There is nothing to draw, or pictures, labels and values do not have the shapes above.
    """
    return _draw(entries, [_traversal_block(entry) for entry in entries[:MAX_ENTRIES]])


def _interpolation_block(entry: InterpolationEntry) -> _Block:
    shapes = {kind: strip.shape for kind, strip in entry.strips.items()}
    first = next(iter(shapes.values()), ())
    fits = all(shape == first for shape in shapes.values()) and len(first) == 5
    for pictures in (entry.starts, entry.ends, *entry.strips.values()):
        fits = fits and _are_pictures(pictures) and pictures.shape[-3:] == first[-3:] and len(pictures) == first[0]
    if not fits or entry.starts.ndim != 4 or entry.ends.ndim != 4:
        received = ", ".join(f"{kind} {shape}" for kind, shape in shapes.items()) or "no strips"
        raise InvalidInput(
            f"The interpolations of {entry.title} are no strips of pictures.",
            received=f"starts {entry.starts.shape}, ends {entry.ends.shape}, {received}",
            expected="uint8: starts and ends (p, h, w, c), each strip (p, T, h, w, c), c of 1 or 3",
        )
    steps = _shown_steps(first[1])
    groups = []
    for pair in range(min(first[0], MAX_ROWS)):
        rows = np.stack([as_tiles(strip[pair, steps], _TILE) for strip in entry.strips.values()])
        sides = as_tiles(np.stack([entry.starts[pair], entry.ends[pair]]), _TILE)
        groups.append(_Group(tuple(entry.strips), rows, sides))
    return _Block(entry.title, ("from one image to the other",), tuple(groups))


def _traversal_block(entry: TraversalEntry) -> _Block:
    pictures, values = entry.pictures, np.asarray(entry.values, dtype=np.float64)
    if not _are_pictures(pictures) or pictures.shape[:-3] != (len(entry.labels), *values.shape) or values.ndim != 1:
        raise InvalidInput(
            f"The traversals of {entry.title} are no grid of pictures.",
            received=f"{pictures.dtype} of shape {pictures.shape}, {len(entry.labels)} labels, values {values.shape}",
            expected="uint8 of shape (d, T, h, w, c), c of 1 or 3, d labels and T values",
        )
    steps = _shown_steps(len(values))
    shown = pictures[:MAX_ROWS, steps]
    tiles = as_tiles(shown.reshape(-1, *shown.shape[2:]), _TILE)
    rows = tiles.reshape(*shown.shape[:2], *tiles.shape[1:])
    # A value that rounds to zero has no sign.
    headings = tuple(f"{value:.2f}".replace("-0.00", "0.00") for value in values[steps])
    return _Block(entry.title, headings, (_Group(tuple(entry.labels[:MAX_ROWS]), rows),))


def _are_pictures(pictures: Uint8) -> bool:
    fits = pictures.dtype == np.uint8 and pictures.ndim >= 4 and 0 not in pictures.shape
    return fits and pictures.shape[-1] in {1, 3}


def _shown_steps(num_steps: int) -> list[int]:
    if num_steps <= MAX_STEPS:
        return list(range(num_steps))
    return [round(step) for step in np.linspace(0, num_steps - 1, MAX_STEPS)]


def _draw(entries: Sequence[InterpolationEntry] | Sequence[TraversalEntry], blocks: Sequence[_Block]) -> Figure:
    if not blocks:
        raise InvalidInput("There is nothing to draw.", received="no checkpoints", expected="at least one")
    width = max(_MIN_WIDTH, *(block.right + _MARGIN for block in blocks))
    num_left_out = len(entries) - len(blocks)
    height = 2 * _MARGIN + sum(block.height + _BLOCK_GAP for block in blocks) - (0 if num_left_out else _BLOCK_GAP)
    sheet = Sheet(width, height)
    top = _MARGIN
    for block in blocks:
        if block is not blocks[0]:
            sheet.rule(top - _BLOCK_GAP / 2, _MARGIN, width - _MARGIN)
        sheet.write(_MARGIN, top, block.title, colour=INK, weight="bold", size=10.5, room=width - 2 * _MARGIN)
        _place(sheet, block, top + _TITLE)
        top += block.height + _BLOCK_GAP
    if num_left_out:
        sheet.write(_MARGIN, top, f"and {num_left_out:,} more, not shown", colour=QUIET, style="italic")
    return sheet.figure


def _place(sheet: Sheet, block: _Block, top: int) -> None:
    left = block.rows_left
    column = block.groups[0].rows.shape[3] + _TILE_GAP
    if len(block.headings) == 1:
        sheet.write(left, top, block.headings[0], colour=QUIET)
    else:
        for number, heading in enumerate(block.headings):
            middle = left + number * column + (column - _TILE_GAP) / 2
            sheet.write(middle, top, heading, colour=QUIET, align="center")
    if block.groups[0].sides is not None:
        for side in (left - _SIDE_GAP - block.groups[0].sides.shape[2], block.rows_right + _SIDE_GAP):
            sheet.write(side, top, "real", colour=QUIET)
    top += _HEADING
    for group in block.groups:
        num_rows, steps, tile_height, tile_width, _ = group.rows.shape
        tiles = group.rows.reshape(-1, tile_height, tile_width, 3)
        grid = mosaic(tiles, rows=num_rows, columns=steps, gap=_TILE_GAP, gap_colour=GAP_COLOUR, paper=PAPER)
        sheet.place(grid, left, top)
        for row, label in enumerate(group.labels):
            middle = top + row * (tile_height + _TILE_GAP) + tile_height / 2
            sheet.write(_MARGIN + _LABELS - 14, middle, label, colour=QUIET, align="right", vertical="center")
        if group.sides is not None:
            side_top = top + (group.height - tile_height) // 2
            sheet.place(group.sides[0], left - _SIDE_GAP - tile_width, side_top)
            sheet.place(group.sides[1], block.rows_right + _SIDE_GAP, side_top)
        top += group.height + _GROUP_GAP
