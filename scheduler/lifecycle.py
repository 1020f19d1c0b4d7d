"""Every life that an evaluation, a reference or a shard can have, as one table. Pure: no clock, no database.

    shard       queued ─► running ─► finished          evaluation   queued ─► running ─► finalising ─► finished
                  ▲         │                                          │         │  ▲          │
                  └─────────┤ (lease ended, released)                  │         │  └──────────┤ (lease ended,
                            ▼                                          ▼         ▼             ▼  attempt failed)
                          failed                                   cancelled   failed        failed

What is put off waits for its surroundings, or for another machine, and no attempt is counted (`scheduler.faults`).
An evaluation may be cancelled from every state but the last three, and takes its shards along.
A reference lives like an evaluation, but is never cancelled, and is queued again if its merged file is lost: evaluations to
come still need it. A finished evaluation needs nothing more.
"""

from __future__ import annotations

from enum import StrEnum

from vaeval_core.errors import VaevalError


class ShardState(StrEnum):
    """Where a shard is."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """True where nothing more happens by itself."""
        return self in {ShardState.FINISHED, ShardState.FAILED, ShardState.CANCELLED}


class EvaluationState(StrEnum):
    """Where an evaluation or a reference is."""

    QUEUED = "queued"
    RUNNING = "running"
    FINALISING = "finalising"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """True where nothing more happens by itself."""
        return self in {EvaluationState.FINISHED, EvaluationState.FAILED, EvaluationState.CANCELLED}


class ShardEvent(StrEnum):
    """What can happen to a shard."""

    CLAIMED = "claimed"
    COMPUTED = "computed"
    RELEASED = "released"
    LEASE_ENDED = "lease_ended"
    ATTEMPT_FAILED = "attempt_failed"
    PUT_OFF = "put_off"
    GAVE_UP = "gave_up"
    OWNER_STOPPED = "owner_stopped"
    SUBMITTED_AGAIN = "submitted_again"
    FILE_LOST = "file_lost"


class EvaluationEvent(StrEnum):
    """What can happen to an evaluation or a reference."""

    SHARD_CLAIMED = "shard_claimed"
    FINALISE_CLAIMED = "finalise_claimed"
    FINALISE_LEASE_ENDED = "finalise_lease_ended"
    FINALISE_ATTEMPT_FAILED = "finalise_attempt_failed"
    FINALISE_PUT_OFF = "finalise_put_off"
    FINALISE_RELEASED = "finalise_released"
    SHARD_FILE_LOST = "shard_file_lost"
    SCORED = "scored"
    SHARD_FAILED = "shard_failed"
    FINALISE_FAILED = "finalise_failed"
    CANCELLED = "cancelled"
    SUBMITTED_AGAIN = "submitted_again"
    REFERENCE_FILE_LOST = "reference_file_lost"


class InvalidTransition(VaevalError):
    """Something was to happen that cannot happen in this state."""


_S, _SE = ShardState, ShardEvent
SHARD_TRANSITIONS: dict[tuple[ShardState, ShardEvent], ShardState] = {
    (_S.QUEUED, _SE.CLAIMED): _S.RUNNING,
    (_S.QUEUED, _SE.OWNER_STOPPED): _S.CANCELLED,
    (_S.RUNNING, _SE.COMPUTED): _S.FINISHED,
    (_S.RUNNING, _SE.RELEASED): _S.QUEUED,
    (_S.RUNNING, _SE.LEASE_ENDED): _S.QUEUED,
    (_S.RUNNING, _SE.ATTEMPT_FAILED): _S.QUEUED,
    (_S.RUNNING, _SE.PUT_OFF): _S.QUEUED,
    (_S.RUNNING, _SE.GAVE_UP): _S.FAILED,
    (_S.RUNNING, _SE.OWNER_STOPPED): _S.CANCELLED,
    (_S.FINISHED, _SE.FILE_LOST): _S.QUEUED,
    (_S.FAILED, _SE.SUBMITTED_AGAIN): _S.QUEUED,
    (_S.CANCELLED, _SE.SUBMITTED_AGAIN): _S.QUEUED,
}

_E, _EE = EvaluationState, EvaluationEvent
EVALUATION_TRANSITIONS: dict[tuple[EvaluationState, EvaluationEvent], EvaluationState] = {
    (_E.QUEUED, _EE.SHARD_CLAIMED): _E.RUNNING,
    (_E.RUNNING, _EE.SHARD_CLAIMED): _E.RUNNING,
    (_E.QUEUED, _EE.FINALISE_CLAIMED): _E.FINALISING,
    (_E.RUNNING, _EE.FINALISE_CLAIMED): _E.FINALISING,
    (_E.FINALISING, _EE.FINALISE_LEASE_ENDED): _E.RUNNING,
    (_E.FINALISING, _EE.FINALISE_ATTEMPT_FAILED): _E.RUNNING,
    (_E.FINALISING, _EE.FINALISE_PUT_OFF): _E.RUNNING,
    (_E.FINALISING, _EE.FINALISE_RELEASED): _E.RUNNING,
    (_E.FINALISING, _EE.SHARD_FILE_LOST): _E.RUNNING,
    (_E.FINALISING, _EE.SCORED): _E.FINISHED,
    (_E.FINALISING, _EE.FINALISE_FAILED): _E.FAILED,
    (_E.QUEUED, _EE.SHARD_FAILED): _E.FAILED,
    (_E.RUNNING, _EE.SHARD_FAILED): _E.FAILED,
    (_E.QUEUED, _EE.CANCELLED): _E.CANCELLED,
    (_E.RUNNING, _EE.CANCELLED): _E.CANCELLED,
    (_E.FINALISING, _EE.CANCELLED): _E.CANCELLED,
    (_E.FAILED, _EE.SUBMITTED_AGAIN): _E.QUEUED,
    (_E.CANCELLED, _EE.SUBMITTED_AGAIN): _E.QUEUED,
    (_E.FINISHED, _EE.REFERENCE_FILE_LOST): _E.QUEUED,
}


def shard_after(state: ShardState, event: ShardEvent) -> ShardState:
    """The state that follows.

    Raises:
        InvalidTransition: The event cannot happen in this state.
    """
    try:
        return SHARD_TRANSITIONS[state, event]
    except KeyError:
        raise _impossible("shard", state, event, [e for s, e in SHARD_TRANSITIONS if s is state]) from None


def evaluation_after(state: EvaluationState, event: EvaluationEvent) -> EvaluationState:
    """The state that follows.

    Raises:
        InvalidTransition: The event cannot happen in this state.
    """
    try:
        return EVALUATION_TRANSITIONS[state, event]
    except KeyError:
        raise _impossible("evaluation", state, event, [e for s, e in EVALUATION_TRANSITIONS if s is state]) from None


def shard_states_before(event: ShardEvent) -> tuple[ShardState, ...]:
    """The states in which the event can happen: the WHERE clause of its UPDATE."""
    return tuple(state for state, known in SHARD_TRANSITIONS if known is event)


def evaluation_states_before(event: EvaluationEvent) -> tuple[EvaluationState, ...]:
    """The states in which the event can happen: the WHERE clause of its UPDATE."""
    return tuple(state for state, known in EVALUATION_TRANSITIONS if known is event)


def _impossible(noun: str, state: StrEnum, event: StrEnum, possible: list[StrEnum]) -> InvalidTransition:
    return InvalidTransition(
        f"A {noun} cannot go through this event in its state.",
        received=f"{event} in state {state}",
        expected="one of " + ", ".join(possible) if possible else "nothing: the state is final",
    )
