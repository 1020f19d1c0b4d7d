"""Leaderboards for people: one table per fingerprint, under a line that says what is compared.

Rows of different fingerprints never share a table, for their numbers do not compare.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from cli import rendering
from cli.influences import standings_of
from cli.number_formats import count, id_list, with_error

if TYPE_CHECKING:
    from scheduler.store.artifacts import ArtifactStore
    from scheduler.store.base import ReadStore
    from vaeval_core.evaluation_result import Score
    from vaeval_core.metrics.rank_groups import Standing

Row = Mapping[str, Any]
"""A row of the view `leaderboard`."""

COMPARABLE_EXTRACTORS = frozenset({"inception-v3-fid"})
"""Feature networks whose FID may stand beside published ones."""

MOST_WARNINGS = 8
"""Lines of warnings below the tables: more are not read."""


@dataclass(frozen=True)
class _Score:
    column: str
    title: str
    droppable: int


SCORES = (
    _Score("fid", "FID ↓", 0),
    _Score("rfid", "RFID ↓", 0),
    _Score("mse", "MSE ↓", 2),
    _Score("psnr", "PSNR ↑", 4),
    _Score("cross_entropy", "CROSS-ENTROPY ↓", 5),
    _Score("kl", "KL", 1),
)


def print_boards(
    reads: ReadStore, artifacts: ArtifactStore, fingerprints: Sequence[str], *, marked: Collection[int] = ()
) -> None:
    """The leaderboards of the given protocols on stdout.

    Args:
        reads: Where the rows are.
        artifacts: Where it is kept what each image does to a score.
        fingerprints: Which protocols, in order.
        marked: Ids of the evaluations to mark.
    """
    rows = [row for fingerprint in fingerprints for row in reads.leaderboard(fingerprint=fingerprint)]
    tied = tied_with_the_best(rows, standings_of_boards(rows, reads, artifacts))
    print_tables(reads, rows, marked=marked, tied=tied)


def standings_of_boards(rows: Sequence[Row], reads: ReadStore, artifacts: ArtifactStore) -> dict[int, Standing]:
    """Evaluation → where it stands against the best of its board; `rows` are all rows of each fingerprint."""
    return {
        evaluation: standing
        for board in by_fingerprint(rows)
        for evaluation, standing in standings_of(board, reads, artifacts).items()
    }


def tied_with_the_best(rows: Sequence[Row], standings: Mapping[int, Standing]) -> set[int]:
    """Evaluations that share the first rank of their board; none where the best stands alone."""
    shared = set()
    for board in by_fingerprint(rows):
        group = {row["evaluation"] for row in board if standings[row["evaluation"]] in {"best", "tied"}}
        if len(group) > 1:
            shared |= group
    return shared


def print_tables(
    reads: ReadStore,
    rows: Sequence[Row],
    *,
    marked: Collection[int] = (),
    tied: Collection[int] = (),
) -> None:
    """One table per fingerprint; marked rows have a ▸ before their rank, tied ones share =1. Then what a reader must know."""
    for number, board in enumerate(by_fingerprint(rows)):
        if number:
            rendering.data("")
        rendering.heading(caption_parts(board[0]))
        columns, cells = as_cells(board, marked=marked, tied=tied)
        hidden = rendering.table(
            columns, cells, marked=[i for i, row in enumerate(board) if row["evaluation"] in marked]
        )
        if hidden:
            rendering.note(
                f"No room for {', '.join(hidden)}: widen the terminal, or `vaeval leaderboard --format csv`."
            )
        for warning in _warnings(board[0]):
            rendering.note(warning)
    if any(row["evaluation"] in marked for row in rows):
        rendering.note("▸ marks the evaluations of this command.")
    if any(row["evaluation"] in tied for row in rows):
        rendering.note(
            "=1 marks ties: on common noise such a row's FID is not above the best one's by more than chance."
        )
    sentences = score_warnings({row["evaluation"]: reads.evaluation(row["evaluation"]).scores for row in rows})
    for sentence in sentences[:MOST_WARNINGS]:
        rendering.note(sentence)
    if len(sentences) > MOST_WARNINGS:
        rendering.note(f"{len(sentences) - MOST_WARNINGS} more such warnings: vaeval show EVALUATION has those of one.")


def score_warnings(scores: Mapping[int, Sequence[Score]]) -> list[str]:
    """Warnings of the scores of several evaluations, each once, with its metrics and the evaluations that carry it.

    Args:
        scores: Id of an evaluation → its scores.

    Returns:
        Lines; those that most evaluations carry first.
    """
    metrics: dict[str, list[str]] = {}
    carriers: dict[str, list[int]] = {}
    for evaluation_id, of_evaluation in scores.items():
        for score in of_evaluation:
            for sentence in score.value.warnings:
                metrics.setdefault(sentence, []).append(score.metric)
                carriers.setdefault(sentence, []).append(evaluation_id)
    ids = {sentence: sorted(set(carrying)) for sentence, carrying in carriers.items()}
    return [
        f"{', '.join(dict.fromkeys(metrics[sentence]))} ({'id' if len(ids[sentence]) == 1 else 'ids'}"
        f" {id_list(ids[sentence])}): {sentence}"
        for sentence in sorted(ids, key=lambda sentence: -len(ids[sentence]))
    ]


def as_markdown(rows: Sequence[Row], *, tied: Collection[int] = ()) -> str:
    """The same tables in Markdown."""
    blocks = []
    for board in by_fingerprint(rows):
        columns, cells = as_cells(board, tied=tied)
        titles = [column.title for column in columns]
        rule = ["---:" if column.align == "right" else "---" for column in columns]
        lines = [_markdown_line(line) for line in (titles, rule, *cells)]
        caption = " · ".join(caption_parts(board[0]))
        blocks.append("\n".join([f"**{_markdown_text(caption)}**", "", *lines]))
    return "\n\n".join(blocks)


def as_csv(rows: Sequence[Row]) -> str:
    """All columns of the view with full precision, all fingerprints in one table."""
    if not rows:
        return ""
    lines = io.StringIO()
    writer = csv.DictWriter(lines, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return lines.getvalue().rstrip("\n")


def by_fingerprint(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows that compare, together; the store gives them in that order."""
    return [list(board) for _, board in groupby(rows, key=lambda row: row["fingerprint"])]


def caption_parts(row: Row) -> list[str]:
    """What is compared: protocol, data, features, counts, seed, fingerprint."""
    streams = [
        count(row[column], noun)
        for column, noun in (("num_samples", "sample"), ("num_reconstructions", "reconstruction"))
        if row[column]
    ]
    parts = [row["protocol"], row["dataset"], row["extractor"], ", ".join(streams), f"seed {row['seed']}"]
    return [*parts, row["fingerprint"][:12]]


def as_cells(
    board: Sequence[Row], *, marked: Collection[int] = (), tied: Collection[int] = ()
) -> tuple[list[rendering.Column], list[list[str]]]:
    """Columns and cells of one board; a score that no row has is left out."""
    scores = [score for score in SCORES if any(row[score.column] is not None for row in board)]
    has_steps = any(row["step"] is not None for row in board)
    columns = [
        rendering.Column(title="RANK", align="right"),
        rendering.Column(title="CHECKPOINT", shrinkable=True),
        *([rendering.Column(title="STEP", align="right", droppable=3)] if has_steps else []),
        *(rendering.Column(title=score.title, align="right", droppable=score.droppable) for score in scores),
        rendering.Column(title="ID", align="right"),
    ]
    cells = [
        [
            ("▸ " if row["evaluation"] in marked else "") + _rank_text(row, tied),
            row["checkpoint"],
            *([_text(row["step"])] if has_steps else []),
            *(_score_text(row, score.column) for score in scores),
            str(row["evaluation"]),
        ]
        for row in board
    ]
    return columns, cells


def _rank_text(row: Row, tied: Collection[int]) -> str:
    if row["rank"] is None:
        return "–"
    return "=1" if row["evaluation"] in tied else str(row["rank"])


def _score_text(row: Row, column: str) -> str:
    value = row[column]
    return "–" if value is None else with_error(value, row.get(f"{column}_std_error"))


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _warnings(row: Row) -> list[str]:
    if row["extractor"] in COMPARABLE_EXTRACTORS or row["fid"] is None:
        return []
    return [f"FID on features of {row['extractor']} ranks these checkpoints; it is not comparable to published FID."]


def _markdown_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_markdown_text(cell) for cell in cells) + " |"


def _markdown_text(text: str) -> str:
    return text.replace("|", "\\|")
