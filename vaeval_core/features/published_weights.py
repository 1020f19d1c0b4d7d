"""Getting weights into the weights folder: a file the user brings, or one that somebody publishes.

Offline first: a published file is looked for in the weights folder, then where other programs keep it, and only then
downloaded. What arrives is compared with the digest its publisher gives before it can be used. Keras gives an md5 and
nothing stronger; it guards the transport, while protocols hold the sha256.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from vaeval_core.errors import InvalidInput, NotFound, WeightsUnavailable
from vaeval_core.features.verified_weights import Digests, WeightsFolder, digests_of

SILENCE_SECONDS = 20.0
"""A server that sends nothing for so long is given up."""


@dataclass(frozen=True)
class PublishedFile:
    """A weights file that somebody publishes.

    Attributes:
        name: File name.
        url: Where it is had; http or https.
        md5: Hex digest that its publisher gives.
    """

    name: str
    url: str
    md5: str


def import_weights(path: Path, folder: Path, published: PublishedFile) -> str:
    """Copy a file that the user brings into the weights folder.

    Its digest need not be known. If it is the published file, that is noted, and `find_published` finds it from now on.
    Where nothing would change nothing is written, so the folder may be read-only then.

    Args:
        path: The file. What is in it is for the caller to check.
        folder: Weights folder, made if missing.
        published: The file that is expected here as a rule.

    Returns:
        sha256 of the file.

    Raises:
        NotFound: There is no such file.
        InvalidInput: It cannot be read.
        StorageFailed: The folder cannot be read or written.
    """
    if not path.exists():
        raise NotFound(
            "There is no such weights file.",
            received=str(path),
            expected=f"the path of {published.name} or of a file like it",
        )
    store = WeightsFolder(folder)
    try:
        digests = digests_of(path)
        is_published = digests.md5 == published.md5
        is_known = store.holds(digests.sha256)
        if not is_known or (is_published and store.labelled(published.name) is None):
            with store.writing():
                if not is_known:
                    with path.open("rb") as source:
                        store.add(source, lambda arrived: _same_as(digests, arrived, path))
                if is_published:
                    store.label(published.name, digests.sha256)
    except OSError as error:
        raise InvalidInput(
            "The weights file cannot be read.",
            received=f"{path} ({error.strerror or error})",
            expected="a file that this user may read",
        ) from error
    return digests.sha256


def find_published(published: PublishedFile, folder: Path, *, other_folders: tuple[Path, ...] = ()) -> str:
    """See to it that a published file is in the weights folder, and say which it is.

    Args:
        published: Which file.
        folder: Weights folder, made if missing.
        other_folders: Where other programs keep the file under its own name.

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
        found = _find_elsewhere(published, other_folders)
        if found is not None:
            with found.open("rb") as source:
                digests = store.add(source)
        else:
            digests = _download(published, store)
        store.label(published.name, digests.sha256)
    return digests.sha256


def _find_elsewhere(published: PublishedFile, folders: tuple[Path, ...]) -> Path | None:
    for path in (folder / published.name for folder in folders):
        try:
            if path.is_file() and digests_of(path).md5 == published.md5:
                return path
        except OSError:
            continue  # Another program's folder: what cannot be read there is as good as absent.
    return None


def _download(published: PublishedFile, store: WeightsFolder) -> Digests:
    def check(arrived: Digests) -> None:
        if arrived.md5 != published.md5:
            raise _unavailable(
                published,
                f"{published.url}: {arrived.size:,} bytes with md5 {arrived.md5}, truncated or altered",
            )

    if not published.url.startswith(("http://", "https://")):
        raise _unavailable(published, f"{published.url}: not an http or https URL")
    try:
        # The scheme is checked above.
        with urllib.request.urlopen(published.url, timeout=SILENCE_SECONDS) as response:  # noqa: S310
            return store.add(response, check)
    except (OSError, http.client.HTTPException) as error:
        # No name resolution, refused, HTTP status, silence, broken off. The folder's errors are StorageFailed.
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # It is the response, too, and holds the connection open.
        raise _unavailable(published, f"{published.url}: {error or type(error).__name__}") from error


def _same_as(before: Digests, arrived: Digests, path: Path) -> None:
    if arrived != before:
        raise InvalidInput(
            "The weights file changed while it was copied.",
            received=f"{path}: sha256 {before.sha256}, then {arrived.sha256}",
            expected="a file that nobody is writing to",
        )


def _unavailable(published: PublishedFile, received: str) -> WeightsUnavailable:
    return WeightsUnavailable(
        f"The weights file {published.name} is not on this machine and could not be downloaded.",
        received=received,
        expected=f"the file from {published.url} with md5 {published.md5}",
        next_step=f"download it elsewhere, bring it here and name it once: --weights PATH/{published.name}",
    )
