"""Draw the pictures that were kept with evaluations: originals, reconstructions and samples of each checkpoint."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vaeval_core.errors import InvalidInput, NotFound, StorageFailed

if TYPE_CHECKING:
    from scheduler.composition import Application
    from scheduler.store.base import EvaluationRecord


def write_contact_sheet(application: Application, records: Sequence[EvaluationRecord], path: Path) -> Path:
    """One PNG with a block per evaluation that has pictures.

    Args:
        application: Where the pictures are.
        records: The evaluations, in the order to draw them.
        path: A file name ending in .png; its folder is created.

    Raises:
        InvalidInput: The name is not that of a PNG file.
        NotFound: No evaluation has pictures.
        StorageFailed: The file cannot be written.
    """
    require_png(path)
    from vaeval_core.reports.contact_sheet import PictureEntry, contact_sheet

    entries = [
        PictureEntry(title=_title(record), pictures=application.artifacts.read_arrays(record.pictures))
        for record in records
        if record.pictures is not None
    ]
    if not entries:
        raise NotFound(
            "There are no pictures to draw.",
            received=", ".join(f"evaluation {record.evaluation_id} ({record.state})" for record in records),
            expected="at least one finished evaluation",
            next_step="vaeval status",
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        contact_sheet(entries).savefig(path, format="png")
    except OSError as error:
        is_full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        raise StorageFailed(
            "The pictures cannot be written.",
            received=f"{path} ({error.strerror})",
            expected="room for a picture" if is_full else "a folder that this user may write to",
            next_step="make room, or give another folder" if is_full else "give another folder",
        ) from error
    return path


def require_png(path: Path, option: str = "--pictures") -> None:
    """Raise InvalidInput unless a PNG file can have this name: told before the work, not after it."""
    if path.suffix.lower() != ".png" or path.is_dir():
        raise InvalidInput(
            "Pictures are written as one PNG file.",
            received=str(path),
            expected="a file name that ends in .png",
            next_step=f"{option} {path / 'pictures.png' if path.is_dir() else path.with_suffix('.png')}",
        )
    require_folder(path.parent, f"{option} pictures.png")


def require_folder(folder: Path, instead: str) -> None:
    """Raise InvalidInput if the folder cannot be one because it, or a part of its path, is a file."""
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise InvalidInput(
                "Pictures go into a folder, and this is a file.",
                received=str(place),
                expected="a folder; one that is missing is made",
                next_step=instead,
            )


def _title(record: EvaluationRecord) -> str:
    return f"{record.checkpoint_name} · evaluation {record.evaluation_id}"
