"""Leaderboards for people: one table per fingerprint, under a line that says what is compared.

Rows of different fingerprints never share a table, for their numbers do not compare.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from cli import rendering
from cli.board_columns import USUAL, ScoreColumn
from cli.number_formats import as_score, count, id_list
from cli.seed_boards import alike_but_for_seed, evaluation_seed_boards, print_seed_boards
from cli.ties import Row, Ties, about_ties, ties_among
from cli.withheld_errors import with_reasons

if TYPE_CHECKING:
    from scheduler.store.artifacts import ArtifactStore
    from scheduler.store.base import EvaluationRecord, ReadStore
    from vaeval_core.protocol import ExtractorSpec

COMPARABLE_EXTRACTORS = frozenset({"inception-v3-fid"})
"""Feature networks whose FID may stand beside published ones, if weights, resize and precision are the published ones."""

PUBLISHED_RESIZE = "tf1-bilinear"

OWN_WEIGHTS = ",weights="
"""In the name of a protocol, before the digest of weights that nobody publishes: whoever submits knows, the reader may not."""

NOISE_FLOOR_NOTE = (
    "A noise floor is as many real images, none of them in the reference, scored as if they were samples: what it has is left"
    " by chance, and no checkpoint needs less. It has no rank."
)

MOST_WARNINGS = 8
"""Lines of warnings below the tables: more are not read."""


def print_boards(
    reads: ReadStore, artifacts: ArtifactStore, fingerprints: Sequence[str], *, marked: Collection[int] = ()
) -> None:
    """The leaderboards of the given protocols on stdout, in the order of the store.

    Args:
        reads: Where the rows are.
        artifacts: Where it is kept what each image does to a score.
        fingerprints: Which protocols.
        marked: Ids of the evaluations to mark.
    """
    rows = reads.leaderboard(fingerprints=fingerprints)
    print_tables(reads, rows, ties_among(rows, reads, artifacts), marked=marked)


def print_tables(
    reads: ReadStore,
    rows: Sequence[Row],
    ties: Ties,
    *,
    marked: Collection[int] = (),
    scores: Sequence[ScoreColumn] = USUAL,
    several: Sequence[Row] | None = None,
    top: int | None = None,
) -> None:
    """One table per fingerprint, then means over seeds where there are several, then what a reader must know.

    Args:
        reads: Where records and warnings are.
        rows: What to show, with the scores that are shown.
        ties: Where rows stand against the best of their board.
        marked: Ids of rows with a ▸ before their rank.
        scores: Which scores.
        several: Rows of several seeds, to take means of; by default those among the rows.
        top: Rows of each table of means; None for all.
    """
    several = alike_but_for_seed(rows) if several is None else several
    rows = with_reasons(rows, reads, scores)
    records = _records(reads, rows, several)
    for number, board in enumerate(by_fingerprint(rows)):
        if number:
            rendering.data("")
        rendering.heading(caption_parts(board[0]))
        columns, cells = as_cells(board, ties, marked=marked, scores=scores)
        hidden = rendering.table(
            columns, cells, marked=[i for i, row in enumerate(board) if row["evaluation"] in marked]
        )
        if hidden:
            rendering.note(
                f"No room for {', '.join(hidden)}: widen the terminal, or `vaeval leaderboard --format csv`."
            )
    over_seeds = evaluation_seed_boards(several, records.values(), [score.column for score in scores])
    print_seed_boards([board.best(top) for board in over_seeds], scores)
    for warning in _warnings(records, rows):
        rendering.note(warning)
    if any(row["evaluation"] in marked for row in rows):
        rendering.note("▸ marks the evaluations of this command.")
    if any(row["noise_floor"] for row in rows):
        rendering.note(NOISE_FLOOR_NOTE)
    for sentence in about_ties(rows, ties):
        rendering.note(sentence)
    shown = {score.column for score in scores}  # what is to be known of others stands where they do, in `vaeval show`
    of_columns = {
        evaluation_id: {metric: sentences for metric, sentences in found.items() if metric in shown}
        for evaluation_id, found in reads.warnings([row["evaluation"] for row in rows]).items()
    }
    sentences = score_warnings(of_columns)
    for sentence in sentences[:MOST_WARNINGS]:
        rendering.note(sentence)
    if len(sentences) > MOST_WARNINGS:
        rendering.note(f"{len(sentences) - MOST_WARNINGS} more such warnings: vaeval show EVALUATION has those of one.")


def score_warnings(warnings: Mapping[int, Mapping[str, Sequence[str]]]) -> list[str]:
    """Warnings of the scores of several evaluations, each once, with its metrics and the evaluations that carry it.

    Args:
        warnings: Id of an evaluation → metric → its warnings.

    Returns:
        Lines; those that most evaluations carry first.
    """
    metrics: dict[str, list[str]] = {}
    carriers: dict[str, list[int]] = {}
    shares: dict[str, list[float]] = {}
    for evaluation_id, of_evaluation in warnings.items():
        for metric, sentences in of_evaluation.items():
            for sentence in sentences:
                # Checkpoints share an illness, not its extent: sentences that differ in a percentage are one.
                found = _PERCENTAGE.findall(sentence)
                kind = _PERCENTAGE.sub("%", sentence) if len(found) == 1 else sentence
                metrics.setdefault(kind, []).append(metric)
                carriers.setdefault(kind, []).append(evaluation_id)
                shares.setdefault(kind, []).extend(float(share) for share in found if len(found) == 1)
    ids = {kind: sorted(set(carrying)) for kind, carrying in carriers.items()}
    return [
        f"{', '.join(dict.fromkeys(metrics[kind]))} ({'id' if len(ids[kind]) == 1 else 'ids'}"
        f" {id_list(ids[kind])}): {_with_shares(kind, shares[kind])}"
        for kind in sorted(ids, key=lambda kind: -len(ids[kind]))
    ]


_PERCENTAGE = re.compile(r"(\d+\.\d)%")


def _with_shares(kind: str, shares: Sequence[float]) -> str:
    """The sentence with the percentage, or the range of percentages, that was taken out of it."""
    if not shares:
        return kind
    least, most = f"{min(shares):.1f}%", f"{max(shares):.1f}%"
    return kind.replace("%", least if least == most else f"{least} to {most}", 1)


def as_markdown(rows: Sequence[Row], ties: Ties, *, scores: Sequence[ScoreColumn] = USUAL) -> str:
    """The same tables in Markdown."""
    return "\n\n".join(
        markdown_table(caption_parts(board[0]), *as_cells(board, ties, scores=scores)) for board in by_fingerprint(rows)
    )


def markdown_table(caption: Sequence[str], columns: Sequence[rendering.Column], cells: Sequence[Sequence[str]]) -> str:
    """One table under a line in bold."""
    titles = [column.title for column in columns]
    rule = ["---:" if column.align == "right" else "---" for column in columns]
    lines = [_markdown_line(line) for line in (titles, rule, *cells)]
    return "\n".join([f"**{_markdown_text(' · '.join(caption))}**", "", *lines])


def as_csv(rows: Sequence[Row]) -> str:
    """All columns of the view with full precision, all fingerprints in one table; tags and times as in --json."""
    return rendering.as_csv(list(rows[0]), [list(row.values()) for row in rows]) if rows else ""


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
    board: Sequence[Row],
    ties: Ties,
    *,
    marked: Collection[int] = (),
    scores: Sequence[ScoreColumn] = USUAL,
) -> tuple[list[rendering.Column], list[list[str]]]:
    """Columns and cells of one board; a score that no row has is left out."""
    scores = [score for score in scores if any(row[score.column] is not None for row in board)]
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
            ("▸ " if row["evaluation"] in marked else "") + _rank_text(row, ties),
            row["checkpoint"],
            *([_text(row["step"])] if has_steps else []),
            *(_score_text(row, score.column) for score in scores),
            str(row["evaluation"]),
        ]
        for row in board
    ]
    return columns, cells


def _rank_text(row: Row, ties: Ties) -> str:
    if row["rank"] is None:
        return "–"
    if row["evaluation"] in ties.shared:
        return "=1"
    cannot_be_told = ties.standings.get(row["evaluation"]) == "unknown"
    return f"{row['rank']}{'?' if cannot_be_told else ''}"


def _score_text(row: Row, column: str) -> str:
    value = row[column]
    if value is None:
        return "–"
    withheld = row.get(f"{column}_std_error_reason")
    return as_score(column, value, row.get(f"{column}_std_error"), is_unreliable=withheld is not None)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _records(reads: ReadStore, rows: Sequence[Row], several: Sequence[Row]) -> dict[int, EvaluationRecord]:
    """Evaluation → its record, for one of each fingerprint that has FID, and for those of several seeds: one question."""
    ids = {row["evaluation"] for row in (*_one_of_each(rows).values(), *several)}
    return {record.evaluation_id: record for record in reads.evaluations(sorted(ids))} if ids else {}


def _one_of_each(rows: Sequence[Row]) -> dict[str, Row]:
    """Fingerprint → one of its rows with FID."""
    return {row["fingerprint"]: row for row in rows if row["fid"] is not None}


def _warnings(records: Mapping[int, EvaluationRecord], rows: Sequence[Row]) -> list[str]:
    """Which FID compares with nothing published."""
    found = [
        why_not_published(row, records[row["evaluation"]].protocol.extractor) for row in _one_of_each(rows).values()
    ]
    return list(dict.fromkeys(sentence for sentence in found if sentence is not None))


def why_not_published(row: Row, extractor: ExtractorSpec) -> str | None:
    """One sentence if FID of this row may not stand beside published FID; None if it may."""
    different = {
        "weights that nobody publishes": OWN_WEIGHTS in row["protocol"],
        f"resize {extractor.resize}": extractor.resize != PUBLISHED_RESIZE,
        extractor.precision: extractor.precision != "float32",
    }
    how = ", ".join(words for words, is_so in different.items() if is_so)
    features = extractor.name
    if extractor.name in COMPARABLE_EXTRACTORS:
        if not how:
            return None
        features = f"{features} ({how})"
    return f"FID on features of {features} ranks these checkpoints; it is not comparable to published FID."


def _markdown_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_markdown_text(cell) for cell in cells) + " |"


def _markdown_text(text: str) -> str:
    return text.replace("|", "\\|")
