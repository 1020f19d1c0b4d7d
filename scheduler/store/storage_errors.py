"""What artifact stores raise, in the words of this program."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from vaeval_core.errors import StorageFailed, VaevalError


@contextmanager
def storage_troubles(verb: str, place: str, *, is_folder: bool) -> Iterator[None]:
    """OSError as a sentence, and of object stores whatever else their clients raise of networks and keys.

    Args:
        verb: What cannot be done to the file: «written», «read».
        place: The file, as it may be shown.
        is_folder: A folder raises OSError and nothing else; what else comes up inside is no matter of storage.

    Raises:
        StorageFailed: Something was raised inside.
    """
    try:
        yield
    except OSError as error:
        words = error.strerror or str(error) or type(error).__name__
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFailed(
                "No space is left for the artifacts.",
                received=f"{place} ({words})",
                expected="room on the disk, or in the quota, that holds VAEVAL_ARTIFACTS",
                next_step="free some space, then submit again: finished shards are kept",
            ) from error
        raise StorageFailed(
            f"A file cannot be {verb}.",
            received=f"{place} ({words})",
            expected="a store that this user may read and write, with the file in it",
            next_step="check VAEVAL_ARTIFACTS and its permissions: vaeval doctor",
        ) from error
    except VaevalError:
        raise
    except Exception as error:
        if is_folder:
            raise
        raise StorageFailed(
            f"A file cannot be {verb}: the store does not answer as it should.",
            received=f"{place} ({type(error).__name__}: {' '.join(str(error).split())[:200]})",
            expected="a store that this user may read and write",
            next_step="check VAEVAL_ARTIFACTS, its keys and the network: vaeval doctor",
        ) from error
