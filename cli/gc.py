"""`vaeval gc`: files in the artifact store that nobody needs, and history from long ago."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from cli import rendering
from cli.number_formats import count, duration, size
from cli.options import Json

HISTORY_DAYS = 90.0
"""Longer than anybody asks why an attempt failed."""


def gc(
    delete: Annotated[bool, typer.Option("--delete", help="Remove them; otherwise they are only listed.")] = False,
    older_than: Annotated[
        float, typer.Option("--older-than", metavar="HOURS", min=0, help="Leave younger files alone.")
    ] = 1.0,
    history: Annotated[
        float,
        typer.Option("--history", metavar="DAYS", min=1, help="Keep the story of attempts and workers this long."),
    ] = HISTORY_DAYS,
    as_json: Json = False,
) -> None:
    """List files that no evaluation needs, or remove them.

    A worker that is killed may leave a file behind. It takes space and harms nothing. Safe while workers run: what they are
    at is left alone, and so is what else may lie in the folder of the artifacts.

    With them goes the history of long ago: what `vaeval show` tells of failed attempts of evaluations that are over, and
    `vaeval status --workers` of workers that are gone. Scores and the reasons of failures stay.

    \b
    Examples:
      vaeval gc
      vaeval gc --delete --older-than 24
    """
    from scheduler.composition import open_application
    from scheduler.orphans import delete_orphans, find_orphans
    from scheduler.settings import Settings

    num_kept = 0
    with open_application(Settings.from_environment()) as application:
        orphans = find_orphans(application.reads, application.artifacts, older_than=timedelta(hours=older_than))
        if delete:
            removed = delete_orphans(application.reads, application.artifacts, orphans)
            orphans, num_kept = removed, len(orphans) - len(removed)
        old = application.recovery.forget_history(history) if delete else application.reads.old_history(history)
    total = sum(orphan.size for orphan in orphans)
    if as_json:
        files = [{"key": orphan.key, "bytes": orphan.size, "modified_at": orphan.modified} for orphan in orphans]
        rendering.document("gc", {"deleted": delete, "bytes": total, "files": files, "history": asdict(old)})
        return
    if orphans:
        columns = [
            rendering.Column(title="FILE", shrinkable=True),
            rendering.Column(title="SIZE", align="right"),
            rendering.Column(title="AGE", align="right", droppable=1),
        ]
        now = datetime.now(UTC)
        rows = [
            (orphan.key, size(orphan.size), duration((now - (orphan.modified or now)).total_seconds()))
            for orphan in orphans
        ]
        rendering.table(columns, rows)
    found = f"{count(len(orphans), 'file')} that nobody needs, {size(total)}"
    if num_kept:
        rendering.note(f"{count(num_kept, 'file')} came to be needed meanwhile and stayed.")
    if not orphans:
        rendering.note(f"No file older than {older_than:g} h that nobody needs.")
    elif delete:
        rendering.note(f"Removed {found}.")
    else:
        rendering.note(f"{found}. Next: vaeval gc --delete")
    if old.lines or old.workers:
        told = (
            f"{count(old.lines, 'line')} of the journal and {count(old.workers, 'worker')} older than {history:g} days"
        )
        rendering.note(f"Removed {told}." if delete else f"{told}. Next: vaeval gc --delete")
