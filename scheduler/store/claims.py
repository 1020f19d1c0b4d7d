"""Claims of work: the right to compute a shard or to merge them, with all that is needed for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scheduler.store.answers import OwnerKind
from vaeval_core.protocol import Protocol
from vaeval_core.types import IndexRange


@dataclass(frozen=True, kw_only=True)
class CheckpointLocation:
    """Where a worker finds a checkpoint and how it knows that it is the right one."""

    uri: str
    digest: str
    description: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ShardClaim:
    """The right to compute one shard until the lease ends.

    Attributes:
        shard_id: Row id.
        owner: Whether it is a part of an evaluation or of a reference.
        owner_id: Row id of that.
        number: Position in the plan, from 0.
        index_range: Image numbers.
        token: Fencing token; rises with each claim.
        attempt: 1 for the first claim.
        protocol: How to compute.
        checkpoint: What to evaluate; None for a shard of a reference.
        dataset_uri: Opens the real images.
        dataset_digest: What they must be.
    """

    shard_id: int
    owner: OwnerKind
    owner_id: int
    number: int
    index_range: IndexRange
    token: int
    attempt: int
    protocol: Protocol
    checkpoint: CheckpointLocation | None
    dataset_uri: str
    dataset_digest: str


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file in the artifact store: its key and the sha256 of its bytes."""

    key: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class FinaliseClaim:
    """The right to merge the shards of an evaluation or reference until the lease ends.

    Attributes:
        owner: What is finalised.
        owner_id: Row id.
        token: Fencing token.
        protocol: How it was computed.
        shards: The shard files in shard order.
        reference: The merged reference file; None when a reference itself is finalised.
        description: The checkpoint's stored description; None when a reference is finalised.
        reference_shards: The shard files of that reference in shard order; none when a reference itself is finalised.
        imported: The statistics that the reference is to be, when one is finalised that is imported.
    """

    owner: OwnerKind
    owner_id: int
    token: int
    protocol: Protocol
    shards: tuple[StoredFile, ...]
    reference: StoredFile | None
    description: Mapping[str, Any] | None
    reference_shards: tuple[StoredFile, ...] = ()
    imported: StoredFile | None = None
