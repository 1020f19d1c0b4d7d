"""What the journal must tell after a schedule: nothing failed that was not meant to, no attempt was lost for nothing, and
nothing that was finished was computed again.

The journal is held against what the schedule itself did, its strikes, and against arithmetic: every claim ends once.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from scheduler.composition import Application
from scheduler.lifecycle import (
    EVALUATION_TRANSITIONS,
    SHARD_TRANSITIONS,
    EvaluationEvent,
    EvaluationState,
    ShardState,
)
from scheduler.settings import MAX_ATTEMPTS
from scheduler.store.tables import checkpoints, evaluations, events
from tests.chaos.workload import POISON

_FAILED = ("shard_failed", "finalise_failed")
_STOPPED = (*_FAILED, "cancelled")
_CLAIMS = ("claimed", "finalise_claimed")
_ENDS_OF_FINALISATION = {event for state, event in EVALUATION_TRANSITIONS if state is EvaluationState.FINALISING}
_ENDS: dict[str, AbstractSet[str]] = {
    "shard": {event for state, event in SHARD_TRANSITIONS if state is ShardState.RUNNING},
    "evaluation": _ENDS_OF_FINALISATION - {EvaluationEvent.CANCELLED},  # which may also come without a claim
    "reference": _ENDS_OF_FINALISATION,
}
_LOST = frozenset(
    {"shard.lease_ended", "shard.attempt_failed", "shard.gave_up"}
    | {f"{owner}.finalise_{how}" for owner in ("evaluation", "reference") for how in ("lease_ended", "attempt_failed")}
)
"""Lines that say that somebody's attempt came to nothing."""


@dataclass
class Strikes:
    """What a schedule did to those who work, and what it may therefore cost.

    Attributes:
        of: Worker → how often it was struck. Each strike may cost one attempt, for a worker holds one piece of work.
        may_fail: The schedule may strike one piece of work as often as it takes to fail it.
        deaths: Worker that died for good → when, by the clock of the database.
        notice_seconds: The longest that it may take until such a death is noticed; infinite where watchers or database were
            struck too.
    """

    of: Counter[str] = field(default_factory=Counter)
    may_fail: bool = False
    deaths: dict[str, datetime] = field(default_factory=dict)
    notice_seconds: float = math.inf


def newest_line(application: Application) -> int:
    """Number of the journal's last line, to judge what follows alone."""
    return application.database.read(lambda connection: connection.scalar(select(func.max(events.c.id))) or 0)


def history_violations(application: Application, strikes: Strikes, *, since: int = 0) -> list[str]:
    """A sentence for each promise that the journal shows to be broken.

    Args:
        application: Where.
        strikes: What the schedule did.
        since: Number of the last line before the schedule.
    """
    lines, poisoned = application.database.read(lambda connection: _read(connection, since))
    return [
        *_failed_unasked(lines, poisoned, strikes),
        *_lost_for_nothing(lines, poisoned, strikes.of),
        *_noticed_late(lines, strikes),
        *_computed_again(lines),
        *_claims_without_end(lines),
    ]


def longest_notice(application: Application, strikes: Strikes, *, since: int = 0) -> float | None:
    """Seconds from a death until the work that was lost in it could be claimed again; None if none was lost."""
    lines, _ = application.database.read(lambda connection: _read(connection, since))
    return max(_notices(lines, strikes).values(), default=None)


def _read(connection: Connection, since: int) -> tuple[list[Row[Any]], set[int]]:
    poisoned = select(evaluations.c.id).join(checkpoints).where(checkpoints.c.uri.endswith(POISON))
    lines = select(events).where(events.c.id > since).order_by(events.c.id)
    return list(connection.execute(lines)), set(connection.scalars(poisoned))


def _failed_unasked(lines: list[Row[Any]], poisoned: set[int], strikes: Strikes) -> list[str]:
    found = []
    for line in lines:
        owner, _, event = line.action.partition(".")
        if event not in _FAILED or line.evaluation_id in poisoned:
            continue
        reason = str(line.detail.get("reason"))
        # Work is tried so many times before it fails, whatever the schedule does to it.
        is_last = f"{MAX_ATTEMPTS} attempts" in reason or f"{MAX_ATTEMPTS} times" in reason
        if not (strikes.may_fail and is_last):
            found.append(f"{owner} {line.evaluation_id or line.reference_id} failed, and was not meant to: {reason}")
    return found


def _lost(lines: list[Row[Any]], poisoned: set[int]) -> Counter[str]:
    return Counter(line.worker for line in lines if line.action in _LOST and line.evaluation_id not in poisoned)


def _lost_for_nothing(lines: list[Row[Any]], poisoned: set[int], strikes: Mapping[str, int]) -> list[str]:
    lost = _lost(lines, poisoned)
    return [
        f"{worker} was struck {strikes.get(worker, 0)} times, and {number} of its attempts were lost"
        for worker, number in sorted(lost.items())
        if number > strikes.get(worker, 0)
    ]


def _notices(lines: list[Row[Any]], strikes: Strikes) -> dict[str, float]:
    """Worker that died → seconds until its work was found."""
    return {
        line.worker: (line.at - strikes.deaths[line.worker]).total_seconds()
        for line in lines
        if line.action.endswith("lease_ended") and line.worker in strikes.deaths
    }


def _noticed_late(lines: list[Row[Any]], strikes: Strikes) -> list[str]:
    return [
        f"the death of {worker} was noticed after {seconds:.2f} s, not within {strikes.notice_seconds:g}"
        for worker, seconds in _notices(lines, strikes).items()
        if seconds > strikes.notice_seconds
    ]


def _computed_again(lines: list[Row[Any]]) -> list[str]:
    of_shard: dict[int, Counter[str]] = defaultdict(Counter)
    for line in lines:
        if line.shard_id is not None:
            of_shard[line.shard_id][line.action] += 1
    return [
        f"shard {shard} was finished {count['shard.computed']} times, and its file lost {count['shard.file_lost']} times"
        for shard, count in of_shard.items()
        if count["shard.computed"] > 1 + count["shard.file_lost"]
    ]


def _claims_without_end(lines: list[Row[Any]]) -> list[str]:
    """A claim ends in one of the ways that the journal has a line for, unless its owner was stopped."""
    open_claims: Counter[tuple[str, int]] = Counter()
    stops: Counter[tuple[str, int]] = Counter()
    owners: dict[tuple[str, int], tuple[str, int]] = {}
    for line in lines:
        noun, _, event = line.action.partition(".")
        if noun not in _ENDS:
            continue  # of those who only make noise
        owner = ("evaluation", line.evaluation_id) if line.reference_id is None else ("reference", line.reference_id)
        what = owner if noun != "shard" else ("shard", line.shard_id)
        owners[what] = owner
        open_claims[what] += (event in _CLAIMS) - (event in _ENDS[noun])
        stops[owner] += noun != "shard" and event in _STOPPED
    return [
        f"of {kind} {number} {count} claims have no end in the journal"
        for (kind, number), count in open_claims.items()
        if not 0 <= count <= stops[owners[kind, number]]
    ]
