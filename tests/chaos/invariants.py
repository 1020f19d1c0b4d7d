"""What must hold after every schedule, whatever happened in it: checked from the rows and files alone."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection, text

from scheduler.composition import Application
from scheduler.lifecycle import EvaluationState
from scheduler.orphans import delete_orphans, find_orphans
from tests.chaos.history import Strikes, history_violations
from tests.chaos.results import Results, differences, results_of
from tests.chaos.workload import POISON

LEASES_LEFT = """
SELECT 'shard', id FROM shards WHERE state = 'running' OR lease_expires_at IS NOT NULL
UNION ALL SELECT 'reference', id FROM reference_sets WHERE state = 'finalising' OR lease_expires_at IS NOT NULL
UNION ALL SELECT 'evaluation', id FROM evaluations WHERE state = 'finalising' OR lease_expires_at IS NOT NULL
"""
RESULTS_WRITTEN = """
SELECT evaluation_id, COUNT(*) FROM events WHERE action = 'evaluation.scored' GROUP BY evaluation_id
"""
NEEDED = """
SELECT file_key FROM reference_sets WHERE file_key IS NOT NULL
UNION SELECT pictures_key FROM evaluations WHERE pictures_key IS NOT NULL
UNION SELECT influence_key FROM evaluations WHERE influence_key IS NOT NULL
UNION SELECT file_key FROM shards WHERE reference_id IS NOT NULL AND file_key IS NOT NULL
UNION SELECT s.file_key FROM shards s JOIN evaluations e ON e.id = s.evaluation_id
      WHERE e.state <> 'finished' AND s.file_key IS NOT NULL
"""
"""Written out here once more, so that the program's own notion is held against another."""


def violations(
    application: Application, undisturbed: Results, strikes: Strikes | None = None, *, since: int = 0
) -> list[str]:
    """A sentence for each promise that is broken; none if all are kept. Removes the orphans in the end.

    Args:
        application: What a schedule left behind.
        undisturbed: What the same work came to without one.
        strikes: What the schedule did; none for an undisturbed run.
        since: Number of the journal's last line before the schedule.
    """
    return [
        *history_violations(application, strikes or Strikes(), since=since),
        *_not_over(application),
        *_not_the_same_scores(application, undisturbed),
        *_results_written_twice(application),
        *_leases_left(application),
        *_orphans_not_listed(application),
    ]


def _not_over(application: Application) -> list[str]:
    found = []
    for record in application.reads.evaluations():
        is_poison = record.checkpoint_uri.endswith(POISON)
        expected = EvaluationState.FAILED if is_poison else EvaluationState.FINISHED
        if record.state is not expected:
            found.append(f"evaluation {record.evaluation_id} is {record.state}, not {expected}: {record.error}")
        elif is_poison and "after 3 attempts" not in str(record.error):
            found.append(f"evaluation {record.evaluation_id} failed with another story: {record.error}")
    return found


def _not_the_same_scores(application: Application, undisturbed: Results) -> list[str]:
    found = results_of(application)
    different = [key for key in undisturbed.keys() & found.keys() if undisturbed[key] != found[key]]
    return [
        *(f"no score {key}" for key in sorted(undisturbed.keys() - found.keys())),
        *(f"a score that nobody asked for: {key}" for key in sorted(found.keys() - undisturbed.keys())),
        *(f"{key}: {differences(found[key], undisturbed[key])}, undisturbed" for key in sorted(different)),
    ]


def _results_written_twice(application: Application) -> list[str]:
    rows = _query(application, RESULTS_WRITTEN)
    return [f"evaluation {number} was finished {times} times" for number, times in rows if times != 1]


def _leases_left(application: Application) -> list[str]:
    return [f"{kind} {number} is still held" for kind, number in _query(application, LEASES_LEFT)]


def _orphans_not_listed(application: Application) -> list[str]:
    root = Path(application.artifacts.url)
    there = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    needed = {key for (key,) in _query(application, NEEDED)}
    orphans = find_orphans(application.reads, application.artifacts, older_than=timedelta(0), least_age=timedelta(0))
    listed = {orphan.key for orphan in orphans}
    delete_orphans(application.reads, application.artifacts, orphans)
    left = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    return [
        *(f"{key} is an orphan and not listed" for key in sorted(there - needed - listed)),
        *(f"{key} is needed and listed as an orphan" for key in sorted(listed & needed)),
        *(f"{key} was not removed" for key in sorted(left & listed)),
        *(f"{key} was removed" for key in sorted((there - listed) - left)),
    ]


def _query(application: Application, statement: str) -> list[tuple[object, ...]]:
    def work(connection: Connection) -> list[tuple[object, ...]]:
        return [tuple(row) for row in connection.execute(text(statement))]

    return application.database.read(work)
