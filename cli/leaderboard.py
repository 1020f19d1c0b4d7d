"""`vaeval leaderboard`: finished evaluations, ranked within each protocol."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

from cli import rendering
from cli.board_columns import USUAL, columns_named, with_scores
from cli.boards import Row, as_csv, as_markdown, by_fingerprint, print_tables, standings_of_boards, tied_with_the_best
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
        str | None,
        typer.Option("--protocol", metavar="NAME", help="Only protocols of this name, such as quick. Default: all."),
    ] = None,
    fingerprint: Annotated[
        str | None,
        typer.Option(
            "--fingerprint",
            metavar="PREFIX",
            help="Only the protocol whose fingerprint begins so; 6 characters or more.",
        ),
    ] = None,
    top: Annotated[
        int | None, typer.Option("--top", metavar="N", min=1, help="Only the best N of each protocol. Default: all.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns",
            metavar="NAMES",
            help="Scores to show, such as fid,kid,precision. Default: fid,rfid,mse,psnr,cross_entropy,kl.",
        ),
    ] = None,
    output: Annotated[
        Format | None,
        typer.Option("--format", metavar="FORMAT", help="table, csv, markdown or json.  [default: table]"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Rank finished evaluations.

    One table per protocol: only like is compared with like. Rows that are tied with the best share the rank =1.

    \b
    Examples:
      vaeval leaderboard
      vaeval leaderboard --protocol standard --top 10 --format markdown
      vaeval leaderboard --columns fid,kid,precision,recall
      vaeval leaderboard --json | jq '.rows[0]'
    """
    from scheduler.composition import open_application
    from scheduler.settings import Settings

    if as_json and output not in {None, Format.JSON}:
        raise InvalidInput(
            "--json and --format exclude each other.",
            received=f"--json --format {output}",
            expected="one of the two",
            next_step="vaeval leaderboard --json",
        )
    scores = USUAL if columns is None else columns_named(columns)
    with open_application(Settings.from_environment()) as application:
        reads = application.reads
        rows = reads.leaderboard(fingerprint=fingerprint)
        chosen = choose(rows, protocol=protocol, top=top)
        if columns is not None:
            chosen = with_scores(chosen, reads, scores)
        if fingerprint is not None and not rows:
            raise NotFound(
                "No finished evaluation has this fingerprint.",
                received=fingerprint,
                expected="the first characters of a fingerprint with finished evaluations",
                next_step="vaeval leaderboard shows them all",
            )
        # Of all rows, not of those that are shown: how many there are to be told apart is a part of the answer.
        standings = standings_of_boards(rows, reads, application.artifacts) if output is not Format.CSV else {}
        tied = tied_with_the_best(rows, standings) if standings else set()
        if as_json or output is Format.JSON:
            shown = {str(row["evaluation"]): standings[row["evaluation"]] for row in chosen}
            rendering.document("leaderboard", {"rows": [dict(row) for row in chosen], "standings": shown})
        elif not chosen:
            rendering.note("No evaluation is finished yet. Next: vaeval status, or vaeval demo to see one")
        elif output is Format.CSV:
            rendering.data(as_csv(chosen))
        elif output is Format.MARKDOWN:
            rendering.data(as_markdown(chosen, tied=tied, scores=scores))
        else:
            print_tables(reads, chosen, tied=tied, scores=scores)


def choose(rows: Sequence[Row], *, protocol: str | None, top: int | None) -> Sequence[Row]:
    """The rows asked for.

    Raises:
        NotFound: There are finished evaluations, but none of this protocol.
    """
    named = [row for row in rows if protocol is None or _is_of(row["protocol"], protocol)]
    if rows and not named:
        known = ", ".join(dict.fromkeys(str(row["protocol"]) for row in rows))
        raise NotFound(
            "No finished evaluation has a protocol of this name.",
            received=protocol,
            expected=f"one of {known}",
            next_step="vaeval leaderboard shows them all",
        )
    return [row for board in by_fingerprint(named) for row in board[:top]]


def _is_of(name: str, wanted: str) -> bool:
    """Whether a protocol has the name, as it is or with the changes that options put behind it: `quick,samples=2000`."""
    return name == wanted or name.startswith(f"{wanted},")
