"""`vaeval leaderboard`: finished evaluations, ranked within each protocol."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

from cli import rendering
from cli.boards import Row, as_csv, as_markdown, by_fingerprint, print_tables
from cli.options import Json
from vaeval_core.errors import InvalidInput, NotFound


class Format(StrEnum):
    """How to print."""

    TABLE = "table"
    CSV = "csv"
    MARKDOWN = "markdown"
    JSON = "json"


def leaderboard(
    protocol: Annotated[
        str | None, typer.Option("--protocol", metavar="NAME", help="Only protocols of this name.")
    ] = None,
    fingerprint: Annotated[
        str | None, typer.Option("--fingerprint", metavar="PREFIX", help="Only this protocol; 6 characters or more.")
    ] = None,
    top: Annotated[
        int | None, typer.Option("--top", metavar="N", min=1, help="Only the best N of each protocol.")
    ] = None,
    output: Annotated[Format | None, typer.Option("--format", help="How to print.  [default: table]")] = None,
    as_json: Json = False,
) -> None:
    """Rank finished evaluations.

    One table per protocol: only like is compared with like.

    \b
    Examples:
      vaeval leaderboard
      vaeval leaderboard --protocol standard --top 10 --format markdown
      vaeval leaderboard --json | jq '.rows[0]'
    """
    from scheduler.composition import open_application
    from scheduler.settings import Settings

    if as_json and output not in {None, Format.JSON}:
        raise InvalidInput(
            "--json and --format exclude each other.", received=f"--json --format {output}", expected="one of the two"
        )
    with open_application(Settings.from_environment()) as application:
        reads = application.reads
        rows = reads.leaderboard(fingerprint=fingerprint) if top is None else reads.best(top, fingerprint=fingerprint)
        chosen = choose(rows, protocol=protocol, top=top)
        if fingerprint is not None and not rows:
            raise NotFound(
                "No finished evaluation has this fingerprint.",
                received=fingerprint,
                expected="the first characters of a fingerprint with finished evaluations",
                next_step="vaeval leaderboard shows them all",
            )
        if as_json or output is Format.JSON:
            rendering.document("leaderboard", {"rows": [dict(row) for row in chosen]})
        elif not chosen:
            rendering.note("No evaluation is finished yet. Next: vaeval status, or vaeval demo to see one")
        elif output is Format.CSV:
            rendering.data(as_csv(chosen))
        elif output is Format.MARKDOWN:
            rendering.data(as_markdown(chosen))
        else:
            print_tables(reads, chosen)


def choose(rows: Sequence[Row], *, protocol: str | None, top: int | None) -> list[Row]:
    """The rows asked for.

    Raises:
        NotFound: There are finished evaluations, but none of this protocol.
    """
    named = [row for row in rows if protocol in {None, row["protocol"]}]
    if rows and not named:
        known = ", ".join(dict.fromkeys(str(row["protocol"]) for row in rows))
        raise NotFound(
            "No finished evaluation has a protocol of this name.",
            received=protocol,
            expected=f"one of {known}",
            next_step="vaeval leaderboard shows them all",
        )
    return [row for board in by_fingerprint(named) for row in board[:top]]
