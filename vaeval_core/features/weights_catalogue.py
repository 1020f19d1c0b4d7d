"""All weights that are in files, by the extractor or metric that needs them: what `vaeval weights` shows and does.

The work is done where the weights of one extractor are at home (`fid_weights`, `keras_applications`); here is what
they have in common, an entry of `_WEIGHTS` each.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vaeval_core.errors import InvalidInput, WeightsUnavailable
from vaeval_core.features import fid_weights, keras_applications, keras_weights_file, lpips_weights
from vaeval_core.features.converted_weights import holds_converted
from vaeval_core.features.published_file import PublishedFile
from vaeval_core.features.published_weights import require_file, unreadable
from vaeval_core.features.resumable_download import OnProgress, ignore_progress
from vaeval_core.features.tensor_files import source_of
from vaeval_core.features.verified_weights import WeightsFolder
from vaeval_core.features.weights_formats import format_of

Status = Literal["verified", "unverified", "incomplete", "absent", "damaged"]


@dataclass(frozen=True, kw_only=True)
class WeightsEntry:
    """One weights file, or the place where one is missing.

    Attributes:
        name: Extractor, or metric, that it is for.
        status: `verified`: its source has the digest that its publisher gives. `unverified`: a file of the user's own.
            `incomplete`: a download that broke off. `absent`: nothing is here. `damaged`: not what its name says.
        path: Where it is; None if absent.
        size: Bytes; None if absent.
        digest: What identifies it in a protocol; None if absent or incomplete.
        source: Name of the file that it came from, where that is known.
        urls: Where its like is published.
    """

    name: str
    status: Status
    path: Path | None = None
    size: int | None = None
    digest: str | None = None
    source: str | None = None
    urls: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Weights:
    """The weights of one extractor.

    Attributes:
        sources: The published files, of the module, asked when needed.
        label: What points at the verified file.
        pattern: Which files of the folder are for this extractor.
        holds: Is the file of that digest there and undamaged?
        find: Bring the published file: (folder, on_progress) → digest.
        take: Bring a file of the user's: (path, folder, allow_unverified) → digest.
    """

    sources: Callable[[], tuple[PublishedFile, ...]]
    label: Callable[[], str]
    pattern: str
    holds: Callable[[WeightsFolder, str], bool]
    find: Callable[[Path, OnProgress], str]
    take: Callable[[Path, Path, bool], str]


_WEIGHTS: dict[str, _Weights] = {
    "inception-v3-fid": _Weights(
        sources=lambda: fid_weights.SOURCES,
        label=lambda: fid_weights.LABEL,
        pattern="*.safetensors",
        holds=holds_converted,
        find=lambda folder, on_progress: fid_weights.find_fid_weights(None, folder, on_progress=on_progress),
        take=lambda path, folder, allow_unverified: fid_weights.import_fid_weights(
            path, folder, allow_unverified=allow_unverified
        ),
    ),
    "inception-v3-keras": _Weights(
        sources=lambda: (keras_weights_file.PUBLISHED,),
        label=lambda: keras_weights_file.PUBLISHED.name,
        pattern="*.h5",
        holds=lambda store, digest: store.holds(digest),
        find=lambda folder, on_progress: keras_applications.find_keras_weights(None, folder, on_progress=on_progress),
        take=lambda path, folder, allow_unverified: keras_applications.find_keras_weights(
            path, folder, allow_unverified=allow_unverified
        ),
    ),
    "lpips": _Weights(
        sources=lambda: (),
        label=lambda: "lpips",
        pattern=lpips_weights.PATTERN,
        holds=lpips_weights.holds_lpips,
        find=lambda folder, on_progress: _not_published(),
        # Nobody publishes the whole file, so there is nothing that a permission could be asked for.
        take=lambda path, folder, allow_unverified: lpips_weights.import_lpips_weights(path, folder).weights_digest,
    ),
}

WEIGHTS_NAMES: tuple[str, ...] = tuple(_WEIGHTS)
"""Extractors, and the metric, that need a file."""

PUBLISHED_NAMES: tuple[str, ...] = tuple(name for name, weights in _WEIGHTS.items() if weights.sources())
"""Those whose file can be fetched."""


def list_weights(folder: Path) -> tuple[WeightsEntry, ...]:
    """What is in the weights folder, and what is not. Looks at names and labels; reads no weights.

    Returns:
        For each extractor that needs a file its files, or one entry that says that there is none.

    Raises:
        StorageFailed: The folder cannot be read.
    """
    store = WeightsFolder(folder)
    return tuple(entry for name in WEIGHTS_NAMES for entry in _entries(name, store))


def fetch_weights(name: str, folder: Path, on_progress: OnProgress = ignore_progress) -> WeightsEntry:
    """Bring the published weights of an extractor into the folder: from this machine if they are on it, else download.

    Raises:
        InvalidInput: No extractor of that name needs a file.
        WeightsUnavailable: There is no way to them.
        StorageFailed: The folder cannot be read or written.
    """
    return _entry_of(name, folder, _named(name).find(folder, on_progress))


def import_weights_file(path: Path, folder: Path, name: str | None, *, allow_unverified: bool) -> WeightsEntry:
    """Bring a file of the user's into the folder.

    Args:
        path: The file, in any format that its extractor reads.
        folder: Weights folder, made if missing.
        name: Extractor; None to go by the format.
        allow_unverified: Take a file whose digest nobody publishes.

    Raises:
        NotFound: There is no such file.
        InvalidInput: It cannot be used, or nobody vouches for it, or no extractor of that name needs a file.
        StorageFailed: The folder cannot be read or written.
    """
    require_file(path, fid_weights.SOURCES[0].name)
    if name is None:
        try:
            name = "inception-v3-keras" if format_of(path) == "hdf5" else "inception-v3-fid"
        except OSError as error:
            raise unreadable(path, error) from error
    return _entry_of(name, folder, _named(name).take(path, folder, allow_unverified))


def verify_weights(folder: Path) -> tuple[WeightsEntry, ...]:
    """Read every weights file of the folder and compare it with its digests.

    Returns:
        As `list_weights`, without what is absent or incomplete; a file that is not what its name or its label says is
        `damaged`.

    Raises:
        StorageFailed: The folder cannot be read.
    """
    store = WeightsFolder(folder)
    return tuple(
        _verified(entry, store) for entry in list_weights(folder) if entry.status in {"verified", "unverified"}
    )


def is_published(name: str, digest: str, folder: Path) -> bool:
    """True if an extractor's weights of that digest are known here as the published ones, or follow from the program.

    Looks at the label alone: `verify_weights` reads the file.

    Raises:
        StorageFailed: The folder cannot be read.
    """
    if name not in _WEIGHTS:
        return True
    target = WeightsFolder(folder).target_of(_WEIGHTS[name].label())
    return target is not None and target.stem == digest


def _not_published() -> str:
    raise WeightsUnavailable(
        "Nobody publishes the weights of LPIPS in one file.",
        received="lpips",
        expected="a state dict that the lpips package writes",
        next_step=f"{lpips_weights.HOW_TO_GET}, then: vaeval run ... --lpips-weights lpips-vgg.pth",
    )


def _verified(entry: WeightsEntry, store: WeightsFolder) -> WeightsEntry:
    weights = _WEIGHTS[entry.name]
    is_whole = entry.digest is not None and weights.holds(store, entry.digest)
    if is_whole and entry.status == "verified":
        is_whole = store.labelled(weights.label()) == entry.digest
    return entry if is_whole else dataclasses.replace(entry, status="damaged")


def _entries(name: str, store: WeightsFolder) -> list[WeightsEntry]:
    weights = _WEIGHTS[name]
    urls = tuple(file.url for file in weights.sources())
    target = store.target_of(weights.label())
    entries = [
        WeightsEntry(
            name=name,
            status="verified" if path == target else "unverified",
            path=path,
            size=_size(store, path),
            digest=path.stem,
            source=_source_name(weights, path, is_verified=path == target),
            urls=urls,
        )
        for path in store.files(weights.pattern)
    ]
    # A raw file that the user put into the folder has no digest for a name, and is not weights before it is imported.
    entries = [entry for entry in entries if entry.digest is not None and _is_digest(entry.digest)]
    entries += [
        WeightsEntry(
            name=name, status="incomplete", path=path, size=_size(store, path), source=file.name, urls=(file.url,)
        )
        for file in weights.sources()
        for path in store.files(store.partial_path_of(file.name).name)
    ]
    # Of what nobody publishes there is nothing better to be had.
    if not any(entry.status == "verified" for entry in entries) and (urls or not entries):
        entries.append(WeightsEntry(name=name, status="absent", urls=urls))
    return entries


def _source_name(weights: _Weights, path: Path, *, is_verified: bool) -> str | None:
    if path.suffix in {".safetensors", ".lpips"}:
        source = source_of(path)
        return None if source is None else source.name
    return weights.sources()[0].name if is_verified else None


def _entry_of(name: str, folder: Path, digest: str) -> WeightsEntry:
    return next(entry for entry in _entries(name, WeightsFolder(folder)) if entry.digest == digest)


def _size(store: WeightsFolder, path: Path) -> int:
    with store.storage_errors():
        return path.stat().st_size


def _is_digest(stem: str) -> bool:
    return len(stem) == 64 and not set(stem) - set("0123456789abcdef")


def _named(name: str) -> _Weights:
    if name not in _WEIGHTS:
        close = difflib.get_close_matches(name, WEIGHTS_NAMES, n=1, cutoff=0.0)
        raise InvalidInput(
            "No extractor of that name needs a weights file.",
            received=name,
            expected=f"one of {', '.join(WEIGHTS_NAMES)}",
            next_step=f"did you mean {close[0]}?" if close else None,
        )
    return _WEIGHTS[name]
