"""How a set of evaluations ended: what `run` prints, and `submit --wait` likewise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli import rendering
from cli.boards import print_boards
from scheduler.lifecycle import EvaluationState

if TYPE_CHECKING:
    from scheduler.composition import Application
    from scheduler.store.base import EvaluationRecord, ReadStore, SubmissionReceipt


def in_order_of(receipt: SubmissionReceipt, reads: ReadStore) -> tuple[EvaluationRecord, ...]:
    """What became of a submission, in the order in which it was asked for."""
    ids = [entry.evaluation_id for entry in receipt.evaluations]
    records = {record.evaluation_id: record for record in reads.evaluations(ids)}
    return tuple(records[number] for number in ids)


def failures(records: Sequence[EvaluationRecord]) -> list[EvaluationRecord]:
    """Those that did not finish."""
    return [record for record in records if record.state is not EvaluationState.FINISHED]


def print_outcome(
    application: Application,
    receipt: SubmissionReceipt,
    records: Sequence[EvaluationRecord],
    command: str,
    *,
    as_json: bool,
) -> None:
    """The leaderboards in which the evaluations are, with their rows marked; as JSON only their own rows."""
    reads = application.reads
    ids = [record.evaluation_id for record in records]
    if not as_json:
        fingerprints = list(dict.fromkeys(record.fingerprint for record in records))
        print_boards(reads, application.artifacts, fingerprints, marked=set(ids))
        return
    created = {entry.evaluation_id: entry.created for entry in receipt.evaluations}
    warnings = reads.warnings(ids)  # only metrics that have something to say
    rendering.document(
        command,
        {
            "created": sum(created.values()),
            "existing": len(created) - sum(created.values()),
            "evaluations": [
                {
                    "id": record.evaluation_id,
                    "checkpoint": record.checkpoint_name,
                    "protocol": record.protocol_name,
                    "fingerprint": record.fingerprint,
                    "seed": record.protocol.seed,
                    "noise_floor": record.is_noise_floor,
                    "created": created[record.evaluation_id],
                    "state": record.state,
                    "error": record.error,
                    "notes": list(record.description.get("notes", [])),
                    "warnings": warnings.get(record.evaluation_id, {}),
                }
                for record in records
            ],
            "rows": [dict(row) for row in reads.leaderboard(evaluation_ids=ids)],
        },
    )


def print_failures(records: Sequence[EvaluationRecord]) -> None:
    """Each evaluation that did not finish, with its reason, on stderr."""
    for record in failures(records):
        rendering.note(
            f"{record.state}: {record.checkpoint_name} (evaluation {record.evaluation_id})"
            + (f": {record.error}" if record.error else "")
        )
