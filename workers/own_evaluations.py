"""Whose work a worker looks for: everybody's, or that of one `vaeval run`.

    vaeval worker          anything, in the order of the store
    vaeval run             its own evaluations and nothing else: it ends when they are over, and would cut off what it had begun
                           for others

A slot of a run may hear a bell that was rung for somebody else; it rings once more (`tasks`).
A reference belongs to every evaluation that waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scheduler.id_runs import ids_of_argument

VARIABLE = "WORKER_OWN_EVALUATIONS"
"""From the supervisor to pool processes, which are fresh interpreters. No setting, so not one of VAEVAL_*."""


def as_environment(argument: str) -> dict[str, str]:
    """What makes `own_of` give the evaluations of an `--only`; with an empty one it hides what was there before."""
    return {VARIABLE: argument}


def own_of(environment: Mapping[str, str]) -> Sequence[int] | None:
    """Ids of the evaluations that the supervisor named, or None for any.

    >>> own_of(as_environment("7-8")), own_of({})
    ([7, 8], None)
    """
    return ids_of_argument(environment.get(VARIABLE, "")) or None
