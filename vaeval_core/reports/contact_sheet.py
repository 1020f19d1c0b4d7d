"""One look at many checkpoints: a block each, with real images above their reconstructions, and samples beside them.

                      real images, each above …       samples
    step-10
               real   ▢ ▢ ▢ ▢ ▢ ▢ ▢ ▢                 ▢ ▢ ▢ ▢
    reconstructions   ▢ ▢ ▢ ▢ ▢ ▢ ▢ ▢                 ▢ ▢ ▢ ▢

Everything is laid out in whole dots of the figure, so each pixel of a small image is a square of the same size. Nothing
is written and no global state of matplotlib is touched: sheets can be made in threads and notebooks alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from vaeval_core.errors import InvalidInput
from vaeval_core.reports.sheet import GAP_COLOUR, INK, PAPER, QUIET, Sheet
from vaeval_core.reports.tiles import as_tiles, mosaic
from vaeval_core.types import Uint8

MAX_PICTURES = 12
"""Pictures of each kind that are shown of a checkpoint; more would be too small to compare."""

MAX_ENTRIES = 100
"""Checkpoints that are shown; the sheet says how many are not. Agg draws no figure taller than 65,535 dots."""

# All lengths are dots.
_TILE = 72
_TILE_GAP = 4
_MARGIN = 44
_LABELS = 136  # width of the column that says «real» and «reconstructions»
_PANEL_GAP = 44
_HEADING = 44
_TITLE = 36
_BLOCK_GAP = 32
_MIN_WIDTH = 640


@dataclass(frozen=True, kw_only=True)
class PictureEntry:
    """What is shown of one checkpoint.

    Attributes:
        title: Its name, on one line; cut in the middle if it is too long.
        pictures: (k, h, w, c) uint8 under `originals`, `reconstructions`, `samples`; each may be missing or empty.
    """

    title: str
    pictures: Mapping[str, Uint8]


@dataclass(frozen=True)
class _Block:
    """An entry, ready to be placed: its panels and the labels of the rows of the left one."""

    title: str
    compared: Uint8 | None
    row_labels: tuple[str, ...]
    samples: Uint8 | None

    @property
    def height(self) -> int:
        panels = [panel.shape[0] for panel in (self.compared, self.samples) if panel is not None]
        return _TITLE + max(panels, default=_TILE // 2)


def contact_sheet(entries: Sequence[PictureEntry]) -> Figure:
    """Draw a block per checkpoint, in the order given.

    Args:
        entries: At least one; those after the first `MAX_ENTRIES` are only counted.

    Returns:
        A figure with an Agg canvas; `savefig` as it is keeps each dot.

    Raises:
        InvalidInput: There is no entry, or pictures are not (k, h, w, 1 or 3) uint8.
    """
    if not entries:
        raise InvalidInput("There is nothing to draw.", received="no checkpoints", expected="at least one")
    return _draw([_block(entry) for entry in entries[:MAX_ENTRIES]], num_left_out=max(0, len(entries) - MAX_ENTRIES))


def _block(entry: PictureEntry) -> _Block:
    kinds = {kind: _tiles(entry, kind) for kind in ("originals", "reconstructions", "samples")}
    rows = {"real": kinds["originals"], "reconstructions": kinds["reconstructions"]}
    shown = {label: tiles for label, tiles in rows.items() if tiles is not None}
    # Only whole pairs are shown, so that what stands below an image is its own reconstruction.
    num_pairs = min((len(tiles) for tiles in shown.values()), default=0)
    pairs = [tiles[:num_pairs] for tiles in shown.values()]
    samples = kinds["samples"]
    return _Block(
        title=entry.title,
        compared=_grid(np.concatenate(pairs), rows=len(pairs)) if pairs else None,
        row_labels=tuple(shown),
        samples=_grid(samples, rows=min(2, len(samples))) if samples is not None else None,
    )


def _tiles(entry: PictureEntry, kind: str) -> Uint8 | None:
    pictures = entry.pictures.get(kind)
    if pictures is None or len(pictures) == 0:
        return None
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] not in {1, 3} or 0 in pictures.shape:
        raise InvalidInput(
            f"The {kind} of {entry.title} are no pictures.",
            received=f"{pictures.dtype} of shape {pictures.shape}",
            expected="uint8 of shape (k, h, w, 1) or (k, h, w, 3)",
        )
    return as_tiles(pictures[:MAX_PICTURES], _TILE)


def _grid(tiles: Uint8, *, rows: int) -> Uint8:
    return mosaic(tiles, rows=rows, columns=-(-len(tiles) // rows), gap=_TILE_GAP, gap_colour=GAP_COLOUR, paper=PAPER)


def _draw(blocks: Sequence[_Block], *, num_left_out: int) -> Figure:
    compared_width = max((block.compared.shape[1] for block in blocks if block.compared is not None), default=0)
    samples_width = max((block.samples.shape[1] for block in blocks if block.samples is not None), default=0)
    compared_left = _MARGIN + _LABELS
    samples_left = compared_left + compared_width + _PANEL_GAP if compared_width else _MARGIN
    right = samples_left + samples_width if samples_width else compared_left + compared_width
    width = max(_MIN_WIDTH, right + _MARGIN)
    height = _MARGIN + _HEADING + sum(block.height + _BLOCK_GAP for block in blocks)
    height += _MARGIN if num_left_out else _MARGIN - _BLOCK_GAP
    sheet = Sheet(width, height)

    top = _MARGIN
    if compared_width:
        sheet.write(compared_left, top, "real images, each above its reconstruction", colour=QUIET)
    if samples_width:
        sheet.write(samples_left, top, "samples", colour=QUIET)
    top += _HEADING
    for block in blocks:
        sheet.rule(top - _BLOCK_GAP // 2, _MARGIN, width - _MARGIN)
        sheet.write(_MARGIN, top, block.title, colour=INK, weight="bold", size=10.5, room=width - 2 * _MARGIN)
        panels_top = top + _TITLE
        if block.compared is not None:
            sheet.place(block.compared, compared_left, panels_top)
            row_height = (block.compared.shape[0] + _TILE_GAP) / len(block.row_labels)
            for row, label in enumerate(block.row_labels):
                middle = panels_top + row * row_height + (row_height - _TILE_GAP) / 2
                sheet.write(compared_left - 14, middle, label, colour=QUIET, align="right", vertical="center")
        elif compared_width:
            sheet.write(compared_left, panels_top, "no reconstructions", colour=QUIET, style="italic")
        if block.samples is not None:
            sheet.place(block.samples, samples_left, panels_top)
        elif samples_width:
            sheet.write(samples_left, panels_top, "no samples", colour=QUIET, style="italic")
        top += block.height + _BLOCK_GAP
    if num_left_out:
        sheet.write(_MARGIN, top, f"and {num_left_out:,} more, not shown", colour=QUIET, style="italic")
    return sheet.figure
