"""`vaeval cancel`: stop evaluations that nobody wants any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import rendering
from cli.number_formats import count
from cli.options import Json

if TYPE_CHECKING:
    from scheduler.store.answers import ChangedEvaluation

Evaluations = Annotated[list[int], typer.Argument(metavar="EVALUATION", help="Ids, from status or leaderboard.")]


def cancel(evaluations: Evaluations, as_json: Json = False) -> None:
    """Stop evaluations that are not over.

    Their queued shards are never begun. A worker that is at one of them stops after its current batch, at the latest with
    its next heartbeat (5 s). What is finished stays; `vaeval retry` goes on from there.

    An evaluation that is over stays as it is. An id that does not exist is an error, and nothing is cancelled.

    \b
    Examples:
      vaeval cancel 12
      vaeval cancel 12 13 14 --json
    """
    from scheduler.composition import open_application
    from scheduler.settings import Settings

    with open_application(Settings.from_environment()) as application:
        changes = application.submissions.cancel(list(dict.fromkeys(evaluations)))
    cancelled = sum(change.is_changed for change in changes)
    if as_json:
        rendering.document("cancel", {"cancelled": cancelled, "evaluations": as_documents(changes)})
        return
    print_changes(changes)
    rest = len(changes) - cancelled
    rendering.note(
        f"{count(cancelled, 'evaluation')} cancelled."
        + (f" {count(rest, 'evaluation')} had been over before." if rest else "")
        + (" Next, should you want them after all: vaeval retry ID" if cancelled else "")
    )


def as_documents(changes: Sequence[ChangedEvaluation]) -> list[dict[str, Any]]:
    """What became of evaluations, for JSON."""
    return [
        {
            "id": change.evaluation_id,
            "checkpoint": change.checkpoint_name,
            "before": change.before,
            "state": change.state,
        }
        for change in changes
    ]


def print_changes(changes: Sequence[ChangedEvaluation]) -> None:
    """What became of evaluations, for people; those that changed are marked."""
    columns = [
        rendering.Column(title="ID", align="right"),
        rendering.Column(title="CHECKPOINT", shrinkable=True),
        rendering.Column(title="BEFORE"),
        rendering.Column(title="STATE"),
    ]
    rows = [
        (str(change.evaluation_id), change.checkpoint_name, str(change.before), str(change.state)) for change in changes
    ]
    rendering.table(columns, rows, marked=[number for number, change in enumerate(changes) if change.is_changed])
