"""Files that nobody needs: what a killed worker left behind, and what could not be removed when it was done with.

They cost space and nothing else. Looking for them is safe while workers run:

    list the files ─► ask the database which are needed ─► the rest, if old enough
    for each of these: ask the database about it again ─► remove it, unless it was written again since it was listed

In this order, because a file is written before its row. What a claim under way may be writing counts as needed, by its key;
a claim that comes later writes under keys of its own. What has no claim, the list of a data set and imported statistics, is
written under the digest of its content: again, where an old one is there already. Its age, and that of files that are not
renamed yet, is what guards it, by the clock of the store that dates them; whoever registers it looks once more whether it is
there.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol as Port

from scheduler.store.artifact_keys import FileOwner, final_key, has_claim, is_ours, owner_of
from scheduler.store.artifacts import ArtifactStore, FoundFile
from vaeval_core.errors import InvalidInput, StorageFailed

DEFAULT_AGE = timedelta(hours=1)
"""Longer than any shard may take: what is older was left behind."""

LEAST_AGE = timedelta(minutes=10)
"""For what no claim tells of, however young files may be removed: longer than from the writing of a file to its row."""


class LiveFiles(Port):
    """The part of the database that is asked; `ReadStore` has it."""

    def live_files(self, of: FileOwner | None = None) -> frozenset[str]:
        """Keys of the files that are needed, of one owner or of all."""


def find_orphans(
    reads: LiveFiles,
    artifacts: ArtifactStore,
    *,
    older_than: timedelta = DEFAULT_AGE,
    least_age: timedelta = LEAST_AGE,
) -> tuple[FoundFile, ...]:
    """The files that nobody needs, by their keys. One whose age is not known is none.

    Args:
        reads: The database.
        artifacts: The files.
        older_than: Younger ones are left alone.
        least_age: The same for files that no claim tells of, where it is more.

    Raises:
        ServiceUnreachable: The database does not answer.
        StorageFailed: The store cannot be listed.
    """
    found = [file for file in artifacts.files() if is_ours(file.key) and file.modified is not None]
    now = _clock(artifacts) if found else None
    if now is None:
        return ()
    old = [file for file in found if _is_old(file, now, older_than, least_age)]
    live = reads.live_files() if old else frozenset()
    return tuple(sorted((file for file in old if not _is_needed(file.key, live)), key=lambda file: file.key))


def delete_orphans(reads: LiveFiles, artifacts: ArtifactStore, orphans: Sequence[FoundFile]) -> tuple[FoundFile, ...]:
    """Remove what `find_orphans` found, and is still an orphan.

    Returns:
        Those that are gone. One that a row has come to need, or that was written again, stays.

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
    removed = []
    for orphan in orphans:
        owner = owner_of(orphan.key)
        is_needed = owner is not None and _is_needed(orphan.key, reads.live_files(owner))
        if not is_needed and artifacts.remove(orphan):
            removed.append(orphan)
    return tuple(removed)


def _clock(artifacts: ArtifactStore) -> datetime | None:
    """What the files are dated by; where nothing can be written, and so nothing removed, this machine's clock will do."""
    try:
        return artifacts.now()
    except StorageFailed:
        return datetime.now(UTC)


def _is_old(file: FoundFile, now: datetime, older_than: timedelta, least_age: timedelta) -> bool:
    is_told = has_claim(file.key) and final_key(file.key) == file.key
    age = older_than if is_told else max(older_than, least_age)
    return file.modified is not None and file.modified <= now - age


def _is_needed(key: str, live: frozenset[str]) -> bool:
    """A file that is being written is needed by the claim that writes it; one without a claim, only once it is there."""
    return key in live or (has_claim(key) and final_key(key) in live)
