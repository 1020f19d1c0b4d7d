"""Submissions of one priority get equal shares, by the order of claims alone; on both databases."""

from __future__ import annotations

from itertools import groupby

from sqlalchemy import Connection, select

from scheduler.faults import Fault
from scheduler.store.owners import EVALUATION
from scheduler.store.shard_work import best_of
from tests.factories import evaluation_request, protocol
from tests.laws.stores import Stores, file_of
from vaeval_core.shard_plan import plan_shards

SMALL = protocol(num_samples=64, num_reconstructions=0)
"""Two shards of 32 images."""

LARGE = protocol(num_samples=256, num_reconstructions=0)
"""Eight of them."""


def sweep(stores: Stores, name: str, count: int, **overrides: object) -> None:
    overrides = {"protocol": SMALL} | overrides
    stores.submit(*(evaluation_request(f"{name}/{number}", **overrides) for number in range(count)))


def work(stores: Stores, shards: int = 1_000) -> list[str]:
    """Compute so many shards; the names of their checkpoints."""
    names = []
    for _ in range(shards):
        claim = stores.work.claim_shard("worker-1")
        if claim is None:
            break
        assert stores.work.finish_shard(claim, file_of(claim), 1.0)
        if claim.checkpoint is not None:
            names.append(claim.checkpoint.uri.removeprefix("/checkpoints/"))
    return names


def evaluations_in_order(names: list[str]) -> list[str]:
    return [name for name, _ in groupby(names)]


def test_a_newcomer_begins_at_once_and_then_takes_turns(stores: Stores) -> None:
    sweep(stores, "long", 100)
    stores.make_reference()
    work(stores, 2 * 10)
    sweep(stores, "short", 3)
    assert evaluations_in_order(work(stores, 2 * 8)) == [
        "long/10",
        "short/0",
        "long/11",
        "short/1",
        "long/12",
        "short/2",
        "long/13",
        "long/14",
    ]


def test_shares_are_equal_in_images_and_not_in_checkpoints(stores: Stores) -> None:
    sweep(stores, "large", 4, protocol=LARGE)
    sweep(stores, "small", 16)
    stores.make_reference()
    names = work(stores, 8 * 4)
    assert sum(name.startswith("large") for name in names) == 8 * 2
    assert sum(name.startswith("small") for name in names) == 2 * 8


def test_three_submissions_get_a_third_each(stores: Stores) -> None:
    for name in ("a", "b", "c"):
        sweep(stores, name, 20)
    stores.make_reference()
    names = work(stores, 2 * 3 * 5)
    assert [sum(name.startswith(part) for name in names) for part in ("a", "b", "c")] == [10, 10, 10]


def test_nobody_is_paid_for_time_in_which_he_did_not_ask(stores: Stores) -> None:
    """The newcomer is not given, on top of his share, what the other had before he came."""
    sweep(stores, "early", 40)
    stores.make_reference()
    work(stores, 2 * 20)
    sweep(stores, "late", 40)
    names = work(stores, 2 * 10)
    assert sum(name.startswith("early") for name in names) == 10


def test_the_shards_of_a_checkpoint_come_together_because_loading_one_takes_time(stores: Stores) -> None:
    sweep(stores, "a", 3, protocol=LARGE)
    sweep(stores, "b", 3, protocol=LARGE)
    stores.make_reference()
    assert len(evaluations_in_order(work(stores))) == 6


def test_a_higher_priority_goes_before_any_turn(stores: Stores) -> None:
    sweep(stores, "normal", 3)
    sweep(stores, "urgent", 3, priority=1)
    stores.make_reference()
    assert evaluations_in_order(work(stores)) == [f"{name}/{i}" for name in ("urgent", "normal") for i in range(3)]


def test_what_is_known_already_takes_no_turn(stores: Stores) -> None:
    sweep(stores, "done", 30)
    stores.finish_everything()
    sweep(stores, "other", 5)
    known = [evaluation_request(f"done/{number}", protocol=SMALL) for number in range(30)]
    stores.submit(*known, evaluation_request("new", protocol=SMALL))
    assert evaluations_in_order(work(stores))[:2] == ["other/0", "new"]


def test_what_is_queued_again_is_a_newcomer(stores: Stores) -> None:
    sweep(stores, "a", 10)
    stores.make_reference()
    stores.submissions.cancel([1, 2])
    work(stores, 2 * 3)
    stores.submissions.retry([1, 2])
    assert evaluations_in_order(work(stores, 2 * 5)) == ["a/0", "a/5", "a/1", "a/6", "a/7"]


def test_a_pause_of_an_old_shard_gives_newcomers_no_advantage(stores: Stores) -> None:
    sweep(stores, "early", 40)
    stores.make_reference()
    assert stores.work.fail_shard(stores.claim(), "Out of memory.", fault=Fault.WORK)
    stores.extend_pauses()
    work(stores, 2 * 20)
    sweep(stores, "late", 40)
    stores.end_pauses()
    names = work(stores, 1 + 2 * 10)
    assert names[0] == "early/0"
    assert abs(sum(name.startswith("late") for name in names) - 10) <= 1


def test_where_all_that_is_left_is_being_computed_a_newcomer_has_the_turn_of_the_latest(stores: Stores) -> None:
    sweep(stores, "early", 2)
    stores.make_reference()
    running = [stores.claim() for _ in range(4)]
    sweep(stores, "late", 1)
    for claim in running:
        assert stores.work.release_shard(claim)
    assert evaluations_in_order(work(stores)) == ["early/0", "early/1", "late/0"]


def test_a_claim_walks_an_index_and_sorts_nothing(stores: Stores) -> None:
    plan = plan_shards(32 * 40, 32)
    many = protocol(num_samples=32 * 40, num_reconstructions=0)
    stores.submit(*(evaluation_request(f"sweep/{number}", protocol=many, shards=plan) for number in range(50)))
    stores.make_reference()
    statement = select(best_of(EVALUATION, "worker-1", 60.0))

    def explained(connection: Connection) -> str:
        compiled = statement.compile(connection, compile_kwargs={"literal_binds": True})
        how = "EXPLAIN QUERY PLAN" if stores.database.is_sqlite else "EXPLAIN"
        return "\n".join(str(row[-1]) for row in connection.exec_driver_sql(f"{how} {compiled}"))

    plan_text = stores.database.read(explained)
    assert "ix_shards_claim_evaluation" in plan_text, plan_text
    assert "TEMP B-TREE" not in plan_text, plan_text
    assert "Sort" not in plan_text, plan_text
