"""`vaeval db`: which schema the database has, and bringing it to the one this program needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli import rendering
from cli.exit_codes import ExitCode
from cli.options import Json

if TYPE_CHECKING:
    from scheduler.store.database import Database


def upgrade(as_json: Json = False) -> None:
    """Bring the database to this program's schema.

    Does nothing if it is there already.

    \b
    Example:
      vaeval db upgrade
    """
    from scheduler.settings import Settings
    from scheduler.store import schema
    from scheduler.store.database import Database

    settings = Settings.from_environment()
    settings.home.mkdir(parents=True, exist_ok=True)
    database = Database(settings.database_url)
    try:
        before = schema.current_revision(database)
        schema.upgrade(database)
        after = schema.current_revision(database)
    finally:
        database.dispose()
    shown = settings.shown()["VAEVAL_DATABASE_URL"]
    if as_json:
        rendering.document("db.upgrade", {"database": shown, "before": before, "after": after})
    elif before == after:
        rendering.prose(f"{shown} is at revision {after} already.")
    else:
        rendering.prose(f"{shown} went from revision {before or 'none (it was empty)'} to {after}.")


def current(
    as_json: Json = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 6 unless the database is of this program's revision.")
    ] = False,
) -> None:
    """Show the schema revision of the database.

    Says so if this program needs another.

    \b
    Example:
      vaeval db current --check || vaeval db upgrade
    """
    from scheduler.settings import Settings
    from scheduler.store import schema
    from scheduler.store.database import Database

    settings = Settings.from_environment()
    database = Database(settings.database_url)
    try:
        revision, head = schema.current_revision(database), schema.head_revision()
        next_step = _next_step(database)
    finally:
        database.dispose()
    is_current = revision == head
    if as_json:
        shown = settings.shown()["VAEVAL_DATABASE_URL"]
        rendering.document(
            "db.current", {"database": shown, "revision": revision, "needed": head, "is_current": is_current}
        )
    else:
        rendering.data(f"{revision or 'none'}" + ("" if is_current else f" (needed: {head})"))
        if next_step is not None:
            rendering.note(f"Next: {next_step}")
    if check and not is_current:
        raise typer.Exit(ExitCode.SCHEMA)


def _next_step(database: Database) -> str | None:
    """What brings database and program together; nothing if they are. An older program cannot upgrade a newer database."""
    from scheduler.store.schema import require_current
    from vaeval_core.errors import SchemaMismatch

    try:
        require_current(database)
    except SchemaMismatch as mismatch:
        return mismatch.next_step
    return None
