"""Draw the pictures that were kept with evaluations: contact sheets, interpolations and traversals of each checkpoint."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from vaeval_core.errors import InvalidInput, NotFound, StorageFailed

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from scheduler.composition import Application
    from scheduler.store.base import EvaluationRecord
    from vaeval_core.reports.strips import InterpolationEntry, TraversalEntry

_PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".svg", ".pdf", ".webp"})


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
        raise _no_pictures(records)
    return save(contact_sheet(entries), path)


def write_pictures(application: Application, record: EvaluationRecord, folder: Path) -> list[Path]:
    """All sheets of one evaluation: `evaluation-N.png`, and with `-interpolations` and `-traversals` what it has of these.

    Args:
        application: Where the pictures are.
        record: The evaluation.
        folder: Is created if missing.

    Raises:
        NotFound: It has no pictures.
        StorageFailed: A file cannot be written.
    """
    from vaeval_core.reports.contact_sheet import PictureEntry, contact_sheet
    from vaeval_core.reports.strips import interpolation_sheet, traversal_sheet

    if record.pictures is None:
        raise _no_pictures([record])
    kept, name = application.artifacts.read_arrays(record.pictures), f"evaluation-{record.evaluation_id}"
    sheets = {name: contact_sheet([PictureEntry(title=_title(record), pictures=kept)])}
    if (paths := _interpolations(record, kept)) is not None:
        sheets[f"{name}-interpolations"] = interpolation_sheet([paths])
    if (traversals := _traversals(record, kept)) is not None:
        sheets[f"{name}-traversals"] = traversal_sheet([traversals])
    return [save(sheet, folder / f"{file}.png") for file, sheet in sheets.items()]


def _interpolations(record: EvaluationRecord, kept: Mapping[str, NDArray[Any]]) -> InterpolationEntry | None:
    from vaeval_core.protocol import PathKind
    from vaeval_core.reports.strips import InterpolationEntry
    from vaeval_core.reports.tiles import reduced
    from vaeval_core.streams.strips import KEPT_SIDE

    strips = {kind: kept[kind] for kind in get_args(PathKind) if kind in kept}
    if not strips or "originals" not in kept:
        return None
    num_pairs = len(next(iter(strips.values())))
    real = reduced(kept["originals"][: 2 * num_pairs], KEPT_SIDE)
    return InterpolationEntry(title=_title(record), starts=real[0::2], ends=real[1::2], strips=strips)


def _traversals(record: EvaluationRecord, kept: Mapping[str, NDArray[Any]]) -> TraversalEntry | None:
    from vaeval_core.reports.strips import TraversalEntry

    if "traversals" not in kept:
        return None
    nats = kept.get("traversal_nats")
    use = kept["traversal_variance"] if nats is None else nats
    labels = [
        f"z{dimension} · " + (f"{used:.2g} nats" if nats is not None else f"variance {used:.2g}")
        for dimension, used in zip(kept["traversal_dimensions"], use, strict=True)
    ]
    return TraversalEntry(
        title=_title(record), pictures=kept["traversals"], labels=labels, values=kept["traversal_values"]
    )


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG; its folder is created.

    Raises:
        StorageFailed: The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="png")
    except OSError as error:
        is_full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        raise StorageFailed(
            "The pictures cannot be written.",
            received=f"{path} ({error.strerror})",
            expected="room for a picture" if is_full else "a folder that this user may write to",
            next_step="make room, or give another folder" if is_full else "give another folder",
        ) from error
    return path


def _no_pictures(records: Sequence[EvaluationRecord]) -> NotFound:
    return NotFound(
        "There are no pictures to draw.",
        received=", ".join(f"evaluation {record.evaluation_id} ({record.state})" for record in records),
        expected="at least one finished evaluation",
        next_step="vaeval status",
    )


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


def require_picture_folder(path: Path, option: str = "--pictures") -> None:
    """Raise InvalidInput if this is a file, or no folder yet and named like a picture: there are several, so they need one."""
    if path.suffix.lower() in _PICTURE_SUFFIXES and not path.exists():
        raise InvalidInput(
            "The pictures of an evaluation are several files, and this is the name of one.",
            received=f"{option} {path}",
            expected="a folder, in which evaluation-N.png and others are written; one that is missing is made",
            next_step=f"{option} {path.parent if path.parent.name else 'pictures/'}",
        )
    require_folder(path, f"{option} pictures/")


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
