"""What evaluations under way wait for, in sentences: once for all that wait for the same, and once while somebody watches."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cli import rendering
from cli.number_formats import duration

if TYPE_CHECKING:
    from scheduler.store.answers import Waiting
    from scheduler.store.base import ReadStore

LOOK_SECONDS = 5.0


def told_waits(waits: Mapping[int, Waiting]) -> dict[str, list[int]]:
    """Sentence → the evaluations that it is about: an outage stops many, and is told once, with the attempt that is first."""
    together: dict[str, dict[int, Waiting]] = {}
    for number, each in waits.items():
        for reason in _reasons(each):
            together.setdefault(reason, {})[number] = each
    return {reason + _until(list(each.values()), reason): list(each) for reason, each in together.items()}


def _reasons(waiting: Waiting) -> list[str]:
    whose = "its reference: " if waiting.owner == "reference" else ""
    pauses = [f"{whose}{waiting.reason}"] if waiting.next_attempt_at is not None else []
    return [*pauses, *(f"{whose}left to other machines than {host}: {why}" for host, why in waiting.refused_by.items())]


def _until(waits: Sequence[Waiting], reason: str) -> str:
    pauses = [each for each in waits if each.reason is not None and reason.endswith(each.reason)]
    attempts = [each.next_attempt_at for each in pauses if each.next_attempt_at is not None]
    if not attempts:
        return ""
    left = duration(max((min(attempts) - datetime.now(UTC)).total_seconds(), 0.0))
    ends = [each.gives_up_at for each in pauses if each.gives_up_at is not None]
    given_up = f"; given up at {min(ends):%Y-%m-%d %H:%M} UTC" if ends else ""
    return f" Next attempt at {min(attempts):%H:%M:%S} UTC, in {left}{given_up}."


class WaitNotes:
    """Tells on stderr, beside a progress display, what evaluations wait for: each reason once.

    Args:
        reads: Where that is read.
        evaluation_ids: Which evaluations.
    """

    def __init__(self, reads: ReadStore, evaluation_ids: Sequence[int]) -> None:
        self._reads = reads
        self._ids = evaluation_ids
        self._told: set[str] = set()
        self._looks_at = time.monotonic() + LOOK_SECONDS

    def tell(self) -> None:
        """Look, if it is time to."""
        if time.monotonic() < self._looks_at:
            return
        self._looks_at = time.monotonic() + LOOK_SECONDS
        waits = self._reads.waiting(self._ids)
        for sentence in told_waits(waits):
            reason = sentence.partition(" Next attempt at ")[0]
            if reason not in self._told:
                self._told.add(reason)
                rendering.note(f"waiting: {sentence}")
