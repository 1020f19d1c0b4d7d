"""The one place that prints.

Data goes to stdout: tables, pictures' paths, JSON. Everything about the data goes to stderr: notes, progress, errors. So
`vaeval leaderboard --json | jq` works while a person still reads what happened.

Colour and bold only where a person looks: a terminal that is not dumb, and no NO_COLOR. On a terminal prose is wrapped
and a table fits its width (`layout` says how); in a pipe lines are whole.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from itertools import groupby
from pathlib import PurePath
from typing import IO, TYPE_CHECKING, Any

from cli.layout import Column as Column
from cli.layout import joined, labelled, laid_out, wrapped
from vaeval_core.errors import VaevalError

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 1_000_000
"""A pipe has no width."""


def data(text: str) -> None:
    """Lines for stdout."""
    print(text)


def prose(text: str) -> None:
    """Sentences for stdout, wrapped on a terminal."""
    terminal = console(sys.stdout)
    terminal.print(wrapped(text, terminal.width, "  "), **_RAW)


def fact(label: str, text: str) -> None:
    """A label and what belongs to it, on stdout; on a terminal wrapped beside the label."""
    terminal = console(sys.stdout)
    terminal.print(labelled(label, text, terminal.width), **_RAW)


def list_of(parts: Iterable[str], separator: str) -> None:
    """Parts on stdout, set in a little; on a terminal in as many lines as they need, and none is broken."""
    terminal = console(sys.stdout)
    terminal.print("  " + joined(parts, separator, terminal.width - 2), **_RAW)


def note(text: str) -> None:
    """A sentence for stderr, wrapped on a terminal; lines that begin with a space are left alone."""
    terminal = console(sys.stderr)
    terminal.print(wrapped(text, terminal.width, "  "), style="dim", **_RAW)


def heading(parts: Iterable[str]) -> None:
    """A title on stdout, bold on a terminal: its parts with a dot between them, in as many lines as they need."""
    terminal = console(sys.stdout)
    terminal.print(joined(parts, " · ", terminal.width), style="bold", **_RAW)


def document(command: str, content: Mapping[str, Any]) -> None:
    """A JSON document on stdout, its schema first."""
    print(json.dumps(_envelope(command, content), indent=2, ensure_ascii=False, allow_nan=False, default=plain))


def document_line(command: str, content: Mapping[str, Any]) -> None:
    """A JSON document on one line of stdout, sent at once: for JSON Lines."""
    print(json.dumps(_envelope(command, content), ensure_ascii=False, allow_nan=False, default=plain), flush=True)


def _envelope(command: str, content: Mapping[str, Any]) -> dict[str, Any]:
    return {"schema": f"vaeval.{command}/1", **content}


def as_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """CSV with full precision, without the last line's end; what CSV has no form for is written as in JSON."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_csv_cell(value) for value in row] for row in rows)
    return lines.getvalue().rstrip("\n")


def _csv_cell(value: object) -> object:
    if value is None or isinstance(value, str | int | float):
        return value
    text = json.dumps(value, ensure_ascii=False, default=plain)
    written = json.loads(text)
    return written if isinstance(written, str) else text


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
    first, *further = (labelled(label, text, terminal.width) for label, text in failure.labelled_parts())
    terminal.print(first, style="bold red", **_RAW)
    for lines in further:
        terminal.print(lines, **_RAW)


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, marked: Sequence[int] = ()) -> tuple[str, ...]:
    """A table on stdout; on a terminal that is too narrow for it, its rows one field a line.

    Args:
        columns: The columns, the first one for the eye to hold on to.
        rows: Cells as text, one per column.
        marked: Numbers of the rows to show bold.

    Returns:
        Titles of the columns that were left out for want of space.
    """
    terminal = console(sys.stdout)
    layout = laid_out(columns, rows, terminal.width)
    if layout.header is not None:
        terminal.print(layout.header, style="bold", **_RAW)
    gap = "\n" if layout.header is not None else "\n\n"
    # As many as look alike at once: one by one, a thousand rows take longer than to submit them.
    for is_marked, alike in groupby(range(len(layout.rows)), key=set(marked).__contains__):
        first, *others = alike
        if layout.header is None and first:
            terminal.print()
        text = gap.join(layout.rows[number] for number in (first, *others))
        terminal.print(text, style="bold green" if is_marked else None, **_RAW)
    return layout.hidden


_RAW: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}


def is_for_people(stream: IO[str]) -> bool:
    """True if the stream is a terminal that moves its cursor; there progress may redraw."""
    return stream.isatty() and os.environ.get("TERM", "") not in {"", "dumb"}


def console(stream: IO[str]) -> Console:
    """A rich console on the stream, coloured only where that is wanted. Rich itself honours TERM."""
    from rich.console import Console

    if is_for_people(stream):
        # Rich alone would keep bold under NO_COLOR, which asks for no escape codes that change how text looks.
        return Console(file=stream, soft_wrap=True, color_system=None if os.environ.get("NO_COLOR") else "auto")
    width = _terminal_width() if stream.isatty() else PIPE_WIDTH
    return Console(file=stream, width=width, color_system=None, force_terminal=False, legacy_windows=False)


def _terminal_width() -> int:
    return shutil.get_terminal_size().columns  # honours COLUMNS; 80 where nothing is known
