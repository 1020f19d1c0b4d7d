"""Which scores have no standard error because it would be unreliable, and why: said beside the number, not under it alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cli.board_columns import ScoreColumn
    from scheduler.store.base import ReadStore


def withheld_errors(
    rows: Sequence[Mapping[str, Any]], reads: ReadStore, columns: Sequence[ScoreColumn]
) -> dict[int, dict[str, str]]:
    """Evaluation → score → why it has no standard error, for those of these scores whose error is withheld."""
    from vaeval_core.metrics.effective_images import why_withheld

    shown = {column.column for column in columns}
    found = {}
    for evaluation, warnings in reads.warnings([row["evaluation"] for row in rows]).items():
        reasons = {metric: why_withheld(said) for metric, said in warnings.items() if metric in shown}
        withheld = {metric: reason for metric, reason in reasons.items() if reason is not None}
        if withheld:
            found[evaluation] = withheld
    return found


def with_reasons(
    rows: Sequence[Mapping[str, Any]], reads: ReadStore, columns: Sequence[ScoreColumn]
) -> list[dict[str, Any]]:
    """The rows with `NAME_std_error_reason` for each score whose error is withheld."""
    withheld = withheld_errors(rows, reads, columns)
    return [
        {**row, **{f"{name}_std_error_reason": reason for name, reason in withheld.get(row["evaluation"], {}).items()}}
        for row in rows
    ]
