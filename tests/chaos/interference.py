"""What a schedule does to the database and the files behind everybody's back: time that passes, and disks that fail."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import Connection, and_, null, true, update

from scheduler.composition import Application
from scheduler.lifecycle import EvaluationState, ShardState
from scheduler.settings import MAX_ATTEMPTS
from scheduler.store.clock import database_now_plus
from scheduler.store.tables import evaluations, leases, reference_sets, shards


class Interference:
    """On one application; every choice is drawn from the schedule's generator."""

    def __init__(self, application: Application, generator: random.Random) -> None:
        self._application = application
        self._random = generator

    def end_leases(self, of: Sequence[str] | None = None, *, most_attempts: int = MAX_ATTEMPTS) -> None:
        """As if these, or everybody, had been silent for too long; work that was tried more often keeps its lease."""

        def work(connection: Connection) -> None:
            for table, held in (
                (shards, ShardState.RUNNING),
                (reference_sets, EvaluationState.FINALISING),
                (evaluations, EvaluationState.FINALISING),
            ):
                theirs = true() if of is None else table.c.lease_owner.in_(of)
                which = and_(table.c.state == held, table.c.attempts <= most_attempts, theirs)
                ended = update(table).where(which).values(lease_expires_at=database_now_plus(-1.0))
                connection.execute(ended)

        self._application.database.write(work)

    def hold_pauses(self) -> None:
        """A pause that has begun ends when the schedule says so, not by the clock."""
        self._set_pauses(database_now_plus(3600.0))

    def end_pauses(self) -> None:
        """As if enough time had passed since each failed attempt."""
        self._set_pauses(null())

    def _set_pauses(self, until: object) -> None:
        def work(connection: Connection) -> None:
            connection.execute(update(shards).where(shards.c.not_before.is_not(None)).values(not_before=until))
            for table in (reference_sets, evaluations):
                pauses = and_(table.c.state != EvaluationState.FINALISING, table.c.lease_expires_at.is_not(None))
                connection.execute(update(table).where(pauses).values(lease_expires_at=until))

        self._application.database.write(work)

    def end_maintenance_lease(self) -> None:
        """Whoever comes first has it next."""
        self._application.database.write(
            lambda connection: connection.execute(update(leases).values(expires_at=database_now_plus(-1.0)))
        )

    def damage_a_file(self, root: Path, spare: Callable[[str], bool]) -> str:
        """A file is gone, cut, or altered in one bit, unless it is to be spared by its key. Returns which and how."""
        files = sorted(path for path in root.rglob("*.safetensors") if path.is_file())
        if not files:
            return "no file to damage"
        victim = self._random.choice(files)
        how = self._random.choice(("lost", "cut", "altered"))
        if spare(victim.relative_to(root).as_posix()):
            return f"spared: {victim.relative_to(root).as_posix()}"
        content = bytearray(victim.read_bytes())
        if how == "lost":
            victim.unlink()
        elif how == "cut":
            victim.write_bytes(content[: self._random.randrange(len(content))])
        else:
            place = self._random.randrange(len(content))
            content[place] ^= 1 << self._random.randrange(8)
            victim.write_bytes(content)
        return f"{how}: {victim.relative_to(root).as_posix()}"
