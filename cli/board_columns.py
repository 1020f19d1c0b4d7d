"""Which scores a leaderboard shows: the usual six, or those that `--columns` names."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vaeval_core.errors import InvalidInput

if TYPE_CHECKING:
    from scheduler.store.base import ReadStore

ARROWS = {"lower": " ↓", "higher": " ↑", "neither": ""}


@dataclass(frozen=True)
class ScoreColumn:
    """A score in a table.

    Attributes:
        column: Its metric, and its column in the view `leaderboard` if it has one there.
        title: Its head, with an arrow towards the better.
        droppable: Where the terminal is narrow, the highest goes first; 0 stays.
    """

    column: str
    title: str
    droppable: int


USUAL = (
    ScoreColumn("fid", "FID ↓", 0),
    ScoreColumn("rfid", "RFID ↓", 0),
    ScoreColumn("mse", "MSE ↓", 2),
    ScoreColumn("psnr", "PSNR ↑", 4),
    ScoreColumn("cross_entropy", "CROSS-ENTROPY ↓", 5),
    ScoreColumn("kl", "KL", 1),
)


def columns_named(text: str) -> tuple[ScoreColumn, ...]:
    """The columns for a list such as `fid,kid,precision`, in its order; the last go first where there is no room.

    Raises:
        InvalidInput: A name is that of no metric.
    """
    from vaeval_core.metrics.catalogue import METRICS

    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        close = [match for name in unknown for match in difflib.get_close_matches(name, METRICS, n=1)]
        raise InvalidInput(
            "--columns names scores that do not exist.",
            received=", ".join(name or "nothing" for name in unknown),
            expected=f"names with a comma between, of {', '.join(METRICS)}",
            next_step=f"perhaps {', '.join(close)}" if close else "leave --columns out for the usual ones",
        )
    return tuple(
        ScoreColumn(name, name.upper().replace("_", "-") + ARROWS[METRICS[name].direction], number)
        for number, name in enumerate(names)
    )


def with_scores(
    rows: Sequence[Mapping[str, Any]], reads: ReadStore, columns: Sequence[ScoreColumn]
) -> list[dict[str, Any]]:
    """The rows with values and standard errors of these scores, None where there is none; also such as the view has not."""
    scores = reads.scores([row["evaluation"] for row in rows], [column.column for column in columns])
    extended = []
    for row in rows:
        of_row = dict(row)
        for column in columns:
            found = scores.get(row["evaluation"], {}).get(column.column, (None, None))
            of_row[column.column], of_row[f"{column.column}_std_error"] = found
        extended.append(of_row)
    return extended
