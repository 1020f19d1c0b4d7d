"""What a schedule does to real processes and servers, by name; and how it is put right at the end of the disturbances."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from sqlalchemy import create_engine, select, text
from sqlalchemy.pool import NullPool

from scheduler.composition import Application
from scheduler.lifecycle import EvaluationState
from scheduler.queue.celery_queue import CeleryWorkQueue
from scheduler.store.clock import database_now
from tests.chaos.crew import LEASE_SECONDS, Member, submitter
from tests.chaos.history import Strikes
from tests.chaos.interference import Interference
from tests.chaos.last_attempts import LastAttempts
from tests.chaos.workload import Workload

if TYPE_CHECKING:
    from tests.chaos.process_schedules import ProcessSchedules

LONGEST_WAIT_SECONDS = 120.0
"""For others that a schedule started: they are in nobody's way, so this only tells a slow machine from one that hangs."""

WRITERS = 8
WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
for _ in range(150):
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO events (at, action, detail) VALUES ('2026-01-01 00:00:00.000000', 'noise', '{}')")
    connection.execute("COMMIT")
"""


class Disturbed:
    """A schedule under way: what it may strike."""

    def __init__(
        self,
        world: ProcessSchedules,
        application: Application,
        queue: CeleryWorkQueue,
        workload: Workload,
        generator: random.Random,
    ) -> None:
        self.world = world
        self.application = application
        self.queue = queue
        self.workload = workload
        self.random = generator
        self.interference = Interference(application, generator)
        self.last_attempts = LastAttempts(application)
        self.strikes = Strikes()
        self.others: list[subprocess.Popen[bytes]] = []
        self.is_broker_down = False
        self.spared = 0

    def host(self) -> Member:
        """One of the two with workers."""
        return self.random.choice((self.world.here, self.world.there))

    def strike(self, host: Member, action: Callable[[list[psutil.Process]], object]) -> None:
        """Do something to a host that may cost it the work at hand, unless that has one attempt left.

        Args:
            host: Whom.
            action: What; gets the processes that compute. They are stopped then, and go on afterwards.
        """
        at_work = host.pool_processes()
        _each(at_work, psutil.Process.suspend)
        if self.is_last_attempt(host):
            self.spared += 1
        else:
            self.strikes.of[host.worker()] += 1
            action(at_work)
        _each(at_work, psutil.Process.resume)

    def is_last_attempt(self, host: Member) -> bool:
        """True if the host is at something that must not fail once more, or is just getting such a thing."""
        return self.last_attempts.is_held(host.worker()) or self.last_attempts.is_next()

    def now(self) -> datetime:
        """By the clock of the database."""
        return self.application.database.read(
            lambda connection: connection.execute(select(database_now())).scalar_one()
        )

    def put_right(self) -> None:
        """Servers are back, networks whole; processes are started again by who waits for the end."""
        if self.is_broker_down:
            self.world.broker.start()
        for proxy in (self.world.broker_proxy, self.world.database_proxy):
            if proxy is not None:
                proxy.recover()
        for other in self.others:
            try:
                code = other.wait(LONGEST_WAIT_SECONDS)
            except subprocess.TimeoutExpired as error:
                raise TimeoutError(f"{other.args} has not ended after {LONGEST_WAIT_SECONDS:g} s") from error
            assert code == 0, f"{other.args} failed"


def kill_pool_process(disturbed: Disturbed) -> None:
    disturbed.strike(disturbed.host(), lambda at_work: _each(at_work, psutil.Process.kill))


def kill_slot(disturbed: Disturbed) -> None:
    host = disturbed.host()
    disturbed.strike(host, lambda _: _each(host.slots(), psutil.Process.kill))


def kill_supervisor(disturbed: Disturbed) -> None:
    host = disturbed.host()

    def kill(_: list[psutil.Process]) -> None:
        name = host.worker()
        host.kill()
        disturbed.strikes.deaths.setdefault(name, disturbed.now())

    disturbed.strike(host, kill)


def kill_scheduler(disturbed: Disturbed) -> None:
    disturbed.world.watcher.kill()


def stop_supervisor_in_good_order(disturbed: Disturbed) -> None:
    disturbed.host().terminate()


def freeze_pool_process_past_its_lease(disturbed: Disturbed) -> None:
    disturbed.strike(disturbed.host(), lambda _: time.sleep(LEASE_SECONDS + 1.0))


def freeze_whole_host_past_its_lease(disturbed: Disturbed) -> None:
    host = disturbed.host()

    def freeze(_: list[psutil.Process]) -> None:
        others = [*host.slots(), *host.supervisors()]
        _each(others, psutil.Process.suspend)
        time.sleep(LEASE_SECONDS + 1.0)
        _each(others, psutil.Process.resume)

    disturbed.strike(host, freeze)


def wipe_broker(disturbed: Disturbed) -> None:
    disturbed.world.broker.wipe()


def restart_broker_with_its_file(disturbed: Disturbed) -> None:
    disturbed.world.broker.kill()
    disturbed.world.broker.start()


def restart_broker_without_its_file(disturbed: Disturbed) -> None:
    disturbed.world.broker.kill()
    disturbed.world.broker.forget()
    disturbed.world.broker.start()


def broker_goes_for_good(disturbed: Disturbed) -> None:
    """Until things are put right."""
    disturbed.world.broker.kill()
    disturbed.is_broker_down = True


def every_message_comes_five_times(disturbed: Disturbed) -> None:
    disturbed.queue.ring(4 * max(disturbed.queue.waiting(), 3))


def network_to_broker_stops_forwarding(disturbed: Disturbed) -> None:
    disturbed.world.broker_proxy.stop_forwarding()


def network_to_database_stops_forwarding(disturbed: Disturbed) -> None:
    proxy, host = disturbed.world.database_proxy, disturbed.world.there
    if proxy is None:
        return

    def cut(_: list[psutil.Process]) -> None:
        proxy.stop_forwarding()

    disturbed.strike(host, cut)


def database_ends_all_connections(disturbed: Disturbed) -> None:
    database = disturbed.application.database
    if database.is_sqlite:
        return
    others = "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    engine = create_engine(database.url, poolclass=NullPool)
    with engine.connect() as connection:
        for _ in range(5):
            # A claim whose answer is lost on the way is made again, and nobody knows of the first.
            disturbed.strikes.of.update(host.worker() for host in (disturbed.world.here, disturbed.world.there))
            connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))
            time.sleep(0.05)


def database_is_locked_for_a_second(disturbed: Disturbed) -> None:
    database = disturbed.application.database
    if database.is_sqlite:
        with sqlite3.connect(str(database.engine.url.database), timeout=60, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            time.sleep(1.0)
            other.execute("COMMIT")
        other.close()
        return
    engine = create_engine(database.url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("LOCK TABLE shards IN EXCLUSIVE MODE"))
        time.sleep(1.0)


def eight_others_write_to_sqlite(disturbed: Disturbed) -> None:
    database = disturbed.application.database
    if database.is_sqlite:
        command = [sys.executable, "-I", "-c", WRITER, str(database.engine.url.database)]
        disturbed.others += [subprocess.Popen(command) for _ in range(WRITERS)]


def damage_a_file(disturbed: Disturbed) -> None:
    root = Path(disturbed.application.artifacts.url)
    disturbed.interference.damage_a_file(root, lambda key: not disturbed.last_attempts.allow_damage(key))


def cancel_and_retry(disturbed: Disturbed) -> None:
    ids = [
        record.evaluation_id
        for record in disturbed.application.reads.evaluations()
        if record.state is not EvaluationState.FINISHED
    ]
    if ids:
        disturbed.application.submissions.cancel(ids[:1])
        time.sleep(0.2)
        disturbed.application.submissions.retry(ids[:1])


def two_processes_submit_the_same_at_once(disturbed: Disturbed) -> None:
    world = disturbed.world
    variables = world.variables(by_proxy=False)
    arguments = (str(disturbed.workload.folder), str(disturbed.workload.seed))
    disturbed.others += [submitter(world.folder, variables, *arguments) for _ in range(2)]


def _each(processes: list[psutil.Process], action: Callable[[psutil.Process], object]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            action(process)


TIMED: dict[str, Callable[[Disturbed], None]] = {
    function.__name__.replace("_", " "): function
    for function in (
        kill_pool_process,
        kill_slot,
        kill_supervisor,
        kill_scheduler,
        stop_supervisor_in_good_order,
        freeze_pool_process_past_its_lease,
        freeze_whole_host_past_its_lease,
        wipe_broker,
        restart_broker_with_its_file,
        restart_broker_without_its_file,
        broker_goes_for_good,
        every_message_comes_five_times,
        network_to_broker_stops_forwarding,
        network_to_database_stops_forwarding,
        database_ends_all_connections,
        database_is_locked_for_a_second,
        eight_others_write_to_sqlite,
        damage_a_file,
        cancel_and_retry,
        two_processes_submit_the_same_at_once,
    )
}
