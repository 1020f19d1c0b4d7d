"""History that is forgotten, what stays, and counts that cost little however long it is; on both databases."""

from __future__ import annotations

import pytest

from scheduler.faults import Fault
from scheduler.lifecycle import EvaluationState, ShardState
from scheduler.store import history
from scheduler.store.answers import OldHistory
from scheduler.store.database import Database
from scheduler.store.records import StateCounts
from tests.laws.stores import Stores, file_of, moment

DAY = 86_400


def make_old(stores: Stores, days: int) -> None:
    """All that happened so far was so many days ago."""
    stores.execute(f"UPDATE events SET at = {moment(stores, -days * DAY)}")
    stores.execute(f"UPDATE workers SET heartbeat_at = {moment(stores, -days * DAY)}")


def report(stores: Stores, worker: str) -> None:
    stores.work.report_worker(worker, host="node", pid=7, device="cpu", threads=1, versions={})


@pytest.fixture
def over(stores: Stores) -> Stores:
    """A finished evaluation and a failed one, a hundred days old."""
    report(stores, "old")
    stores.submit_one("finished")
    stores.finish_everything()
    stores.submit_one("failed")
    stores.work.fail_shard(stores.claim("old"), "The decoder gives no images.", fault=Fault.INPUT)
    make_old(stores, 100)
    return stores


def test_what_is_younger_stays(over: Stores) -> None:
    lines = over.count("events")
    assert over.reads.old_history(101) == over.recovery.forget_history(101) == OldHistory(lines=0, workers=0)
    assert (over.count("events"), over.count("workers")) == (lines, 1)


@pytest.mark.parametrize("at_once", [3, 10_000])
def test_what_is_older_goes_but_the_last_line(over: Stores, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(history, "LINES_AT_ONCE", at_once)
    expected = OldHistory(lines=over.count("events") - 1, workers=1)
    assert over.reads.old_history(90) == expected
    assert over.recovery.forget_history(90) == expected
    assert (over.count("events"), over.count("workers")) == (1, 0)


def test_scores_ranks_and_reasons_are_untouched(over: Stores) -> None:
    before = (
        over.reads.leaderboard(),
        over.reads.evaluation(1),
        over.reads.evaluation(2),
        over.query("SELECT * FROM scores"),
    )
    over.recovery.forget_history(90)
    assert (
        over.reads.leaderboard(),
        over.reads.evaluation(1),
        over.reads.evaluation(2),
        over.query("SELECT * FROM scores"),
    ) == before
    assert "The decoder gives no images." in over.error_of(2)


def test_the_story_of_what_is_under_way_stays_however_old_it_is(stores: Stores) -> None:
    evaluation_id = stores.submit_one()
    stores.make_reference()
    stores.work.fail_shard(stores.claim("w"), "It raised.", fault=Fault.WORK)
    make_old(stores, 100)
    stores.recovery.forget_history(90)
    assert [each.reason for each in stores.reads.failed_attempts(evaluation_id)] == ["It raised."]


def test_a_worker_that_says_something_stays_though_it_began_long_ago(stores: Stores) -> None:
    report(stores, "living")
    stores.execute(f"UPDATE workers SET started_at = {moment(stores, -400 * DAY)}")
    report(stores, "living")
    assert stores.recovery.forget_history(90).workers == 0


def test_work_whose_last_worker_was_forgotten_can_be_claimed(stores: Stores) -> None:
    stores.submit_one()
    report(stores, "old")
    stores.end_lease(stores.claim("old"))
    stores.recovery.sweep()
    make_old(stores, 100)
    stores.recovery.forget_history(90)
    assert stores.claim("new").attempt == 2


def test_states_are_counted(stores: Stores) -> None:
    stores.submit("a", "b")
    claim = stores.claim()
    stores.work.finish_shard(claim, file_of(claim), 1.0)
    stores.claim()
    assert stores.reads.state_counts() == StateCounts(
        evaluations={EvaluationState.QUEUED: 2},
        shards={ShardState.FINISHED: 1, ShardState.RUNNING: 1, ShardState.QUEUED: 4},
    )


def test_counting_reads_an_index_and_no_table(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    for table in ("evaluations", "shards"):
        plan = Stores(database).query(f"EXPLAIN QUERY PLAN SELECT state, COUNT(*) FROM {table} GROUP BY state")
        assert "COVERING INDEX" in plan[0][3]
    database.dispose()
