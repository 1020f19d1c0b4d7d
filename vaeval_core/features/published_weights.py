"""Getting weights into the weights folder: a file the user brings, or one that somebody publishes.

Offline first: a published file is looked for in the weights folder, then where other programs keep it, and only then
downloaded. What arrives is compared with the digest its publisher gives before it can be used. A file of another digest
is taken only if the user says so, once; from then on its own sha256 identifies it, in every protocol.
"""

from __future__ import annotations

import http.client
import urllib.error
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from vaeval_core.errors import InvalidInput, NotFound, WeightsUnavailable
from vaeval_core.features.published_file import PublishedFile
from vaeval_core.features.resumable_download import OnProgress, download, ignore_progress
from vaeval_core.features.verified_weights import Digests, WeightsFolder, digests_of


def import_weights(
    path: Path,
    folder: Path,
    published: PublishedFile,
    *,
    allow_unverified: bool = False,
    check: Callable[[Path], None] = lambda _path: None,
) -> str:
    """Copy a file that the user brings into the weights folder.

    If it is the published file, that is noted, and `find_published` finds it from now on. Where nothing would change
    nothing is written, so the folder may be read-only then.

    Args:
        path: The file.
        folder: Weights folder, made if missing.
        published: The file that is expected here as a rule.
        allow_unverified: Take any other file, too. One that was taken before needs no second permission.
        check: Looks at what is in a file that may be taken, and raises if it is of no use.

    Returns:
        sha256 of the file.

    Raises:
        NotFound: There is no such file.
        InvalidInput: It cannot be read, is not the published one and nobody allowed that, or is of no use.
        StorageFailed: The folder cannot be read or written.
    """
    require_file(path, published.name)
    store = WeightsFolder(folder)
    try:
        digests = digests_of(path)
        is_published = published.is_in(path)
        is_known = store.holds(digests.sha256)
        if not (is_published or is_known or allow_unverified):
            raise unverified(path, digests.sha256, [published])
        check(path)
        if not is_known or (is_published and store.labelled(published.name) is None):
            with store.writing():
                if not is_known:
                    with path.open("rb") as source:
                        store.add(source, lambda arrived: _same_as(digests, arrived, path))
                if is_published and published.is_in(store.path_of(digests.sha256)):
                    store.label(published.name, store.path_of(digests.sha256))
    except OSError as error:
        raise unreadable(path, error) from error
    return digests.sha256


def find_published(
    published: PublishedFile,
    folder: Path,
    *,
    other_folders: tuple[Path, ...] = (),
    on_progress: OnProgress = ignore_progress,
) -> str:
    """See to it that a published file is in the weights folder, and say which it is.

    Args:
        published: Which file.
        folder: Weights folder, made if missing.
        other_folders: Where other programs keep the file under its own name.
        on_progress: Told how far a download is.

    Returns:
        sha256 of the file.

    Raises:
        WeightsUnavailable: It is not on this machine and cannot be downloaded, or what came is not the file.
        StorageFailed: The folder cannot be read or written.
    """
    store = WeightsFolder(folder)
    known = store.labelled(published.name)
    if known is not None:
        return known
    with store.writing():
        # Another process may have fetched it while this one waited.
        known = store.labelled(published.name)
        if known is not None:
            return known
        found = find_on_disk(published, (folder, *other_folders))
        if found is not None:
            try:
                with found.open("rb") as source:
                    sha256 = store.add(source).sha256
            except OSError as error:
                raise unreadable(found, error) from error
            if not published.is_in(store.path_of(sha256)):
                raise changed_meanwhile(found, f"{published.known_by} at first, then sha256 {sha256}")
        else:
            partial = download_published(published, store, on_progress)
            sha256 = digests_of(partial).sha256
            store.keep(partial, sha256)
        store.label(published.name, store.path_of(sha256))
    return sha256


def find_on_disk(published: PublishedFile, folders: Iterable[Path]) -> Path | None:
    """The published file under its own name in one of the folders; None if it is in none."""
    for path in (folder / published.name for folder in folders):
        try:
            if published.is_in(path):
                return path
        except OSError:
            continue  # Another program's folder: what cannot be read there is as good as absent.
    return None


def download_published(
    published: PublishedFile, store: WeightsFolder, on_progress: OnProgress = ignore_progress
) -> Path:
    """Fetch a published file, whole and compared with its digest. Only inside `store.writing`.

    Returns:
        The finished partial file, for the caller to keep or to convert and discard.

    Raises:
        WeightsUnavailable: No way there, or what came is not the file. A part that came is kept if it can be gone on
            from, and removed if not.
        StorageFailed: The folder cannot be read or written.
    """
    if not published.url.startswith(("http://", "https://")):
        raise _no_download(published, "not an http or https URL")
    partial = store.partial_path_of(published.name)
    try:
        # A process may have been killed after its last byte came.
        if published.is_in(partial):
            return partial
        if download(published.url, store, published.name, on_progress) and not published.is_in(partial):
            # Its first part came on another day, and may be of another file.
            store.discard(partial)
            download(published.url, store, published.name, on_progress)
    except (OSError, http.client.HTTPException) as error:
        # No name resolution, refused, HTTP status, silence, broken off. The folder's errors are StorageFailed.
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise _no_download(published, str(error) or type(error).__name__) from error
    if not published.is_in(partial):
        arrived = digests_of(partial)
        store.discard(partial)
        found = f"{arrived.size:,} bytes with sha256 {arrived.sha256}"
        if published.algorithm == "md5":
            found = f"{arrived.size:,} bytes with md5 {arrived.md5}"
        raise _no_download(published, f"{found}, truncated or altered")
    return partial


def require_file(path: Path, usual_name: str) -> None:
    """Refuse a path that does not exist.

    Raises:
        NotFound: It does not.
    """
    if not path.exists():
        raise NotFound(
            "There is no such weights file.",
            received=str(path),
            expected=f"the path of {usual_name} or of a file like it",
            next_step="check the path; vaeval weights list shows what is here and where the others come from",
        )


def changed_meanwhile(path: Path, digests: str) -> InvalidInput:
    """The error about a file that somebody writes to while it is read."""
    return InvalidInput(
        "The weights file changed while it was read.",
        received=f"{path}: {digests}",
        expected="a file that nobody is writing to",
        next_step="try again when it is there for good",
    )


def unreadable(path: Path, error: OSError) -> InvalidInput:
    """The error about a user's file that cannot be read."""
    return InvalidInput(
        "The weights file cannot be read.",
        received=f"{path} ({error.strerror or error})",
        expected="a file that this user may read",
        next_step="make it readable for this user, then run the same command again",
    )


def unverified(path: Path, sha256: str, known: Iterable[PublishedFile]) -> InvalidInput:
    """The error about a file that nobody vouches for."""
    return InvalidInput(
        "Nobody publishes these weights: no known digest is theirs.",
        received=f"{path} with sha256 {sha256}",
        expected=" or ".join(f"{file.name} with {file.known_by}" for file in known),
        next_step=f"if they are what you want: vaeval weights import {path} --allow-unverified",
    )


def unavailable(what: str, files: Sequence[PublishedFile], received: str) -> WeightsUnavailable:
    """The error about weights that are not here and cannot be had, with what to bring.

    Args:
        what: Subject of the first sentence, with its verb.
        files: Any of them would do.
        received: The URLs, and what happened there.
    """
    one = "one of them" if len(files) > 1 else "it"
    return WeightsUnavailable(
        f"{what} not on this machine and could not be downloaded.",
        received=received,
        expected="; or ".join(f"{file.name} from {file.url} with {file.known_by}" for file in files),
        next_step=f"download {one} elsewhere, bring it here, then: vaeval weights import PATH/{files[0].name}",
    )


def _no_download(published: PublishedFile, happened: str) -> WeightsUnavailable:
    return unavailable(f"The weights file {published.name} is", [published], f"{published.url}: {happened}")


def _same_as(before: Digests, arrived: Digests, path: Path) -> None:
    if arrived != before:
        raise changed_meanwhile(path, f"sha256 {before.sha256}, then {arrived.sha256}")
