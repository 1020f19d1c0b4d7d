"""Everything that evaluations came to, as it is stored: rows of scores, files of influences and pictures, merged references.

Two runs of the same work must agree in all of it, bit for bit; only times, and who did it, may differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, select

from scheduler.composition import Application
from scheduler.lifecycle import EvaluationState
from scheduler.store.tables import checkpoints, evaluations, protocols, reference_sets, scores

Results = dict[tuple[str, int, str], Mapping[str, str]]
"""Checkpoint, seed, and what of it (a metric, or «files») → column → its value, written out: equal text is equal bits."""

_FILES = ("pictures_digest", "influence_digest", "fid", "fid_std_error")
_OF_SCORE = [column for column in scores.c if column.name not in {"evaluation_id", "metric"}]


def results_of(application: Application) -> Results:
    """All that is recorded."""
    return application.database.read(_results)


def differences(found: Mapping[str, str], expected: Mapping[str, str]) -> str:
    """The columns in which two rows differ, with both values."""
    names = [name for name in expected if found.get(name) != expected[name]]
    return ", ".join(f"{name} {found.get(name)} instead of {expected[name]}" for name in names)


def _results(connection: Connection) -> Results:
    of_whom = (checkpoints.c.name.label("whose"), protocols.c.seed, protocols.c.fingerprint)
    joined = (
        evaluations.join(checkpoints, checkpoints.c.id == evaluations.c.checkpoint_id)
        .join(protocols, protocols.c.id == evaluations.c.protocol_id)
        .outerjoin(scores, scores.c.evaluation_id == evaluations.c.id)
    )
    found: Results = {}
    files = [evaluations.c[name] for name in _FILES]
    finished = evaluations.c.state == EvaluationState.FINISHED
    rows = select(*of_whom, scores.c.metric, *_OF_SCORE).select_from(joined).where(scores.c.metric.is_not(None))
    for row in connection.execute(rows):
        found[_name(row), row.seed, row.metric] = _written(row, [column.name for column in _OF_SCORE])
    for row in connection.execute(select(*of_whom, *files).select_from(joined).where(finished).distinct()):
        found[_name(row), row.seed, "files"] = _written(row, ["fingerprint", *_FILES])
    references = select(reference_sets.c.key, reference_sets.c.file_digest)
    for row in connection.execute(references.where(reference_sets.c.state == EvaluationState.FINISHED)):
        found["reference", 0, row.key] = _written(row, ["file_digest"])
    return found


def _name(row: Row[Any]) -> str:
    return str(row.whose).rpartition("/")[2]


def _written(row: Row[Any], names: list[str]) -> dict[str, str]:
    return {name: _exactly(row._mapping[name]) for name in names}


def _exactly(value: object) -> str:
    """PostgreSQL gives a whole number in JSON as an int, so in a list every number is a float."""
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, list):
        return str([_exactly(float(part)) if isinstance(part, int | float) else part for part in value])
    return str(value)
