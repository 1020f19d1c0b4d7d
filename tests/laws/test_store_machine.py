"""The stores against a model of their promises: claims, lost leases, finishes, cancellations in any order; on both databases.

The model is a few dictionaries: who holds which shard or finalisation under which token, which file was recorded, which scores.
Hypothesis makes up long sequences of calls, also such as a worker makes that lost its claim long ago, and shrinks what breaks
a promise to the shortest one. `make chaos` tries many more of them.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from scheduler.faults import Fault
from scheduler.lifecycle import EvaluationState
from scheduler.store.base import FinaliseClaim, ShardClaim, StoredFile
from scheduler.store.database import Database
from tests.chaos.emptied import emptied
from tests.factories import scores, stored_file
from tests.laws.stores import Stores, file_of

EXAMPLES = int(os.environ.get("VAEVAL_TEST_EXAMPLES", "12"))
IS_SHORT = EXAMPLES < 100
CHECKPOINTS = ("a", "b", "c")
WORKERS = ("worker-1", "worker-2", "worker-3")
OVER = {"finished", "failed", "cancelled"}

any_number = st.integers(0, 10_000)


class StoreMachine(RuleBasedStateMachine):
    """Three checkpoints at most, of two shards each, and the two shards of their reference."""

    database: Database

    @initialize(is_reference_there=st.booleans(), are_shards_there=st.booleans())
    def begin(self, is_reference_there: bool, are_shards_there: bool) -> None:
        emptied(self.database)
        self.stores = Stores(self.database)
        self.claims: list[ShardClaim] = []
        self.finalises: list[FinaliseClaim] = []
        self.holders: dict[int, ShardClaim] = {}
        self.finalisers: dict[tuple[str, int], FinaliseClaim] = {}
        self.expired: set[int] = set()
        self.expired_finalises: set[tuple[str, int]] = set()
        self.files: dict[int, tuple[int, StoredFile]] = {}
        self.tokens: dict[int, int] = {}
        self.results: dict[int, float] = {}
        self.stores.submit(CHECKPOINTS[0])
        if is_reference_there or are_shards_there:
            self.everybody_works()
        if is_reference_there:
            self.claim_finalise("worker-1")
            self.finish_finalise(0, 0.0)
        if not are_shards_there:
            self.submit(CHECKPOINTS[1])

    @rule()
    def everybody_works(self) -> None:
        """Long sequences that get nowhere break few promises: compute all shards that can be claimed."""
        while (before := len(self.claims)) is not None:
            self.claim("worker-1")
            if len(self.claims) == before:
                return
            self.finish(before, is_other_file=False)

    # --- who submits --------------------------------------------------------------------------------------------------

    @rule(name=st.sampled_from(CHECKPOINTS))
    def submit(self, name: str) -> None:
        before = self._states()
        (entry,) = self.stores.submit(name).evaluations
        assert entry.created == (entry.evaluation_id not in before)
        if before.get(entry.evaluation_id) == "finished":
            assert entry.state is EvaluationState.FINISHED

    @rule(number=st.integers(1, 3))
    def cancel(self, number: int) -> None:
        before = self._states()
        if number not in before:
            return
        (change,) = self.stores.submissions.cancel([number])
        assert change.before == before[number]
        assert change.is_changed == (before[number] not in OVER)
        self._forget_stopped()

    @rule(number=st.integers(1, 3))
    def retry(self, number: int) -> None:
        before = self._states()
        if number not in before:
            return
        (change,) = self.stores.submissions.retry([number]).evaluations
        assert change.is_changed == (before[number] in {"failed", "cancelled"})

    # --- who works ----------------------------------------------------------------------------------------------------

    @rule(worker=st.sampled_from(WORKERS))
    def claim(self, worker: str) -> None:
        claim = self.stores.work.claim_shard(worker)
        if claim is None:
            return
        assert claim.shard_id not in self.holders, "two hold one shard"
        assert claim.token > self.tokens.get(claim.shard_id, 0), "a token that was used before"
        assert 1 <= claim.attempt <= 3
        self.tokens[claim.shard_id] = claim.token
        self.holders[claim.shard_id] = claim
        self.claims.append(claim)

    @precondition(lambda self: self.claims)
    @rule(which=any_number, images=st.integers(0, 100))
    def renew(self, which: int, images: int) -> None:
        claim = self.claims[which % len(self.claims)]
        assert self.stores.work.renew_shard(claim, images) == self._holds(claim)
        if self._holds(claim):
            self.expired.discard(claim.shard_id)

    @precondition(lambda self: self.claims)
    @rule(which=any_number, is_other_file=st.booleans())
    def finish(self, which: int, is_other_file: bool) -> None:
        claim = self.claims[which % len(self.claims)]
        file = stored_file(f"other-{claim.shard_id}-{claim.token}") if is_other_file else file_of(claim)
        is_repetition = self.files.get(claim.shard_id) == (claim.token, file)
        held = self._holds(claim)
        assert self.stores.work.finish_shard(claim, file, 1.0) == (held or is_repetition)
        if held:
            self._let_go(claim)
            self.files[claim.shard_id] = (claim.token, file)

    @precondition(lambda self: self.claims)
    @rule(which=any_number, fault=st.sampled_from(Fault))
    def fail(self, which: int, fault: Fault) -> None:
        claim = self.claims[which % len(self.claims)]
        held = self._holds(claim)
        assert self.stores.work.fail_shard(claim, "It did not work.", fault=fault) == held
        if held:
            self._let_go(claim)
        self._forget_stopped()

    @precondition(lambda self: self.claims)
    @rule(which=any_number)
    def release(self, which: int) -> None:
        claim = self.claims[which % len(self.claims)]
        held = self._holds(claim)
        assert self.stores.work.release_shard(claim) == held
        if held:
            self._let_go(claim)

    @rule(worker=st.sampled_from(WORKERS))
    def claim_finalise(self, worker: str) -> None:
        claim = self.stores.work.claim_finalise(worker)
        if claim is None:
            return
        owner = (claim.owner, claim.owner_id)
        assert owner not in self.finalisers, "two finalise one thing"
        column = "evaluation_id" if claim.owner == "evaluation" else "reference_id"
        numbers = self.stores.query(f"SELECT id FROM shards WHERE {column} = {claim.owner_id} ORDER BY number")
        recorded = [self.files[number][1] for (number,) in numbers]
        assert list(claim.shards) == recorded, "not the files that were recorded, in their order"
        self.finalisers[owner] = claim
        self.finalises.append(claim)

    @precondition(lambda self: self.finalises)
    @rule(which=any_number, fid=st.floats(0, 100))
    def finish_finalise(self, which: int, fid: float) -> None:
        claim = self.finalises[which % len(self.finalises)]
        held = self._finalises(claim)
        if claim.owner == "reference":
            merged = stored_file(f"merged.{claim.token}")
            again = self.stores.query(
                f"SELECT 1 FROM reference_sets WHERE state = 'finished' AND file_key = '{merged.key}'"
                f" AND lease_token = {claim.token} AND id = {claim.owner_id}"
            )
            assert self.stores.work.finish_reference(claim, merged) == (held or bool(again))
        else:
            is_repetition = (
                self._states()[claim.owner_id] == "finished" and self._last_token(claim.owner_id) == claim.token
            )
            assert self.stores.work.finish_evaluation(claim, scores(fid), None) == (held or is_repetition)
            if held:
                assert claim.owner_id not in self.results, "finished twice"
                self.results[claim.owner_id] = fid
        if held:
            self._let_finalise_go(claim)

    @precondition(lambda self: self.finalises)
    @rule(which=any_number)
    def renew_finalise(self, which: int) -> None:
        claim = self.finalises[which % len(self.finalises)]
        held = self._finalises(claim)
        assert self.stores.work.renew_finalise(claim) == held
        if held:
            self.expired_finalises.discard((claim.owner, claim.owner_id))

    @precondition(lambda self: self.finalises)
    @rule(which=any_number, fault=st.sampled_from(Fault))
    def give_finalise_up(self, which: int, fault: Fault) -> None:
        claim = self.finalises[which % len(self.finalises)]
        held = self._finalises(claim)
        assert self.stores.work.release_finalise(claim, "It did not work.", fault=fault) == held
        if held:
            self._let_finalise_go(claim)
        self._forget_stopped()

    @precondition(lambda self: self.finalises)
    @rule(which=any_number, for_good=st.booleans())
    def end_finalise(self, which: int, for_good: bool) -> None:
        claim = self.finalises[which % len(self.finalises)]
        held = self._finalises(claim)
        if for_good:
            assert self.stores.work.fail_finalise(claim, "It did not work.") == held
        else:
            assert self.stores.work.hand_finalise_back(claim) == held
        if held:
            self._let_finalise_go(claim)
        self._forget_stopped()

    @precondition(lambda self: self.finalises)
    @rule(which=any_number, number=st.integers(0, 2))
    def lose_a_file(self, which: int, number: int) -> None:
        claim = self.finalises[which % len(self.finalises)]
        held = self._finalises(claim)
        files = [*claim.shards, *([claim.reference] if claim.reference else [])]
        lost = files[number % len(files)]
        assert self.stores.work.recompute_shard(claim, lost, "The file is gone.") == held
        if held:
            self.files = {shard: made for shard, made in self.files.items() if made[1] != lost}
            self._let_finalise_go(claim)
        self._forget_stopped()

    # --- time and recovery --------------------------------------------------------------------------------------------

    @precondition(lambda self: self.holders)
    @rule(which=any_number)
    def a_lease_ends(self, which: int) -> None:
        claim = list(self.holders.values())[which % len(self.holders)]
        self.stores.end_lease(claim)
        self.expired.add(claim.shard_id)

    @precondition(lambda self: self.finalisers)
    @rule(which=any_number)
    def a_finalise_lease_ends(self, which: int) -> None:
        claim = list(self.finalisers.values())[which % len(self.finalisers)]
        self.stores.end_lease(claim)
        self.expired_finalises.add((claim.owner, claim.owner_id))

    @rule()
    def pauses_end(self) -> None:
        self.stores.end_pauses()

    @rule()
    def sweep(self) -> None:
        lost = self.stores.recovery.sweep().lost
        swept = {(each.owner, each.owner_id, each.shard) for each in lost}
        held = [self.holders[shard] for shard in self.expired]
        of_shards = {(claim.owner, claim.owner_id, claim.number) for claim in held}
        of_finalises = {(owner, owner_id, None) for owner, owner_id in self.expired_finalises}
        # A sweep that fails an evaluation takes its other shards along, expired or not.
        assert swept <= of_shards | of_finalises
        # Each that expired is free now, whoever holds it in the rows: the invariant finds what was left out.
        for shard in list(self.expired):
            self._let_go(self.holders[shard])
        for owner in list(self.expired_finalises):
            self._let_finalise_go(self.finalisers[owner])
        self._forget_stopped()

    # --- always -------------------------------------------------------------------------------------------------------

    @invariant()
    def the_rows_that_run_are_those_that_somebody_holds(self) -> None:
        running = dict(self.stores.query("SELECT id, lease_token FROM shards WHERE state = 'running'"))
        assert running == {shard: claim.token for shard, claim in self.holders.items()}

    @invariant()
    def what_is_being_finalised_is_what_somebody_finalises(self) -> None:
        for table, owner in (("evaluations", "evaluation"), ("reference_sets", "reference")):
            held = dict(self.stores.query(f"SELECT id, lease_token FROM {table} WHERE state = 'finalising'"))
            assert held == {number: claim.token for (kind, number), claim in self.finalisers.items() if kind == owner}

    @invariant()
    def nothing_of_what_is_over_can_be_claimed(self) -> None:
        left = self.stores.query(
            "SELECT s.id FROM shards s JOIN evaluations e ON e.id = s.evaluation_id"
            " WHERE e.state IN ('finished', 'failed', 'cancelled') AND s.state IN ('queued', 'running')"
        )
        assert left == []

    @invariant()
    def scores_are_written_once_and_stay(self) -> None:
        written = self.stores.query("SELECT evaluation_id, value FROM scores WHERE metric = 'fid'")
        assert dict(written) == self.results
        assert len(written) == len(self.results)
        finished = {number for number, state in self._states().items() if state == "finished"}
        assert finished == self.results.keys()

    @invariant()
    def what_failed_says_why(self) -> None:
        assert self.stores.query("SELECT id FROM evaluations WHERE state = 'failed' AND error IS NULL") == []

    def teardown(self) -> None:
        """Whatever happened, whoever goes on working comes to an end."""
        if not hasattr(self, "stores"):
            return
        for _ in range(50):
            self.stores.end_pauses()
            for claim in [*self.holders.values(), *self.finalisers.values()]:
                self.stores.end_lease(claim)
            self.stores.recovery.sweep()
            self.holders, self.finalisers = {}, {}
            self.stores.finish_everything()
            if set(self._states().values()) <= OVER and not self.stores.recovery.claimable():
                return
        raise AssertionError(f"never over: {self._states()}")

    # --- the model ----------------------------------------------------------------------------------------------------

    def _holds(self, claim: ShardClaim) -> bool:
        return self.holders.get(claim.shard_id) == claim

    def _finalises(self, claim: FinaliseClaim) -> bool:
        return self.finalisers.get((claim.owner, claim.owner_id)) == claim

    def _let_go(self, claim: ShardClaim) -> None:
        del self.holders[claim.shard_id]
        self.expired.discard(claim.shard_id)

    def _let_finalise_go(self, claim: FinaliseClaim) -> None:
        del self.finalisers[claim.owner, claim.owner_id]
        self.expired_finalises.discard((claim.owner, claim.owner_id))

    def _forget_stopped(self) -> None:
        """Claims end with what they are a part of, and with nothing else: what is over, the states say, and not the leases."""
        states = {("evaluation", number): state for number, state in self._states().items()} | {
            ("reference", number): state for number, state in self.stores.query("SELECT id, state FROM reference_sets")
        }
        for claim in list(self.holders.values()):
            if states[claim.owner, claim.owner_id] in OVER:
                self._let_go(claim)
        for finaliser in list(self.finalisers.values()):
            if states[finaliser.owner, finaliser.owner_id] in OVER:
                self._let_finalise_go(finaliser)

    def _states(self) -> dict[int, str]:
        return dict(self.stores.query("SELECT id, state FROM evaluations"))

    def _last_token(self, evaluation_id: int) -> Any:
        ((token,),) = self.stores.query(f"SELECT lease_token FROM evaluations WHERE id = {evaluation_id}")
        return token


def test_no_order_of_calls_breaks_a_promise(database: Database) -> None:
    machine = type("Machine", (StoreMachine,), {"database": database})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=40,
            deadline=None,
            derandomize=IS_SHORT,
            # To shrink a failure takes minutes; `make chaos` takes them.
            phases=[Phase.generate] if IS_SHORT else list(Phase),
            suppress_health_check=list(HealthCheck),
        ),
    )
