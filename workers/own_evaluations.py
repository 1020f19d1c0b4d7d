"""Whose work a worker looks for: everybody's, or that of one `vaeval run` before or instead of it.

    vaeval worker          anything, in the order of the store
    vaeval run             its own evaluations first, then anything: the bell that a slot hears may be rung for either
    vaeval run --inline    its own evaluations and nothing else

A reference belongs to every evaluation that waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scheduler.id_runs import ids_as_text, ids_of_text

Turns = tuple[Sequence[int] | None, ...]
"""What to look for, in order: ids of evaluations, or None for anything."""

ANY: Turns = (None,)

VARIABLE = "WORKER_OWN_EVALUATIONS"
"""From the supervisor to pool processes, which are fresh interpreters. No setting, so not one of VAEVAL_*."""


def as_environment(evaluation_ids: Sequence[int]) -> dict[str, str]:
    """What makes `turns_of` give these evaluations first; without any it also hides what was there before."""
    return {VARIABLE: ids_as_text(evaluation_ids)}


def turns_of(environment: Mapping[str, str]) -> Turns:
    """The evaluations that the supervisor named, then anything.

    >>> turns_of(as_environment([7, 8])), turns_of({})
    (([7, 8], None), (None,))
    """
    own = ids_of_text(environment.get(VARIABLE, ""))
    return (own, None) if own else ANY
