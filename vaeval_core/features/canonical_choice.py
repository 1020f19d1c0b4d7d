"""The canonical extractor if its weights can be had soon, else the one that needs none: the choice of `vaeval demo`.

A demonstration must neither fail nor hang for want of a network; and with one, it should show numbers that compare.
"""

from __future__ import annotations

import http.client
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vaeval_core.errors import VaevalError
from vaeval_core.features.fid_weights import (
    LABEL,
    copy_verified_weights,
    find_fid_weights,
    published_on_disk,
    readable_sources,
)
from vaeval_core.features.resumable_download import OnProgress, ignore_progress
from vaeval_core.features.verified_weights import WeightsFolder

REACH_SECONDS = 5.0
"""How long a server may take to answer before it counts as out of reach."""


@dataclass(frozen=True)
class Choice:
    """Name of an extractor, and one sentence why it is not the canonical one; None if it is."""

    extractor: str
    reason: str | None


def canonical_or_random(
    weights_folder: Path, other_folder: Path | None = None, on_progress: OnProgress = ignore_progress
) -> Choice:
    """`inception-v3-fid` with its weights brought to the folder, or `inception-v3-random`.

    Args:
        weights_folder: Where the weights shall be; made if missing.
        other_folder: Another weights folder of this machine, which may have them.
        on_progress: Told how far a download is.

    Returns:
        The choice; `inception-v3-fid` only if its weights are in the folder now.
    """
    store = WeightsFolder(weights_folder)
    try:
        if store.labelled(LABEL) is None:
            is_copied = other_folder is not None and copy_verified_weights(other_folder, weights_folder)
            if not is_copied and published_on_disk(store) is None:
                urls = [file.url for file in readable_sources()]
                if not is_reachable(urls, REACH_SECONDS):
                    return _random(f"no server that has them answered within {REACH_SECONDS:g} seconds")
        find_fid_weights(None, weights_folder, on_progress=on_progress)
    except VaevalError as error:
        return _random(error.received or error.what)
    return Choice("inception-v3-fid", None)


def is_reachable(urls: Sequence[str], seconds: float) -> bool:
    """True if the server of one of the URLs says within that time that it has the file.

    All are asked at once, each in a thread of its own that is left behind if it hangs: looking up a name cannot be
    interrupted.
    """
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()
    for url in urls:
        threading.Thread(target=lambda url=url: answers.put(_answers(url, seconds)), daemon=True).start()
    deadline = time.monotonic() + seconds
    for _ in urls:
        try:
            if answers.get(timeout=max(0.0, deadline - time.monotonic())):
                return True
        except queue.Empty:
            return False
    return False


def _answers(url: str, seconds: float) -> bool:
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310  the URLs are those of this program
    try:
        with urllib.request.urlopen(request, timeout=seconds):  # noqa: S310
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except (OSError, http.client.HTTPException):
        return False


def _random(why: str) -> Choice:
    return Choice(
        "inception-v3-random",
        f"The weights of inception-v3-fid are not here ({why}), so inception-v3-random is used: "
        "it ranks, but its FID compares with nothing published. Bring them: `vaeval weights fetch inception-v3-fid`",
    )
