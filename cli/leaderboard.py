"""`vaeval leaderboard`: finished evaluations, ranked within each protocol."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

from cli import rendering
from cli.board_columns import USUAL, ScoreColumn, columns_named, with_scores
from cli.boards import as_csv, as_markdown, by_fingerprint, markdown_table, print_tables
from cli.number_formats import count
from cli.options import Json
from cli.seed_boards import (
    SeedBoard,
    alike_but_for_seed,
    cells_of,
    evaluation_seed_boards,
    print_seed_boards,
    training_seed_boards,
)
from cli.ties import Row, Ties, ties_among
from cli.withheld_errors import with_reasons, withheld_errors
from vaeval_core.errors import InvalidInput, NotFound


class Format(StrEnum):
    """How to print."""

    TABLE = "table"
    CSV = "csv"
    MARKDOWN = "markdown"
    JSON = "json"


MOST_SHOWN = 100
"""Rows of each table for people, unless more are asked for."""


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
        int | None,
        typer.Option(
            "--top",
            metavar="N",
            min=1,
            help="Only the best N of each protocol. Default: 100 in tables, all in csv and json.",
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns",
            metavar="NAMES",
            help="Scores to show, such as fid,kid,precision. Default: fid,rfid,mse,psnr,cross_entropy,kl.",
        ),
    ] = None,
    training_seeds: Annotated[
        str | None,
        typer.Option(
            "--training-seeds",
            metavar="TAG",
            help="Instead: means over trainings whose tags differ in this one only, such as seed. Default: each by itself.",
        ),
    ] = None,
    output: Annotated[
        Format | None,
        typer.Option("--format", metavar="FORMAT", help="table, csv, markdown or json.  [default: table]"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Rank finished evaluations.

    One table per protocol: only like is compared with like. Rows that are tied with the best share the rank =1. A noise
    floor, real images that are scored as if they were samples, stands at the end and has no rank. Where a
    checkpoint was evaluated under several seeds, a table of means with standard deviations follows.

    \b
    Examples:
      vaeval leaderboard
      vaeval leaderboard --protocol standard --top 10 --format markdown
      vaeval leaderboard --columns fid,kid,precision,recall
      vaeval leaderboard --training-seeds seed
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
    output = Format.JSON if as_json else output or Format.TABLE
    if training_seeds is not None and output is Format.CSV:
        raise InvalidInput(
            "Means over training seeds are not written as CSV.",
            received=f"--training-seeds {training_seeds} --format csv",
            expected="table, markdown or json",
            next_step=f"vaeval leaderboard --training-seeds {training_seeds} --json",
        )
    scores = USUAL if columns is None else columns_named(columns)
    shown = MOST_SHOWN if top is None and output in {Format.TABLE, Format.MARKDOWN} else top
    with open_application(Settings.from_environment()) as application:
        reads = application.reads
        rows = (
            reads.leaderboard(fingerprint=fingerprint) if shown is None else reads.best(shown, fingerprint=fingerprint)
        )
        chosen = of_protocol(rows, protocol)
        if fingerprint is not None and not rows:
            raise NotFound(
                "No finished evaluation has this fingerprint.",
                received=fingerprint,
                expected="the first characters of a fingerprint with finished evaluations",
                next_step="vaeval leaderboard shows them all",
            )
        several = chosen if training_seeds is not None else alike_but_for_seed(chosen)
        if several and shown is not None and any(len(board) >= shown for board in by_fingerprint(chosen)):
            # Means are of every seed of a checkpoint, also where it is not among the best.
            whole = of_protocol(reads.leaderboard(fingerprint=fingerprint), protocol)
            several = whole if training_seeds is not None else alike_but_for_seed(whole)
        if columns is not None:
            several = with_scores(several, reads, scores)
        metrics = [score.column for score in scores]
        if training_seeds is not None and chosen:
            trainings = training_seed_boards(several, reads.evaluations(_ids(several)), metrics, training_seeds)
            _print_trainings([board.best(shown) for board in trainings], scores, output)
            return
        ties = Ties() if output is Format.CSV else ties_among(chosen, reads, application.artifacts)
        if columns is not None:
            chosen = with_scores(chosen, reads, scores)
        if output is Format.MARKDOWN:
            chosen = with_reasons(chosen, reads, scores)
        if output is Format.JSON:
            records = reads.evaluations(_ids(several)) if several else ()
            rendering.document(
                "leaderboard",
                {
                    "rows": [dict(row) for row in chosen],
                    "standings": {str(number): standing for number, standing in ties.standings.items()},
                    "withheld_errors": {str(n): why for n, why in withheld_errors(chosen, reads, scores).items()},
                    "over_seeds": [
                        board.best(top).as_document() for board in evaluation_seed_boards(several, records, metrics)
                    ],
                },
            )
        elif not chosen:
            rendering.note("No evaluation is finished yet. Next: vaeval status, or vaeval demo to see one")
        elif output is Format.CSV:
            rendering.data(as_csv(chosen))
        elif output is Format.MARKDOWN:
            rendering.data(as_markdown(chosen, ties, scores=scores))
        else:
            print_tables(reads, chosen, ties, scores=scores, several=several, top=shown)
        if top is None:
            for sentence in _left_out(chosen, ties):
                rendering.note(sentence)


def _print_trainings(boards: Sequence[SeedBoard], scores: Sequence[ScoreColumn], output: Format) -> None:
    if output is Format.JSON:
        document = {"rows": [], "standings": {}, "over_training_seeds": [board.as_document() for board in boards]}
        rendering.document("leaderboard", document)
    elif output is Format.MARKDOWN:
        tables = [markdown_table(board.caption, *cells_of(board, scores)) for board in boards]
        rendering.data("\n\n".join(tables))
    else:
        print_seed_boards(boards, scores)


def _ids(rows: Sequence[Row]) -> list[int]:
    return [row["evaluation"] for row in rows]


def of_protocol(rows: Sequence[Row], protocol: str | None) -> Sequence[Row]:
    """The rows of protocols of this name; None for any.

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
    return named


def _left_out(rows: Sequence[Row], ties: Ties) -> list[str]:
    """A sentence on each board that is shown in part though nobody asked for that."""
    sizes = [(len(board), ties.sizes.get(board[0]["fingerprint"])) for board in by_fingerprint(rows)]
    return [
        f"The best {shown} of {count(size.finished, 'row')} are shown; more with --top N, all with --format csv or --json."
        for shown, size in sizes
        if size is not None and size.finished > shown
    ]


def _is_of(name: str, wanted: str) -> bool:
    """Whether a protocol has the name, as it is or with the changes that options put behind it: `quick,samples=2000`."""
    return name == wanted or name.startswith(f"{wanted},")
