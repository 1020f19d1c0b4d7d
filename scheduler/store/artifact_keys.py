"""Where each file of the artifact store goes: named once, for those who write it and for who looks for what nobody needs.

A key holds the fencing token of the claim under which its file was written. So two workers at one shard never write the same
file, and a file tells whose it was.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, get_args

from scheduler.store.answers import OwnerKind

_NUMBER = r"[0-9]+"
_OWN = re.compile(
    rf"(evaluations|references)/{_NUMBER}/(shards/)?\.?[A-Za-z0-9][A-Za-z0-9._-]*|datasets/\.?[0-9a-f]{{64}}\.json(\.[0-9a-f]+)?"
    r"|imported/\.?[0-9a-f]{64}\.safetensors(\.[0-9a-f]+)?|\.clock\.[0-9a-f]+"
)
"""Everything below is like this, and so are the names under which a file is written before it is renamed."""


_UNFINISHED = re.compile(r"(?P<folder>(?:.*/)?)\.(?P<name>.+)\.[0-9a-f]{8}")
"""A file that is being written, beside the place where it will be."""

OwnerFolder = Literal["evaluations", "references", "datasets", "imported"]


class FileOwner(NamedTuple):
    """Whose file it is.

    Attributes:
        folder: Of which kind.
        name: Its number, or the digest of what is in the file.
    """

    folder: OwnerFolder
    name: str


def shard_key(owner: OwnerKind, owner_id: int, number: int, token: int) -> str:
    """The arrays of a shard."""
    return f"{owner}s/{owner_id}/shards/{number}-{token}.safetensors"


def merged_key(reference_id: int, token: int) -> str:
    """What evaluations are compared against."""
    return f"references/{reference_id}/merged.{token}.safetensors"


def pictures_key(evaluation_id: int, token: int) -> str:
    """Images of an evaluation to look at."""
    return f"evaluations/{evaluation_id}/pictures.{token}.safetensors"


def influence_key(evaluation_id: int, token: int) -> str:
    """What each image does to the scores of an evaluation."""
    return f"evaluations/{evaluation_id}/influence.{token}.safetensors"


def manifest_key(dataset_digest: str) -> str:
    """The list of the files of a data set."""
    return f"datasets/{dataset_digest}.json"


def imported_key(digest: str) -> str:
    """Statistics that somebody else computed."""
    return f"imported/{digest}.safetensors"


def is_ours(key: str) -> bool:
    """False for what somebody else keeps in the same folder: it is never touched.

    >>> is_ours("evaluations/7/shards/0-1.safetensors"), is_ours("evaluations/7/shards/.0-1.safetensors.a1b2c3d4")
    (True, True)
    >>> is_ours("thesis.tex"), is_ours("evaluations/notes.txt")
    (False, False)
    """
    return _OWN.fullmatch(key) is not None


def final_key(key: str) -> str:
    """Where a file will be that is being written; the key itself for one that is there.

    >>> final_key("evaluations/7/shards/.0-1.safetensors.a1b2c3d4"), final_key("references/2/merged.1.safetensors")
    ('evaluations/7/shards/0-1.safetensors', 'references/2/merged.1.safetensors')
    """
    found = _UNFINISHED.fullmatch(key)
    return found["folder"] + found["name"] if found else key


def clock_key(suffix: str) -> str:
    """A file that is written to learn when, and removed."""
    return f".clock.{suffix}"


def owner_of(key: str) -> FileOwner | None:
    """Whose file it is; None for nobody's. Only for a key of ours (`is_ours`).

    >>> owner_of("evaluations/7/shards/0-1.safetensors")
    FileOwner(folder='evaluations', name='7')
    """
    folder, _, rest = final_key(key).partition("/")
    for known in get_args(OwnerFolder):
        if folder == known:
            return FileOwner(known, re.split(r"[./]", rest)[0])
    return None


def has_claim(key: str) -> bool:
    """Whether its key tells the claim under which it is written; others are written before anybody knows of them.

    >>> has_claim("evaluations/7/shards/0-1.safetensors"), has_claim(f"imported/{'0' * 64}.safetensors")
    (True, False)
    """
    return key.startswith(("evaluations/", "references/"))
