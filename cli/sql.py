"""`vaeval sql`: questions to the database, over a connection that cannot write."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer

from cli import rendering
from cli.options import Json
from vaeval_core.errors import InvalidInput

MOST_ROWS = 1000
"""Rows to print unless told otherwise: more are for a program, which takes CSV."""


ALL_ROWS = 1_000_000_000


def sql(
    statement: Annotated[
        str, typer.Argument(metavar="SELECT", help="One statement that reads; `-` reads it from stdin.")
    ],
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help="Most rows to print. Default: 1000; with --csv all."),
    ] = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout.")] = False,
) -> None:
    """Ask the database in SQL.

    The views are `leaderboard` and `scores_long`. The connection cannot write, whatever the statement says. On a terminal
    that is too narrow for the table, each row is shown one field a line.

    \b
    Examples:
      vaeval sql "SELECT checkpoint, fid FROM leaderboard ORDER BY fid"
      vaeval sql --csv "SELECT * FROM scores_long" > scores.csv
    """
    from scheduler.settings import Settings
    from scheduler.store.read_only import ask

    if as_json and as_csv:
        raise InvalidInput(
            "--json and --csv exclude each other.",
            received="--json --csv",
            expected="one of the two",
            next_step="leave one of them out",
        )
    most = limit or (ALL_ROWS if as_csv else MOST_ROWS)
    text = typer.get_text_stream("stdin").read() if statement == "-" else statement
    answer = ask(Settings.from_environment().database_url, text, limit=most)
    if as_json:
        names = unique_names(answer.columns)
        rows = [dict(zip(names, map(_value, row), strict=True)) for row in answer.rows]
        rendering.document("sql", {"columns": names, "rows": rows, "is_cut": answer.is_cut})
    elif as_csv:
        rendering.data(rendering.as_csv(answer.columns, answer.rows))
    else:
        are_numbers = [
            any(row[i] is not None for row in answer.rows)
            and all(isinstance(row[i], int | float | None) for row in answer.rows)
            for i in range(len(answer.columns))
        ]
        columns = [
            rendering.Column(title=name, align="right" if is_number else "left", shrinkable=not is_number)
            for name, is_number in zip(answer.columns, are_numbers, strict=True)
        ]
        rendering.table(columns, [[_cell(value) for value in row] for row in answer.rows])
        if not answer.rows:
            rendering.note("No rows.")
    if answer.is_cut:
        rendering.note(f"There are more than {most:,} rows. Print more with --limit N.")


def unique_names(names: Sequence[str]) -> list[str]:
    """Column names as keys: a name that comes again gets its number, so that no column hides another.

    >>> unique_names(["id", "name", "id"])
    ['id', 'name', 'id_2']
    """
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return unique


def _value(value: object) -> object:
    """What JSON can carry: it has no NaN and no infinity."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict | list):  # what PostgreSQL gives for a JSON column; SQLite gives its text
        return json.dumps(value, ensure_ascii=False)
    return " ".join(str(value).split())
