"""How long a death stays unnoticed with the default settings: no arithmetic on them, but the real stores, the real recovery and
a claim that is renewed as a worker renews it, while time passes in leaps.

Time passes by moving every lease into the past of the database's own clock, so that 75 seconds take a moment.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

import pytest
from sqlalchemy import Column, select, text, update

from scheduler.lifecycle import ShardState
from scheduler.recovery import Recovery
from scheduler.settings import Settings
from scheduler.store.base import ShardClaim
from scheduler.store.database import Database
from scheduler.store.sql_work import SqlWorkStore
from scheduler.store.tables import leases, shards
from tests.chaos.emptied import emptied
from tests.chaos.simulated_process import Bell
from tests.laws.stores import Stores
from workers.heartbeat import BEATS_PER_LEASE, LONGEST_SILENCE_SECONDS

SETTINGS = Settings.from_environment({})
PROMISED_SECONDS = 75.0
"""What docs/operations.md says."""

pytestmark = pytest.mark.service


@dataclass
class World:
    """A database in which time passes when it is told to."""

    database: Database
    at: float = 0.0
    _agenda: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _number: count[int] = field(default_factory=count)

    def plan(self, at: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (at, next(self._number), what))

    def run_until(self, is_over: Callable[[], bool]) -> None:
        while not is_over():
            at, _, what = heapq.heappop(self._agenda)
            self._pass(at - self.at)
            self.at = at
            what()

    def _pass(self, seconds: float) -> None:
        def earlier(column: Column[datetime]) -> object:
            if self.database.is_sqlite:
                return text(f"strftime('%Y-%m-%d %H:%M:%f', {column.name}, '-{seconds:.3f} seconds') || '000'")
            return text(f"{column.name} - make_interval(secs => {seconds:.3f})")

        for column in (shards.c.lease_expires_at, leases.c.expires_at):
            statement = update(column.table).where(column.is_not(None)).values({column.name: earlier(column)})
            self.database.write(lambda connection, statement=statement: connection.execute(statement))


def notice_of_a_death(database: Database, generator: random.Random) -> float:
    """Seconds from the death of a worker, and perhaps of who was watching, until its shard could be claimed again."""
    world = World(emptied(database))
    stores = Stores(database)
    stores.submit_one()
    work = SqlWorkStore(database, lease_seconds=SETTINGS.lease_seconds)
    claim = work.claim_shard("worker-1")
    assert claim is not None
    dead: set[str] = set()
    died_at: list[float] = []

    def renew(claim: ShardClaim = claim) -> None:
        if "worker-1" not in dead:
            assert work.renew_shard(claim, 1)
            world.plan(world.at + min(SETTINGS.lease_seconds / BEATS_PER_LEASE, LONGEST_SILENCE_SECONDS), renew)

    def watch(name: str, recovery: Recovery) -> None:
        if name not in dead:
            recovery.step()
            world.plan(world.at + SETTINGS.sweep_seconds, lambda: watch(name, recovery))

    def die() -> None:
        dead.update(["worker-1", *generator.choice(((), ("supervisor",)))])
        died_at.append(world.at)

    for name in ("supervisor", "scheduler"):
        recovery = Recovery(stores.recovery, Bell(), owner=name, settings=SETTINGS)
        world.plan(
            generator.uniform(0.0, SETTINGS.sweep_seconds), lambda name=name, recovery=recovery: watch(name, recovery)
        )
    world.plan(0.0, renew)
    # At any time, and in half of all cases a moment after a renewal, when it takes longest to be noticed.
    beats = 5.0 * generator.randint(3, 6)
    world.plan(generator.choice((beats + 0.001, beats + generator.uniform(0.0, 5.0))), die)
    is_queued = select(shards.c.id).where(shards.c.id == claim.shard_id, shards.c.state == ShardState.QUEUED)
    world.run_until(lambda: database.read(lambda connection: connection.scalar(is_queued)) is not None)
    return world.at - died_at[0]


def test_a_dead_worker_is_noticed_within_75_seconds_by_default(database: Database) -> None:
    generator = random.Random(75)
    seconds = [notice_of_a_death(database, generator) for _ in range(4)]
    assert max(seconds) <= PROMISED_SECONDS
    assert min(seconds) >= SETTINGS.lease_seconds - LONGEST_SILENCE_SECONDS - 1.0, "nobody is given up before his time"
    assert max(seconds) > SETTINGS.lease_seconds, "some take their time, or this measures something else"
