"""Seeded schedules of real disturbances: two hosts with real workers, a scheduler, a real broker and database, real signals.

The processes are kept from schedule to schedule, as they are by those who run the service: what was killed is started again.
A schedule is drawn from its seed before it begins; what it hits at its moment depends on the machine. So a seed gives the same
disturbances at the same times again, not the same interleaving; `tests.chaos.simulation` gives that.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scheduler.composition import Application, open_application
from scheduler.queue.celery_queue import CeleryWorkQueue
from scheduler.settings import Settings
from scheduler.store import schema
from scheduler.store.database import Database
from scheduler.submission import announce, register
from tests.chaos.broker import Broker
from tests.chaos.crew import LEASE_SECONDS, SWEEP_SECONDS, end_family, scheduler_host, thaw, worker_host
from tests.chaos.disturbances import TIMED, Disturbed
from tests.chaos.history import Strikes, longest_notice, newest_line
from tests.chaos.interference import Interference
from tests.chaos.invariants import violations
from tests.chaos.one_thread import one_thread
from tests.chaos.proxy import Proxy
from tests.chaos.results import Results, results_of
from tests.chaos.simulated_schedules import Outcome
from tests.chaos.workload import Workload
from vaeval_core.errors import VaevalError
from workers.shard_runner import RunOutcome, make_runner

DEADLINE_SECONDS = 120.0
SHARD_SECONDS = 0.15
"""How long a shard takes: long enough to be struck in its middle, and no work for the processor."""

HOUR = 3600.0

ORDERS = (
    *(
        (f"{when} {call}", "kill")
        for when in ("before", "after")
        for call in ("write_arrays", "finish_shard", "claim_finalise", "finish_reference", "finish_evaluation")
    ),
    ("within write_arrays", "kill"),
    ("within a shard", "kill"),
    ("within a shard", "kill parent"),
    ("before read_arrays", "kill"),
    ("after finish_shard", "kill parent"),
    ("before finish_shard", "stop"),
    ("before finish_evaluation", "stop"),
    ("before finish_reference", "stop"),
    ("within write_arrays", "stop"),
    ("within write_arrays", "disk full"),
)
"""What may be waiting for a pool process at a point of its work."""

SWEEP_TAKES_SECONDS = 0.5
"""On a machine that is busy with all of this: nothing beside the usual pause of 15 seconds, much beside one of half a second.
`tests/chaos/test_notice.py` holds the bound without it."""

HINDERS_NOTICE = {
    "kill scheduler",
    "freeze whole host past its lease",
    "network to database stops forwarding",
    "database ends all connections",
    "database is locked for a second",
    "eight others write to sqlite",
}
"""Where a death may be noticed later: nobody is there who would, or nobody gets at the database."""


@dataclass
class ProcessSchedules:
    """On one database, which must have its tables.

    Args:
        folder: For everything that is written.
        database_url: As in the settings.
    """

    folder: Path
    database_url: str
    _undisturbed: Results = field(default_factory=dict)

    def __post_init__(self) -> None:
        # The path of a socket may have about a hundred letters.
        self._short = Path(tempfile.mkdtemp(prefix="vaeval-chaos-"))
        for name in ("orders", "checkpoints"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.broker = Broker(self._short)
        self.broker_proxy = Proxy(self.broker.socket)
        database = Database(self.database_url)
        socket_folder = database.engine.url.query.get("host")
        database.dispose()
        is_server = not database.is_sqlite
        self.database_proxy = Proxy(Path(str(socket_folder)) / ".s.PGSQL.5432") if is_server else None
        straight, detour = self.variables(by_proxy=False), self.variables(by_proxy=True)
        self.here = worker_host("here", self.folder, straight)
        self.there = worker_host("there", self.folder, detour, clock=HOUR)
        self.watcher = scheduler_host(self.folder, straight)
        self.settings = Settings.from_environment({"VAEVAL_HOME": str(self.folder / "driver"), **straight})

    def variables(self, *, by_proxy: bool) -> dict[str, str]:
        """Where the servers are, seen by a host."""
        database, broker = self.database_url, f"redis+socket://{self.broker.socket}?virtual_host=0"
        if by_proxy:
            broker = f"redis://127.0.0.1:{self.broker_proxy.port}/0"
            if self.database_proxy is not None:
                name = database.partition("?")[0].rpartition("/")[2]
                database = f"postgresql://postgres@127.0.0.1:{self.database_proxy.port}/{name}"
        return {
            "VAEVAL_DATABASE_URL": database,
            "VAEVAL_BROKER_URL": broker,
            "VAEVAL_ARTIFACTS": str(self.folder / "artifacts"),
            "CHAOS_SECONDS": str(SHARD_SECONDS),
        }

    def close(self) -> None:
        """End all that was started."""
        end_family(self.folder)
        for member in (self.here, self.there, self.watcher):
            member.reap()
        self.broker.kill()
        for proxy in (self.broker_proxy, self.database_proxy):
            if proxy is not None:
                proxy.close()
        shutil.rmtree(self._short, ignore_errors=True)

    def run(self, seed: int) -> Outcome:
        """One schedule, judged."""
        generator = random.Random(seed)
        orders = generator.sample(ORDERS, generator.randint(0, 3))
        timed = sorted(
            (round(generator.uniform(0.0, 3.0), 2), generator.choice(sorted(TIMED)))
            for _ in range(generator.randint(1, 4))
        )
        has_poison = generator.random() < 0.2
        story = [f"order: {what} at «{point}»" for point, what in orders]
        story += [f"at {at:.2f} s: {what}" for at, what in timed]
        workload = Workload(self.folder / "checkpoints", seed=seed)
        self._undisturbed |= self._scores_without_disturbance(workload)
        struck = self.folder / "struck"
        struck.unlink(missing_ok=True)
        with open_application(self.settings) as application:
            since = newest_line(application)
            try:
                strikes = self._disturb(application, workload, orders, timed, story, generator, has_poison=has_poison)
                if struck.exists():
                    strikes.of.update(struck.read_text(encoding="utf-8").split())
                if not any(what in HINDERS_NOTICE for _, what in timed):
                    strikes.notice_seconds = LEASE_SECONDS + SWEEP_SECONDS + SWEEP_TAKES_SECONDS
                notice = longest_notice(application, strikes, since=since)
                if notice is not None:
                    story.append(f"a death was noticed after {notice:.2f} s of {strikes.notice_seconds:g}")
                found = violations(application, self._undisturbed, strikes, since=since)
            except TimeoutError as error:
                found = [f"{error}: {self._what_is_left(application)}"]
        return Outcome(seed, found, story, "; ".join(story))

    def _disturb(
        self,
        application: Application,
        workload: Workload,
        orders: Sequence[tuple[str, str]],
        timed: Sequence[tuple[float, str]],
        story: list[str],
        generator: random.Random,
        *,
        has_poison: bool,
    ) -> Strikes:
        self._start()
        for point, what in orders:
            (self.folder / "orders" / point).write_text(what, encoding="utf-8")
        assert self.settings.broker_url is not None
        queue = CeleryWorkQueue(self.settings.broker_url)
        if has_poison:
            story.append("one checkpoint is poison")
            register(application, workload.digits, workload.poison)
        announce(queue, register(application, workload.digits, workload.requests))
        disturbed = Disturbed(self, application, queue, workload, generator)
        started = time.monotonic()
        for at, what in timed:
            time.sleep(max(0.0, started + at - time.monotonic()))
            try:
                TIMED[what](disturbed)
            except VaevalError as error:
                story.append(f"{what} met: {error.what}")
        disturbed.put_right()
        self._wait_until_over(application)
        for left in (self.folder / "orders").iterdir():
            story.append(f"nobody came to «{left.name}», or only at a last attempt")
            left.unlink()
        if disturbed.spared:
            story.append(f"spared a last attempt {disturbed.spared} times")
        return disturbed.strikes

    def _start(self) -> None:
        for member in (self.here, self.there, self.watcher):
            member.start()

    def _wait_until_over(self, application: Application) -> None:
        """Whoever is stopped goes on after its lease; pauses of half a minute are cut short."""
        interference = Interference(application, random.Random(0))
        deadline = time.monotonic() + DEADLINE_SECONDS
        thaw_at = time.monotonic() + LEASE_SECONDS + 1.0
        quiet_since: float | None = None
        while quiet_since is None or time.monotonic() - quiet_since < 1.0:
            if time.monotonic() > deadline:
                raise TimeoutError(f"not over after {DEADLINE_SECONDS:g} s")
            time.sleep(0.25)
            if time.monotonic() > thaw_at:
                thaw(self.folder)
            self._start()
            interference.end_pauses()
            is_quiet = application.reads.progress().is_over and not application.recovery.claimable()
            quiet_since = (quiet_since or time.monotonic()) if is_quiet else None

    def _scores_without_disturbance(self, workload: Workload) -> Results:
        """By one process, on a database and artifacts of its own."""
        home = self.folder / "undisturbed"
        settings = Settings.from_environment({"VAEVAL_HOME": str(home)})
        with one_thread(), open_application(settings) as application:
            schema.require_current(application.database)
            register(application, workload.digits, workload.requests)
            runner = make_runner(application, "undisturbed")
            while runner.run_one() is not RunOutcome.NOTHING_TO_DO:
                pass
            return results_of(application)

    def _what_is_left(self, application: Application) -> str:
        progress = application.reads.progress()
        return f"{dict(progress.evaluations)}, {dict(progress.shards)}, claimable {application.recovery.claimable()}"
