"""`vaeval gc`: files in the artifact store that nobody needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from cli import rendering
from cli.number_formats import count, duration, size
from cli.options import Json


def gc(
    delete: Annotated[bool, typer.Option("--delete", help="Remove them; otherwise they are only listed.")] = False,
    older_than: Annotated[
        float, typer.Option("--older-than", metavar="HOURS", min=0, help="Leave younger files alone.")
    ] = 1.0,
    as_json: Json = False,
) -> None:
    """List files that no evaluation needs, or remove them.

    A worker that is killed may leave a file behind. It takes space and harms nothing. Safe while workers run: what they are
    at is left alone, and so is what else may lie in the folder of the artifacts.

    \b
    Examples:
      vaeval gc
      vaeval gc --delete --older-than 24
    """
    from scheduler.composition import open_application
    from scheduler.orphans import delete_orphans, find_orphans
    from scheduler.settings import Settings

    with open_application(Settings.from_environment()) as application:
        orphans = find_orphans(application.reads, application.artifacts, older_than=timedelta(hours=older_than))
        if delete:
            delete_orphans(application.reads, application.artifacts, orphans)
    total = sum(orphan.size for orphan in orphans)
    if as_json:
        files = [{"key": orphan.key, "bytes": orphan.size, "modified_at": orphan.modified} for orphan in orphans]
        rendering.document("gc", {"deleted": delete, "bytes": total, "files": files})
        return
    if orphans:
        columns = [
            rendering.Column(title="FILE", shrinkable=True),
            rendering.Column(title="SIZE", align="right"),
            rendering.Column(title="AGE", align="right", droppable=1),
        ]
        now = datetime.now(UTC)
        rows = [
            (orphan.key, size(orphan.size), duration((now - orphan.modified).total_seconds())) for orphan in orphans
        ]
        rendering.table(columns, rows)
    found = f"{count(len(orphans), 'file')} that nobody needs, {size(total)}"
    if not orphans:
        rendering.note(f"No file older than {older_than:g} h that nobody needs.")
    elif delete:
        rendering.note(f"Removed {found}.")
    else:
        rendering.note(f"{found}. Next: vaeval gc --delete")
