"""What `vaeval doctor` looks at beyond the program: database, broker, artifact store, and who works for them.

A check changes nothing that lasts and never raises for what it is there to find.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from cli.finding import Check
from cli.machine_checks import check_home
from cli.number_formats import count
from vaeval_core.errors import VaevalError

if TYPE_CHECKING:
    from scheduler.settings import Settings


def check_database(settings: Settings) -> Check:
    """Whether the database answers and has this program's schema."""
    from scheduler.store import schema
    from scheduler.store.database import Database

    shown = settings.shown()["VAEVAL_DATABASE_URL"]
    try:
        database = Database(settings.database_url)
        try:
            if settings.is_sqlite and schema.is_empty(database):
                return Check(name="database", verdict="ok", finding=f"{shown} is made when it is first needed.")
            schema.require_current(database)
        finally:
            database.dispose()
    except VaevalError as error:
        return Check.failed("database", error)
    return Check(name="database", verdict="ok", finding=f"{shown} answers, at revision {schema.head_revision()}.")


def check_broker(settings: Settings) -> Check:
    """Whether the broker answers, or there is a server to start."""
    from scheduler.queue.celery_queue import CeleryWorkQueue
    from scheduler.queue.embedded_broker import server_binary

    try:
        if settings.broker_url is None:
            finding = f"Embedded: {server_binary()} is started when it is needed."
        else:
            CeleryWorkQueue(settings.broker_url).ping()
            finding = f"{settings.shown()['VAEVAL_BROKER_URL']} answers."
    except VaevalError as error:
        return Check.failed("broker", error)
    return Check(name="broker", verdict="ok", finding=finding)


def check_artifacts(settings: Settings) -> Check:
    """Whether a file can be written to the artifact store, read back and deleted."""
    from scheduler.store.artifacts import ArtifactStore

    local = local_folder(settings.artifacts)
    if local is not None and not local.exists():
        place = check_home(local)
        finding = f"{local} is made when it is first needed." if place.verdict == "ok" else place.finding
        return Check(name="artifacts", verdict=place.verdict, finding=finding, next_step=place.next_step)
    shown = settings.shown()["VAEVAL_ARTIFACTS"]
    key, content = f"doctor-{uuid.uuid4().hex}", b"vaeval doctor was here"
    try:
        store = ArtifactStore(settings.artifacts)
        store.write_bytes(key, content)
        try:
            came_back = store.read_bytes(key)
        finally:
            store.delete([key])
    except VaevalError as error:
        return Check.failed("artifacts", error)
    if came_back != content:
        return Check(
            name="artifacts",
            verdict="fail",
            finding=f"{shown} gave back {len(came_back)} bytes other than were written.",
        )
    return Check(name="artifacts", verdict="ok", finding=f"{shown}: a file was written, read and deleted.")


def check_workers(settings: Settings) -> Check:
    """Whether somebody is there to do what waits."""
    from scheduler.lifecycle import ShardState
    from scheduler.store import schema
    from scheduler.store.database import Database
    from scheduler.store.sql_reads import SqlReadStore

    try:
        database = Database(settings.database_url)
        try:
            if schema.is_empty(database):
                return Check(name="workers", verdict="ok", finding="Nothing waits: the database is new.")
            schema.require_current(database)
            reads = SqlReadStore(database)
            alive = [record for record in reads.workers() if record.is_alive]
            waiting = reads.progress().shards.get(ShardState.QUEUED, 0)
        finally:
            database.dispose()
    except VaevalError:
        return Check(
            name="workers",
            verdict="warn",
            finding="Not known, because the database cannot be read.",
            next_step="see to the database first",
        )
    finding = f"{count(len(alive), 'worker')} alive, {count(waiting, 'shard')} waiting."
    if waiting and not alive:
        return Check(name="workers", verdict="warn", finding=finding, next_step="vaeval worker")
    return Check(name="workers", verdict="ok", finding=finding)


def local_folder(artifacts: str) -> Path | None:
    """The folder of an artifact URL; None if it is not on this machine."""
    scheme, separator, rest = artifacts.partition("://")
    if not separator:
        return Path(artifacts)
    return Path(rest) if scheme == "file" else None
