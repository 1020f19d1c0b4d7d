"""Which revision a database has, and bringing it to another: Alembic, run from inside the program.

Every command asks for the revision, few change it: Alembic is loaded for those alone. A file is called like its revision.

The migrations ship with the program, so there is no alembic.ini and nothing to find on disk by hand. A change of the schema
is one transaction under a lock: two processes that start at the same moment on an empty database make its tables once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

import migrations
from scheduler.settings import without_password
from scheduler.store.database import Database
from vaeval_core.errors import SchemaMismatch

if TYPE_CHECKING:
    from alembic.config import Config

_REVISION = text("SELECT version_num FROM alembic_version")

_UPGRADE_LOCK = 0x7661_6576_616C
"""Key of the PostgreSQL advisory lock: «vaeval» in ASCII."""


def head_revision() -> str:
    """The revision that this program needs."""
    return _known_revisions()[-1]


def current_revision(database: Database) -> str | None:
    """The revision of the database; None if it has none, such as a SQLite file that does not exist yet.

    Raises:
        ServiceUnreachable: The database does not answer.
    """
    if is_missing(database):
        return None
    return database.read(_revision)


def is_missing(database: Database) -> bool:
    """True for a SQLite file that does not exist: asking a driver about it would create it."""
    file = database.engine.url.database if database.is_sqlite else None
    return file is not None and not Path(file).exists()


def is_empty(database: Database) -> bool:
    """True if nobody has used the database: there is no table, or not even a file.

    Raises:
        ServiceUnreachable: The database does not answer.
    """
    return is_missing(database) or not database.read(_tables)


def upgrade(database: Database) -> None:
    """Bring the database to this program's revision; does nothing if it is there.

    Raises:
        SchemaMismatch: The database was made by a newer program, or by another one.
        ServiceUnreachable: The database does not answer.
    """
    from alembic import command

    _migrate(database, lambda config: command.upgrade(config, "head"))


def downgrade(database: Database, revision: str) -> None:
    """Take the database back to an older revision, `base` for none; what that one had no place for is lost.

    Raises:
        SchemaMismatch: There is no such revision.
        ServiceUnreachable: The database does not answer.
    """
    from alembic import command

    _migrate(database, lambda config: command.downgrade(config, revision))


def require_current(database: Database) -> None:
    """Refuse to work on a database of another revision.

    Raises:
        SchemaMismatch: The database has another revision, or none.
        ServiceUnreachable: The database does not answer.
    """
    revision, head = current_revision(database), head_revision()
    if revision == head:
        return
    if revision is not None and revision not in _known_revisions():
        raise _from_newer_program(database, revision)
    raise SchemaMismatch(
        "The database has no tables of vaeval yet." if revision is None else "The database is older than this program.",
        received=f"revision {revision or 'none'} in {without_password(database.url)}",
        expected=f"revision {head}",
        next_step="vaeval db upgrade",
    )


def require_unchanged(connection: Connection, revision: str) -> None:
    """Refuse to go on with a database that was brought to another revision while this program ran.

    To be asked at the end of a transaction, which then comes to nothing: an upgrade that it had to wait for is seen, too.

    Args:
        connection: Inside a transaction.
        revision: What this program needs.

    Raises:
        SchemaMismatch: The database has another one by now.
    """
    now = connection.scalar(_REVISION)
    if now != revision:
        raise SchemaMismatch(
            "The database was brought to another revision while this program was running.",
            received=f"revision {now}",
            expected=f"revision {revision}, as when it started",
            next_step="restart it, in the version of vaeval that changed the database",
        )


def _migrate(database: Database, run: Callable[[Config], None]) -> None:
    from alembic.util import CommandError

    def work(connection: Connection) -> None:
        if not database.is_sqlite:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})")
        # Read under the lock: another process may just have finished.
        revision = _revision(connection)
        if revision is not None and revision not in _known_revisions():
            raise _from_newer_program(database, revision)
        if revision is None and _tables(connection):
            raise SchemaMismatch(
                "The database belongs to another program: it has tables, but none that says it is vaeval's.",
                received=without_password(database.url),
                expected="an empty database, or one that vaeval made",
                next_step="create a database of its own for vaeval and set VAEVAL_DATABASE_URL",
            )
        config = _config()
        config.attributes["connection"] = connection
        try:
            run(config)
        except CommandError as error:
            raise SchemaMismatch(
                "There is no way to this revision.",
                received=f"{error}, from revision {revision or 'none'}",
                expected="one of " + ", ".join(_known_revisions()) + ", or base",
            ) from error

    database.write(work, exclusive=True)


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    # Config treats % as the start of a reference, and a folder may well have one in its name.
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    return config


def _known_revisions() -> list[str]:
    """All of them, the first one first."""
    return sorted(path.stem for path in (Path(migrations.__file__).parent / "versions").glob("[0-9]*.py"))


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(_REVISION)
    return revision


def _tables(connection: Connection) -> list[str]:
    # Alembic's own table stays behind, empty, when everything is taken back.
    return [name for name in inspect(connection).get_table_names() if name != "alembic_version"]


def _from_newer_program(database: Database, revision: str) -> SchemaMismatch:
    return SchemaMismatch(
        "The database was made by a newer program than this one.",
        received=f"revision {revision} in {without_password(database.url)}",
        expected=f"revision {head_revision()} or an older one",
        next_step="install the newer vaeval on this machine",
    )
