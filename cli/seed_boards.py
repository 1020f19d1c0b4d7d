"""Scores over seeds: what another seed of the evaluation changes, and apart from it what another seed of the training changes.

    evaluation seeds    one checkpoint, protocols that differ in nothing but the seed      noise of the measurement
    training seeds      checkpoints whose tags differ in nothing but one, such as seed     noise of the training

Means of a checkpoint over evaluation seeds come first; training seeds are then compared by these, so that neither spread is
taken for the other. `±` is the standard deviation (n - 1): how far one more seed would typically lie from the mean.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from cli import rendering
from cli.board_columns import ScoreColumn
from cli.number_formats import count, id_list, with_error
from cli.ties import RANKED_BY, Row
from vaeval_core.errors import NotFound

if TYPE_CHECKING:
    from scheduler.store.base import EvaluationRecord


@dataclass(frozen=True)
class Spread:
    """A score over seeds.

    Attributes:
        mean: None where a seed gave no number: the mean of the others would be one of fewer seeds than the row says.
        deviation: Standard deviation with n - 1; None for one seed.
        count: Seeds with a number.
    """

    mean: float | None
    deviation: float | None
    count: int

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Spread:
        """Mean and deviation of the values of each seed, None where one has none."""
        numbers = [value for value in values if value is not None]
        if len(numbers) < len(values) or not numbers:
            return cls(None, None, len(numbers))
        deviation = statistics.stdev(numbers) if len(numbers) > 1 else None
        return cls(statistics.fmean(numbers), deviation, len(numbers))


@dataclass(frozen=True)
class SeedRow:
    """One checkpoint over evaluation seeds, or one kind of training over training seeds.

    Attributes:
        name: Name of the checkpoint, or the tags that its trainings have in common.
        step: Training step of all of them.
        tags: Tags of all of them.
        seeds: The seeds of the evaluation, or the values of the tag that tells trainings apart.
        evaluations: All evaluations that are in the row.
        scores: Metric → its spread.
    """

    name: str
    step: int | None
    tags: Mapping[str, str]
    seeds: tuple[str, ...]
    evaluations: tuple[int, ...]
    scores: Mapping[str, Spread]


@dataclass(frozen=True)
class SeedBoard:
    """Rows that compare.

    Attributes:
        kind: What a row is.
        caption: What is compared, in parts.
        rows: The best by mean FID first.
    """

    kind: Literal["checkpoint", "training"]
    caption: tuple[str, ...]
    rows: tuple[SeedRow, ...]

    @property
    def legend(self) -> str:
        """What ± means."""
        if self.kind == "training":
            return "± is the standard deviation over training seeds, of means over evaluation seeds."
        return "± is the standard deviation over evaluation seeds; a score without one is the same under each."

    def best(self, top: int | None) -> SeedBoard:
        """The first rows; all if `top` is None."""
        return replace(self, rows=self.rows[:top])

    def as_document(self) -> dict[str, Any]:
        """For JSON."""
        return {"caption": list(self.caption), "rows": [asdict(row) for row in self.rows]}


def alike_but_for_seed(rows: Sequence[Row]) -> list[Row]:
    """Rows of boards that seem to differ from another one in the seed alone: only these need a look at their records.

    Noise floors are left out: they are the same under every seed, and would be ranked.
    """
    rows = [row for row in rows if not row["noise_floor"]]
    seeds: dict[tuple[Any, ...], set[str]] = {}
    for row in rows:
        seeds.setdefault(_looks(row), set()).add(row["fingerprint"])
    return [row for row in rows if len(seeds[_looks(row)]) > 1]


def evaluation_seed_boards(
    rows: Sequence[Row], records: Iterable[EvaluationRecord], metrics: Sequence[str]
) -> list[SeedBoard]:
    """Each checkpoint over the seeds of its evaluation, one board for protocols that differ in nothing but the seed.

    Args:
        rows: Any rows; those of checkpoints with one seed are in no board.
        records: Their records.
        metrics: Names of the scores.
    """
    boards = []
    for of_family in _families(rows, records):
        several = [group for group in of_family if len(group) > 1]
        if several:
            shown = [_over_evaluation_seeds(group, metrics) for group in several]
            words = f"mean ± sd over evaluation seeds {_listed(seed for row in shown for seed in row.seeds)}"
            boards.append(SeedBoard("checkpoint", (*_caption(several[0][0]), words), _ranked(shown)))
    return boards


def training_seed_boards(
    rows: Sequence[Row], records: Iterable[EvaluationRecord], metrics: Sequence[str], tag: str
) -> list[SeedBoard]:
    """Each kind of training over the values of a tag: checkpoints of one step whose other tags are equal.

    Raises:
        NotFound: No row has this tag.
    """
    tagged = [row for row in rows if tag in (row["tags"] or {})]
    if not tagged:
        known = sorted({name for row in rows for name in row["tags"] or {}})
        raise NotFound(
            "No finished evaluation has this tag.",
            received=tag,
            expected=f"one of {', '.join(known)}" if known else "a tag that checkpoints were submitted with",
            next_step=f"vaeval submit runs/seed0 --data photos/ --tag {tag}=0, and so on for each training",
        )
    boards = []
    for of_family in _families(tagged, records):
        kinds: dict[tuple[Any, ...], list[SeedRow]] = {}
        for group in of_family:
            row = _over_evaluation_seeds(group, metrics)
            common = tuple(sorted((name, value) for name, value in row.tags.items() if name != tag))
            kinds.setdefault((common, row.step), []).append(row)
        shown = [
            _over_training_seeds(sorted(trainings, key=lambda row: _in_order(row.tags[tag])), tag, metrics)
            for trainings in kinds.values()
        ]
        words = f"mean ± sd over training seeds ({tag})"
        boards.append(SeedBoard("training", (*_caption(of_family[0][0]), words), _ranked(shown)))
    return boards


def print_seed_boards(boards: Sequence[SeedBoard], scores: Sequence[ScoreColumn]) -> None:
    """The boards as tables on stdout, and what ± means there."""
    for board in boards:
        rendering.data("")
        rendering.heading(board.caption)
        rendering.table(*cells_of(board, scores))
    for sentence in dict.fromkeys(board.legend for board in boards):
        rendering.note(sentence)


def cells_of(board: SeedBoard, scores: Sequence[ScoreColumn]) -> tuple[list[rendering.Column], list[list[str]]]:
    """Columns and cells of one board; a score that no row has is left out."""
    shown = [score for score in scores if any(row.scores[score.column].count for row in board.rows)]
    has_steps = any(row.step is not None for row in board.rows)
    columns = [
        rendering.Column(title="RANK", align="right"),
        rendering.Column(title=board.kind.upper(), shrinkable=True),
        *([rendering.Column(title="STEP", align="right", droppable=3)] if has_steps else []),
        rendering.Column(title="SEEDS", align="right"),
        *(rendering.Column(title=score.title, align="right", droppable=score.droppable) for score in shown),
        rendering.Column(title="IDS", align="right", droppable=2),
    ]
    cells = [
        [
            "–" if row.scores[RANKED_BY].mean is None else str(rank),
            row.name,
            *(["" if row.step is None else str(row.step)] if has_steps else []),
            str(len(row.seeds)),
            *(_text(row.scores[score.column]) for score in shown),
            id_list(row.evaluations),
        ]
        for rank, row in enumerate(board.rows, start=1)
    ]
    return columns, cells


def _over_evaluation_seeds(group: Sequence[Row], metrics: Sequence[str]) -> SeedRow:
    first = group[0]
    return SeedRow(
        name=first["checkpoint"],
        step=first["step"],
        tags=dict(first["tags"] or {}),
        seeds=tuple(str(row["seed"]) for row in group),
        evaluations=tuple(row["evaluation"] for row in group),
        scores={name: Spread.of([row[name] for row in group]) for name in _with_rank(metrics)},
    )


def _over_training_seeds(trainings: Sequence[SeedRow], tag: str, metrics: Sequence[str]) -> SeedRow:
    first = trainings[0]
    common = {name: value for name, value in first.tags.items() if name != tag}
    return SeedRow(
        name=", ".join(f"{name}={value}" for name, value in sorted(common.items())) or f"all with {tag}",
        step=first.step,
        tags=common,
        seeds=tuple(row.tags[tag] for row in trainings),
        evaluations=tuple(number for row in trainings for number in row.evaluations),
        scores={name: Spread.of([row.scores[name].mean for row in trainings]) for name in _with_rank(metrics)},
    )


def _families(rows: Sequence[Row], records: Iterable[EvaluationRecord]) -> list[list[list[Row]]]:
    """For each protocol without its seed, for each checkpoint under it, its rows in the order of seeds."""
    known = {record.evaluation_id: record for record in records}
    families: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        record = known[row["evaluation"]]
        family = record.protocol.model_copy(update={"seed": 0}).fingerprint
        families.setdefault(family, {}).setdefault(record.checkpoint_digest, []).append(row)
    return [
        [sorted(group, key=lambda row: int(row["seed"])) for group in groups.values()] for groups in families.values()
    ]


def _looks(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("dataset", "protocol", "extractor", "num_samples", "num_reconstructions"))


def _caption(row: Row) -> tuple[str, ...]:
    streams = [
        count(row[column], noun)
        for column, noun in (("num_samples", "sample"), ("num_reconstructions", "reconstruction"))
        if row[column]
    ]
    return (row["protocol"], row["dataset"], row["extractor"], ", ".join(streams))


def _ranked(rows: Sequence[SeedRow]) -> tuple[SeedRow, ...]:
    def place(row: SeedRow) -> tuple[bool, float]:
        mean = row.scores[RANKED_BY].mean
        return (mean is None, 0.0 if mean is None else mean)

    return tuple(sorted(rows, key=place))


def _with_rank(metrics: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*metrics, RANKED_BY]))


def _in_order(seed: str) -> tuple[int, str]:
    """Numbers by size, before words."""
    return (int(seed), "") if seed.isdecimal() else (2**63, seed)


def _listed(seeds: Iterable[str]) -> str:
    return ", ".join(sorted(dict.fromkeys(seeds), key=int))


def _text(spread: Spread) -> str:
    # Scores without noise are the same under every seed: that is no error of 0.
    return "–" if spread.mean is None else with_error(spread.mean, spread.deviation or None)
