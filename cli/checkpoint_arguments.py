"""From the CHECKPOINT arguments to descriptions, and what a user should know about the checkpoints that they turned out to be.

A search passes over vaeval's own folders: what lies there is stored by vaeval, not trained by anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vaeval_core.errors import CheckpointRejected

if TYPE_CHECKING:
    from pathlib import Path

    from scheduler.settings import Settings
    from scheduler.store.base import EvaluationRequest, SubmissionReceipt
    from vaeval_core.checkpoints.base import CheckpointDescription

MOST_LISTED = 10
"""Of many lines of a kind, so many are shown."""


def described_checkpoints(
    arguments: Sequence[str], settings: Settings
) -> tuple[tuple[CheckpointDescription, ...], tuple[str, ...]]:
    """What the arguments lead to, and sentences on where it was not looked for.

    Raises:
        NotFound: An argument leads nowhere.
        CheckpointRejected: What was found cannot be evaluated; all of it is told at once.
    """
    from vaeval_core.checkpoints.catalogue import describe, find_checkpoints

    own_folders = _OwnFolders(settings)
    paths = find_checkpoints(arguments, pass_over=own_folders)
    described, rejected = [], []
    for path in paths:
        try:
            described.append(describe(path))
        except CheckpointRejected as error:
            rejected.append((path, error))
    if len(rejected) == 1:
        raise rejected[0][1]
    if rejected:
        raise CheckpointRejected(
            f"{len(rejected)} of {len(paths)} checkpoints cannot be evaluated; none was submitted.",
            received="\n".join(at_most([f"{path}: {error.what}" for path, error in rejected])),
            expected=rejected[0][1].expected,
            next_step=f"leave them out; for all that is known about one, give it alone: {rejected[0][0]}",
        )
    return tuple(described), tuple(at_most(own_folders.notes()))


def at_most(lines: Sequence[str], most: int = MOST_LISTED) -> list[str]:
    """The lines, and of many the first with the number of the others.

    >>> at_most(["a", "b", "c"], 2), at_most(["a", "b"], 2)
    (['a', 'b', 'and 1 more'], ['a', 'b'])
    """
    return [*lines[:most], f"and {len(lines) - most} more"] if len(lines) > most else list(lines)


class _OwnFolders:
    """Says of a folder whether vaeval keeps its own files there, and remembers the homes that it said it of."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._homes: dict[Path, None] = {}

    def __call__(self, folder: Path) -> bool:
        from scheduler.settings import is_home

        if not self._settings.is_own_folder(folder):
            return False
        if is_home(folder):
            self._homes[folder] = None
        return True

    def notes(self) -> list[str]:
        """A sentence on each home that was met and not searched, for somebody may keep checkpoints in it."""
        return [
            f"Not searched: {folder}, a home folder of vaeval. Checkpoints in it can be named."
            for folder in self._homes
        ]


def known_names(requests: Sequence[EvaluationRequest], receipt: SubmissionReceipt) -> list[str]:
    """A sentence on each checkpoint that is listed under another name than its path has now.

    Content is what a checkpoint is known by, and it keeps the name and step under which it came first.
    """
    names = {
        request.checkpoint.digest: (request.checkpoint, entry.checkpoint_name)
        for request, entry in zip(requests, receipt.evaluations, strict=True)
    }
    return at_most(
        [
            f"{checkpoint.uri} has the same content as a checkpoint submitted before: known as {name}."
            for checkpoint, name in names.values()
            if checkpoint.name != name
        ]
    )


def assumptions(checkpoints: Sequence[CheckpointDescription]) -> list[str]:
    """What was assumed about checkpoints; the same of several is one sentence, for a sweep has one architecture."""
    names: dict[str, list[str]] = {}
    for checkpoint in checkpoints:
        for note in checkpoint.notes:
            names.setdefault(note, []).append(checkpoint.name)
    return [f"{_whose(of, len(checkpoints))}: {note}" for note, of in names.items()]


def _whose(names: Sequence[str], total: int) -> str:
    if len(names) == 1:
        return names[0]
    if len(names) == total:
        return f"All {total} checkpoints"
    return f"{len(names)} of {total} checkpoints ({names[0]} and {len(names) - 1} more)"
