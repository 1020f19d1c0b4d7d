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
    from scheduler.store.base import EvaluationRequest, ReadStore, SubmissionReceipt
    from vaeval_core.checkpoints.base import CheckpointDescription

MOST_LISTED = 10
"""Of many lines of a kind, so many are shown."""


def described_checkpoints(
    arguments: Sequence[str], settings: Settings, *, skip_unreadable: bool = False
) -> tuple[tuple[CheckpointDescription, ...], tuple[str, ...]]:
    """What the arguments lead to, and sentences on what was left out and where it was not looked for.

    Args:
        arguments: As they were typed.
        settings: Say which folders are vaeval's own.
        skip_unreadable: Go on with the others where some cannot be evaluated.

    Raises:
        NotFound: An argument leads nowhere.
        CheckpointRejected: What was found cannot be evaluated; all of it is told at once.
    """
    from vaeval_core.checkpoints.catalogue import describe, find_checkpoints
    from vaeval_core.checkpoints.digest_cache import DigestCache

    own_folders = _OwnFolders(settings)
    paths = find_checkpoints(arguments, pass_over=own_folders)
    described, rejected = [], []
    with DigestCache(settings.home / "digests") as digests:
        for path in paths:
            try:
                described.append(describe(path, file_digest=digests.of))
            except CheckpointRejected as error:
                rejected.append((path, error))
    if rejected and (not described or not skip_unreadable):
        raise rejected[0][1] if len(paths) == 1 else _some_rejected(rejected, len(paths))
    left_out = at_most([f"Left out: {path}: {error.what}" for path, error in rejected])
    return tuple(described), (*left_out, *at_most(own_folders.notes()))


def _some_rejected(rejected: Sequence[tuple[Path, CheckpointRejected]], number: int) -> CheckpointRejected:
    """One error for all: each checkpoint with its reason, and what was expected where that is one thing."""
    expectations = list(dict.fromkeys(error.expected for _, error in rejected))
    go_on = "; --skip-unreadable goes on with the others" if len(rejected) < number else ""
    return CheckpointRejected(
        f"{len(rejected)} of {number} checkpoints cannot be evaluated; no checkpoint was submitted.",
        received="\n".join(at_most([f"{path}: {error.what}" for path, error in rejected])),
        expected=expectations[0] if len(expectations) == 1 else "something else for each of them",
        next_step=f"for all that is known about one, give it alone: {rejected[0][0]}{go_on}",
    )


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


def known_names(requests: Sequence[EvaluationRequest], receipt: SubmissionReceipt, reads: ReadStore) -> list[str]:
    """A sentence on each checkpoint, on the images and the protocol, if they are listed under another name than now given.

    Content is what they are known by, and it keeps the name (and a checkpoint its step) under which it came first.
    """
    from vaeval_core.checkpoints.base import is_noise_floor

    names = {
        request.checkpoint.digest: (request.checkpoint, entry.checkpoint_name)
        for request, entry in zip(requests, receipt.evaluations, strict=True)
    }
    checkpoints = [
        f"{checkpoint.uri} has the same content as a checkpoint submitted before: known as {name}."
        for checkpoint, name in names.values()
        if checkpoint.name != name and not is_noise_floor(checkpoint.description)
    ]
    # One data set for all, and one protocol but for the seed: they come from one command line.
    (record,) = reads.evaluations([receipt.evaluations[0].evaluation_id])
    dataset, protocol = requests[0].dataset, requests[0].protocol_name
    others = []
    if dataset.name != record.dataset_name:
        others.append(f"{dataset.uri} has the same images as a set submitted before: known as {record.dataset_name}.")
    if protocol != record.protocol_name:
        others.append(f"{protocol} asks for what a protocol before it asked for: known as {record.protocol_name}.")
    return [*at_most(checkpoints), *others]


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
