"""The one place that prints.

Data goes to stdout: tables, pictures' paths, JSON. Everything about the data goes to stderr: notes, progress, errors. So
`vaeval leaderboard --json | jq` works while a person still reads what happened.

Colour only where a person looks: a terminal that is not dumb, and no NO_COLOR. A table on a terminal fits its width by
leaving out its least important columns and shortening names in their middle; a table in a pipe is whole.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import IO, TYPE_CHECKING, Any, Literal

from vaeval_core.errors import VaevalError

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 1_000_000
"""A pipe has no width."""

MIN_NAME_WIDTH = 16
"""Below this a shortened name says nothing, so a column is left out instead."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table.

    Attributes:
        title: Heading.
        align: Numbers right, words left.
        droppable: 0 stays always; the column with the highest number is left out first where space is short.
        shrinkable: Cells may be shortened in their middle where space is short.
    """

    title: str
    align: Literal["left", "right"] = "left"
    droppable: int = 0
    shrinkable: bool = False


def data(text: str) -> None:
    """Lines for stdout."""
    print(text)


def note(text: str) -> None:
    """A sentence for stderr."""
    console(sys.stderr).print(text, style="dim", markup=False, highlight=False, soft_wrap=True)


def heading(text: str) -> None:
    """A title on stdout, bold on a terminal."""
    console(sys.stdout).print(text, style="bold", markup=False, highlight=False, soft_wrap=True)


def document(command: str, content: Mapping[str, Any]) -> None:
    """A JSON document on stdout, its schema first."""
    print(json.dumps(_envelope(command, content), indent=2, ensure_ascii=False, allow_nan=False, default=plain))


def document_line(command: str, content: Mapping[str, Any]) -> None:
    """A JSON document on one line of stdout, sent at once: for JSON Lines."""
    print(json.dumps(_envelope(command, content), ensure_ascii=False, allow_nan=False, default=plain), flush=True)


def _envelope(command: str, content: Mapping[str, Any]) -> dict[str, Any]:
    return {"schema": f"vaeval.{command}/1", **content}


def plain(value: object) -> object:
    """JSON for what JSON does not know; the `default` of json.dumps.

    Raises:
        TypeError: Nothing says how to write the value.
    """
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"JSON has no form for {type(value).__name__}: {value!r}")


def error(failure: VaevalError, exit_code: int, *, as_json: bool) -> None:
    """The parts of an error one a line on stderr; with `as_json` also as a document on stdout."""
    if as_json:
        parts = {"type": type(failure).__name__, **failure.parts()}
        document("error", {"error": parts, "exit_code": int(exit_code)})
    terminal = console(sys.stderr)
    parts = failure.parts()
    terminal.print(f"error: {parts.pop('what')}", style="bold red", markup=False, highlight=False, soft_wrap=True)
    for label, text in parts.items():
        terminal.print(f"  {label + ':':<10} {text}", markup=False, highlight=False, soft_wrap=True)


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, marked: Sequence[int] = ()) -> tuple[str, ...]:
    """A table on stdout.

    Args:
        columns: The columns, the first one for the eye to hold on to.
        rows: Cells as text, one per column.
        marked: Numbers of the rows to show bold.

    Returns:
        Titles of the columns that were left out for want of space.
    """
    terminal = console(sys.stdout)
    shown, widths = fitted(columns, rows, terminal.width)
    terminal.print(_line([columns[i].title for i in shown], [columns[i] for i in shown], widths), style="bold", **_RAW)
    for number, row in enumerate(rows):
        line = _line([row[i] for i in shown], [columns[i] for i in shown], widths)
        terminal.print(line, style="bold green" if number in marked else None, **_RAW)
    return tuple(column.title for i, column in enumerate(columns) if i not in shown)


_RAW: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}
_GAP = "  "


def fitted(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> tuple[list[int], list[int]]:
    """Which columns fit `width`, and how wide each becomes. Pure.

    Columns that may shrink do so down to `MIN_NAME_WIDTH`; if that is not enough, droppable columns go. What may do neither
    stays, and where the line then is too long all the same, nothing is shortened in vain: it wraps, whole.
    """
    natural = [max(len(cell) for cell in (column.title, *(row[i] for row in rows))) for i, column in enumerate(columns)]
    shown = list(range(len(columns)))
    while True:
        excess = sum(natural[i] for i in shown) + len(_GAP) * (len(shown) - 1) - width
        spare = {
            i: max(natural[i] - max(MIN_NAME_WIDTH, len(columns[i].title)), 0) for i in shown if columns[i].shrinkable
        }
        droppable = [i for i in shown if columns[i].droppable]
        if excess <= sum(spare.values()) or not droppable:
            break
        shown.remove(max(droppable, key=lambda i: columns[i].droppable))
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


def _line(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    placed = [
        shortened(cell, width).rjust(width) if column.align == "right" else shortened(cell, width).ljust(width)
        for cell, column, width in zip(cells, columns, widths, strict=True)
    ]
    return _GAP.join(placed).rstrip()


def is_for_people(stream: IO[str]) -> bool:
    """True if the stream is a terminal that moves its cursor; there progress may redraw."""
    return stream.isatty() and os.environ.get("TERM", "") not in {"", "dumb"}


def console(stream: IO[str]) -> Console:
    """A rich console on the stream, coloured only where that is wanted. Rich itself honours NO_COLOR and TERM."""
    from rich.console import Console

    if is_for_people(stream):
        return Console(file=stream, soft_wrap=True)
    width = _terminal_width() if stream.isatty() else PIPE_WIDTH
    return Console(file=stream, width=width, color_system=None, force_terminal=False, legacy_windows=False)


def _terminal_width() -> int:
    return shutil.get_terminal_size().columns  # honours COLUMNS; 80 where nothing is known
