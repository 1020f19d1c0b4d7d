"""The one place where adapters are put into ports: settings in, a running application out."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

from scheduler.settings import Settings
from scheduler.store import schema
from scheduler.store.artifacts import ArtifactStore
from scheduler.store.base import ReadStore, RecoveryStore, SubmissionStore, WorkStore
from scheduler.store.database import Database
from scheduler.store.references import ReferenceStore
from scheduler.store.sql_reads import SqlReadStore
from scheduler.store.sql_recovery import SqlRecoveryStore
from scheduler.store.sql_references import SqlReferenceStore
from scheduler.store.sql_submissions import SqlSubmissionStore
from scheduler.store.sql_work import SqlWorkStore
from vaeval_core.errors import StorageFailed


@dataclass(frozen=True, kw_only=True)
class Application:
    """All that a command or a process works with. Close it, or use it in a `with` statement."""

    settings: Settings
    database: Database
    submissions: SubmissionStore
    work: WorkStore
    recovery: RecoveryStore
    reads: ReadStore
    references: ReferenceStore
    artifacts: ArtifactStore

    def close(self) -> None:
        """Close the connections to the database."""
        self.database.dispose()

    def __enter__(self) -> Application:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_application(settings: Settings) -> Application:
    """Open database and artifacts.

    The home folder is made, and so are the tables of a SQLite file that is new: the embedded default needs no setting up.
    The tables of a server are made by `vaeval db upgrade` alone, because others share it.

    Raises:
        SchemaMismatch: The database is of another revision.
        ServiceUnreachable: The database does not answer.
        StorageFailed: The home folder cannot be made.
    """
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageFailed(
            "The folder of vaeval cannot be made.",
            received=f"{settings.home} ({error.strerror})",
            expected="a place where this user may make a folder",
            next_step="set VAEVAL_HOME to another folder",
        ) from error
    artifacts = ArtifactStore(settings.artifacts)
    database = Database(settings.database_url)
    try:
        if database.is_sqlite and schema.is_empty(database):
            schema.upgrade(database)
        schema.require_current(database)
    except BaseException:
        database.dispose()
        raise
    return Application(
        settings=settings,
        database=database,
        submissions=SqlSubmissionStore(database),
        work=SqlWorkStore(database, lease_seconds=settings.lease_seconds),
        recovery=SqlRecoveryStore(database),
        reads=SqlReadStore(database, lease_seconds=settings.lease_seconds),
        references=SqlReferenceStore(database),
        artifacts=artifacts,
    )
