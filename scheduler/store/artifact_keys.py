"""Where each file of the artifact store goes: named once, for those who write it and for who looks for what nobody needs.

A key holds the fencing token of the claim under which its file was written. So two workers at one shard never write the same
file, and a file tells whose it was.
"""

from __future__ import annotations

import re

from scheduler.store.answers import OwnerKind

_NUMBER = r"[0-9]+"
_OWN = re.compile(
    rf"(evaluations|references)/{_NUMBER}/(shards/)?\.?[A-Za-z0-9][A-Za-z0-9._-]*|datasets/\.?[0-9a-f]{{64}}\.json(\.[0-9a-f]+)?"
    r"|imported/\.?[0-9a-f]{64}\.safetensors(\.[0-9a-f]+)?"
)
"""Everything below is like this, and so are the names under which a file is written before it is renamed."""


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
