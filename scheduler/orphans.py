"""Files that nobody needs: what a killed worker left behind, and what could not be removed when it was done with.

They cost space and nothing else. Looking for them is safe while workers run:

    list the files ─► ask the database which are needed ─► the rest, if old enough

In this order, because a file is written before its row. What a claim under way may be writing counts as needed, by its key;
a claim that comes later writes under keys of its own. The age guards what has no claim: the list of a data set that is being
submitted, and files that are not renamed yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol as Port

from scheduler.store.artifact_keys import is_ours
from scheduler.store.artifacts import ArtifactStore, FoundFile
from vaeval_core.errors import InvalidInput

DEFAULT_AGE = timedelta(hours=1)
"""Longer than any shard may take: what is older was left behind."""


class LiveFiles(Port):
    """The part of the database that is asked; `ReadStore` has it."""

    def live_files(self) -> frozenset[str]:
        """Keys of the files that are needed."""


def find_orphans(
    reads: LiveFiles, artifacts: ArtifactStore, *, older_than: timedelta = DEFAULT_AGE
) -> tuple[FoundFile, ...]:
    """The files that nobody needs, by their keys.

    Raises:
        ServiceUnreachable: The database does not answer.
        StorageFailed: The store cannot be listed.
    """
    latest = datetime.now(UTC) - older_than
    old = [file for file in artifacts.files() if file.modified <= latest and is_ours(file.key)]
    live = reads.live_files() if old else frozenset()
    return tuple(sorted((file for file in old if file.key not in live), key=lambda file: file.key))


def delete_orphans(reads: LiveFiles, artifacts: ArtifactStore, orphans: Sequence[FoundFile]) -> None:
    """Remove what `find_orphans` found.

    Raises:
        InvalidInput: The database knows no file at all: it is hardly the one that these files belong to.
        StorageFailed: A file cannot be removed; those before it are gone.
    """
    if orphans and not reads.live_files():
        raise InvalidInput(
            "No file was removed: the database needs none of them, so they are perhaps those of another database.",
            received=f"{len(orphans)} files in {artifacts.shown_url}, and a database without any evaluation",
            expected="the database in which these evaluations are",
            next_step="check VAEVAL_DATABASE_URL and VAEVAL_ARTIFACTS: vaeval config; if all of it may go, remove the folder",
        )
    for orphan in orphans:
        artifacts.remove(orphan)
