"""How text and tables fit the width of a terminal. Pure: text in, text out; `rendering` prints it.

A table first shortens names in their middle, then leaves out its least important columns; one that does not fit even so
is turned on its side, one field a line. Prose is wrapped between words; a word, such as a URL, is never cut.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

MIN_NAME_WIDTH = 16
"""Below this a shortened name says nothing, so a column is left out instead."""

MIN_PROSE_WIDTH = 24
"""Below this a wrapped sentence is a column of single words."""

_GAP = "  "
_COMMAND = re.compile(r"`[^`]*`|\bvaeval \w+")
_KEPT_SPACE = "\0"
"""Stands for a space where a line must not end."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table.

    Attributes:
        title: Heading.
        align: Numbers right, words left.
        droppable: 0 stays always; the column with the highest number is left out first where space is short.
        shrinkable: Cells may be shortened in their middle where space is short.
        wraps: Cells are sentences, which go on in further lines where space is short. For the last column only.
    """

    title: str
    align: Literal["left", "right"] = "left"
    droppable: int = 0
    shrinkable: bool = False
    wraps: bool = False


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A table as text.

    Attributes:
        header: The headings; None where each row carries them.
        rows: A text per row, perhaps of several lines.
        hidden: Titles of the columns that were left out for want of space.
    """

    header: str | None
    rows: tuple[str, ...]
    hidden: tuple[str, ...]


def laid_out(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> Layout:
    """The table in lines of at most `width`, or each row on its side where that cannot be."""
    shown, widths = fitted(columns, rows, width)
    if sum(widths) + len(_GAP) * (len(widths) - 1) > width:
        if not rows:
            return Layout(header=joined([column.title for column in columns], _GAP, width), rows=(), hidden=())
        return Layout(header=None, rows=tuple(_on_its_side(columns, row, width) for row in rows), hidden=())
    placed = [columns[i] for i in shown]
    return Layout(
        header=_line([column.title for column in placed], placed, widths),
        rows=tuple(_line([row[i] for i in shown], placed, widths) for row in rows),
        hidden=tuple(column.title for i, column in enumerate(columns) if i not in shown),
    )


def fitted(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> tuple[list[int], list[int]]:
    """Which columns fit `width`, and how wide each becomes.

    Columns that may shrink or wrap do so down to `MIN_NAME_WIDTH` or `MIN_PROSE_WIDTH`; if that is not enough, droppable
    columns go, and come back where there is room for them. Where nothing helps, nothing is shortened in vain: the widths are
    then those of the whole cells.
    """
    natural = [max(len(cell) for cell in (column.title, *(row[i] for row in rows))) for i, column in enumerate(columns)]
    least = {
        i: max(MIN_NAME_WIDTH if column.shrinkable else MIN_PROSE_WIDTH, len(column.title))
        for i, column in enumerate(columns)
        if column.shrinkable or column.wraps
    }

    def excess_and_spare(shown: Sequence[int]) -> tuple[int, dict[int, int]]:
        excess = sum(natural[i] for i in shown) + len(_GAP) * (len(shown) - 1) - width
        return excess, {i: max(natural[i] - least[i], 0) for i in shown if i in least}

    def has_room(shown: Sequence[int]) -> bool:
        excess, spare = excess_and_spare(shown)
        return excess <= sum(spare.values())

    shown = list(range(len(columns)))
    dropped: list[int] = []
    while not has_room(shown) and (droppable := [i for i in shown if columns[i].droppable]):
        dropped.append(max(droppable, key=lambda i: columns[i].droppable))
        shown.remove(dropped[-1])
    # A wide column that had to go may leave room for a narrow one that went before it.
    for i in sorted(dropped, key=lambda i: columns[i].droppable):
        if has_room([*shown, i]):
            shown = sorted([*shown, i])
    excess, spare = excess_and_spare(shown)
    widths = dict(zip(shown, (natural[i] for i in shown), strict=True))
    while 0 < excess <= sum(spare.values()):
        widest = max((i for i in spare if spare[i]), key=lambda i: widths[i])
        widths[widest] -= 1
        spare[widest] -= 1
        excess -= 1
    return shown, [widths[i] for i in shown]


def shortened(text: str, width: int) -> str:
    """A text that fits: the middle goes, for names tend to differ at their ends.

    >>> shortened("runs/beta4/step-100", 12), shortened("short", 12)
    ('runs/…ep-100', 'short')
    """
    if len(text) <= width:
        return text
    tail = (width - 1 + 1) // 2
    return text[: width - 1 - tail] + "…" + text[len(text) - tail :]


def wrapped(text: str, width: int, indent: str = "") -> str:
    """Prose in lines of at most `width`, further ones after `indent`; commands in backticks are not broken.

    Lines that begin with a space are left as they are.

    >>> print(wrapped("Read the log, then type `vaeval doctor`.\\n  the log: it has long lines of its own", 28, "  "))
    Read the log, then type
      `vaeval doctor`.
      the log: it has long lines of its own
    """
    wrapper = textwrap.TextWrapper(
        max(width, MIN_PROSE_WIDTH), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    lines = []
    for line in text.split("\n"):
        if len(line) <= width or line.startswith(" "):
            lines.append(line)
        else:
            lines += wrapper.wrap(_COMMAND.sub(lambda command: command[0].replace(" ", _KEPT_SPACE), line))
    return "\n".join(lines).replace(_KEPT_SPACE, " ")


def labelled(label: str, text: str, width: int) -> str:
    """A label and prose after it, whose further lines begin below its first.

    >>> print(labelled("next: ", "start the broker, then try again", 28))
    next: start the broker, then
          try again
    """
    return label + wrapped(text, width - len(label)).replace("\n", "\n" + " " * len(label))


def joined(parts: Iterable[str], separator: str, width: int, indent: str = "  ") -> str:
    """Parts with a separator between them; where a line is full the next part begins another one, after `indent`.

    >>> print(joined(["quick", "digits:test", "seed 0"], " · ", 20))
    quick · digits:test
      seed 0
    >>> print(joined(["standard,samples=150,reference=200", "seed 0"], " · ", 24))
    standard,samples=150,
      reference=200 · seed 0
    """
    lines: list[str] = []
    for part in parts:
        # Too long for any line: it may break after a comma, as the name of a protocol with changes.
        pieces = [part] if len(indent) + len(part) <= width else re.split(r"(?<=,)", part)
        for number, piece in enumerate(pieces):
            between = separator if number == 0 else ""
            if lines and len(lines[-1]) + len(between) + len(piece) <= width:
                lines[-1] += between + piece
            else:
                lines.append((indent if lines else "") + piece)
    return "\n".join(lines)


def _line(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    """One row; if its last cell wraps, in several lines."""
    last = len(columns) - 1
    tail = wrapped(cells[last], widths[last]).split("\n") if columns[last].wraps else [cells[last]]
    placed = [_placed(cell, column, width) for cell, column, width in zip(cells, columns, widths, strict=True)][:last]
    before = " " * sum(width + len(_GAP) for width in widths[:last])
    first = _GAP.join([*placed, tail[0] if columns[last].wraps else _placed(tail[0], columns[last], widths[last])])
    return "\n".join([first.rstrip(), *(before + line for line in tail[1:])])


def _placed(cell: str, column: Column, width: int) -> str:
    text = shortened(cell, width)
    return text.rjust(width) if column.align == "right" else text.ljust(width)


def _on_its_side(columns: Sequence[Column], row: Sequence[str], width: int) -> str:
    """A row as one field a line."""
    label_width = max(len(column.title) for column in columns)
    fields = zip(columns, row, strict=True)
    return "\n".join(labelled(f"{column.title:<{label_width}}{_GAP}", cell, width).rstrip() for column, cell in fields)
