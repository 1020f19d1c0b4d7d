"""`vaeval db`: which schema the database has, and bringing it to the one this program needs."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import rendering
from cli.exit_codes import ExitCode
from cli.options import Json


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
        rendering.data(f"{shown} is at revision {after} already.")
    else:
        rendering.data(f"{shown} went from revision {before or 'none (it was empty)'} to {after}.")


def current(
    as_json: Json = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 6 if the database needs an upgrade.")] = False,
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
        if not is_current:
            rendering.note("Next: vaeval db upgrade")
    if check and not is_current:
        raise typer.Exit(ExitCode.SCHEMA)
