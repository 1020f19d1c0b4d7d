"""Fetching a file over HTTP into a partial file that outlives a broken connection, and going on from there.

What a download leaves is named `<name>.partial`, and only whoever compares it with a digest may give it another name:
`published_weights`.
"""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable

from vaeval_core.features.published_file import MOST_BYTES
from vaeval_core.features.verified_weights import WeightsFolder

SILENCE_SECONDS = 20.0
"""A server that sends nothing for so long is given up."""

OnProgress = Callable[[int, int | None], None]
"""Told the bytes that are here, and how many there will be if the server says."""

_CHUNK = 1 << 18


def ignore_progress(_here: int, _total: int | None) -> None:
    """For callers who do not watch."""


def download(url: str, store: WeightsFolder, name: str, on_progress: OnProgress = ignore_progress) -> bool:
    """Fetch a URL to `store.partial_path_of(name)`, from where an earlier download broke off. Inside `writing`.

    Args:
        url: http or https.
        store: The folder.
        name: Of the partial file, without its suffix.
        on_progress: Called after each piece.

    Returns:
        True if the beginning was there already: then the two parts may belong to different files.

    Raises:
        OSError: No way there, an HTTP status that is an error, silence, or broken off; what came is kept. Or it does
            not end; then nothing is kept.
        http.client.HTTPException: The answer is no HTTP.
        StorageFailed: The folder cannot be written.
    """
    partial = store.partial_path_of(name)
    with store.storage_errors():
        here = partial.stat().st_size if partial.is_file() else 0
    if here:
        try:
            return _fetch(url, store, name, here, on_progress)
        except urllib.error.HTTPError as error:
            with error:  # It is the response, too, and holds the connection open.
                if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                    raise
    return _fetch(url, store, name, 0, on_progress)


def _fetch(url: str, store: WeightsFolder, name: str, here: int, on_progress: OnProgress) -> bool:
    request = urllib.request.Request(url, headers={"Range": f"bytes={here}-"} if here else {})  # noqa: S310
    # The caller looks at the scheme.
    with urllib.request.urlopen(request, timeout=SILENCE_SECONDS) as response:  # noqa: S310
        goes_on: bool = response.status == http.client.PARTIAL_CONTENT
        if goes_on and not (response.headers["Content-Range"] or "").startswith(f"bytes {here}-"):
            raise http.client.HTTPException(
                f"asked from byte {here} on, the server sent {response.headers['Content-Range']}"
            )
        if not goes_on:
            here = 0
        length = response.headers["Content-Length"]
        total = here + int(length) if length and length.isdecimal() else None
        with store.storage_errors():
            target = store.partial_path_of(name).open("ab" if goes_on else "wb")
        with target:
            while chunk := response.read(_CHUNK):
                with store.storage_errors():
                    target.write(chunk)
                here += len(chunk)
                if here > MOST_BYTES:
                    store.discard(store.partial_path_of(name))
                    raise ConnectionError(f"went on for more than {MOST_BYTES:,} bytes, which no weights file has")
                on_progress(here, total)
            with store.storage_errors():
                target.flush()
                os.fsync(target.fileno())
    if total is not None and here < total:
        raise ConnectionError(f"broke off after {here:,} of {total:,} bytes; the next try goes on from there")
    return goes_on
