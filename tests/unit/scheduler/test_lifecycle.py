"""The table of lives: what can happen when, and what cannot."""

from __future__ import annotations

import pytest

from scheduler.lifecycle import (
    EVALUATION_TRANSITIONS,
    SHARD_TRANSITIONS,
    EvaluationEvent,
    EvaluationState,
    InvalidTransition,
    ShardEvent,
    ShardState,
    evaluation_after,
    evaluation_states_before,
    shard_after,
    shard_states_before,
)


def test_a_shard_lives_from_queued_over_running_to_finished() -> None:
    state = shard_after(ShardState.QUEUED, ShardEvent.CLAIMED)
    assert state is ShardState.RUNNING
    assert shard_after(state, ShardEvent.COMPUTED) is ShardState.FINISHED


@pytest.mark.parametrize(
    "event", [ShardEvent.RELEASED, ShardEvent.LEASE_ENDED, ShardEvent.ATTEMPT_FAILED, ShardEvent.PUT_OFF]
)
def test_a_shard_that_loses_its_worker_is_queued_again(event: ShardEvent) -> None:
    assert shard_after(ShardState.RUNNING, event) is ShardState.QUEUED


@pytest.mark.parametrize("state", list(ShardState))
def test_only_a_queued_shard_can_be_claimed(state: ShardState) -> None:
    assert ((state, ShardEvent.CLAIMED) in SHARD_TRANSITIONS) == (state is ShardState.QUEUED)


def test_an_evaluation_lives_from_queued_to_finished() -> None:
    state = EvaluationState.QUEUED
    for event in (EvaluationEvent.SHARD_CLAIMED, EvaluationEvent.FINALISE_CLAIMED, EvaluationEvent.SCORED):
        state = evaluation_after(state, event)
    assert state is EvaluationState.FINISHED


def test_nothing_happens_to_what_is_finished_but_that_its_file_is_lost() -> None:
    assert {event for state, event in SHARD_TRANSITIONS if state is ShardState.FINISHED} == {ShardEvent.FILE_LOST}
    assert {event for state, event in EVALUATION_TRANSITIONS if state is EvaluationState.FINISHED} == {
        EvaluationEvent.REFERENCE_FILE_LOST
    }


@pytest.mark.parametrize("state", [EvaluationState.FAILED, EvaluationState.CANCELLED])
def test_what_failed_or_was_cancelled_can_only_be_submitted_again(state: EvaluationState) -> None:
    assert {event for before, event in EVALUATION_TRANSITIONS if before is state} == {EvaluationEvent.SUBMITTED_AGAIN}


def test_each_event_leads_to_one_state_wherever_it_happens() -> None:
    """What lets a store write one UPDATE for an event: a WHERE of several states, one new state."""
    for event in ShardEvent:
        assert len({shard_after(state, event) for state in shard_states_before(event)}) == 1, event
    for happening in EvaluationEvent:
        after = {evaluation_after(state, happening) for state in evaluation_states_before(happening)}
        assert len(after) == 1, happening


def test_terminal_states_are_the_three_ends() -> None:
    assert {state.name for state in ShardState if state.is_terminal} == {"FINISHED", "FAILED", "CANCELLED"}
    assert {state.name for state in EvaluationState if state.is_terminal} == {"FINISHED", "FAILED", "CANCELLED"}


def test_every_state_can_be_left_or_is_an_end() -> None:
    left = {state for state, _ in SHARD_TRANSITIONS}
    assert left >= {state for state in ShardState if not state.is_terminal}
    assert {state for state, _ in EVALUATION_TRANSITIONS} >= {
        state for state in EvaluationState if not state.is_terminal
    }


def test_the_states_before_an_event_are_those_that_allow_it() -> None:
    assert set(shard_states_before(ShardEvent.OWNER_STOPPED)) == {ShardState.QUEUED, ShardState.RUNNING}
    assert set(evaluation_states_before(EvaluationEvent.CANCELLED)) == {
        EvaluationState.QUEUED,
        EvaluationState.RUNNING,
        EvaluationState.FINALISING,
    }


def test_an_impossible_event_of_a_shard_says_what_is_possible() -> None:
    with pytest.raises(InvalidTransition) as caught:
        shard_after(ShardState.FAILED, ShardEvent.COMPUTED)
    assert caught.value.received == "computed in state failed"
    assert caught.value.expected == "one of submitted_again"


def test_an_impossible_event_of_an_evaluation_says_what_is_possible() -> None:
    with pytest.raises(InvalidTransition) as caught:
        evaluation_after(EvaluationState.FINALISING, EvaluationEvent.SHARD_CLAIMED)
    assert caught.value.received == "shard_claimed in state finalising"
    assert caught.value.expected == (
        "one of finalise_lease_ended, finalise_attempt_failed, finalise_put_off, finalise_released, shard_file_lost, scored, "
        "finalise_failed, cancelled"
    )
