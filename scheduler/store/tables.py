"""The tables, as SQLAlchemy Core sees them. `docs/database.md` says what each column means.

The tables are made by `migrations/`, never from here; a test holds the two against each other.

`reference_sets` is what the design calls references: REFERENCES is a reserved word in SQL, and a table whose name must be
quoted is a trap for everybody who types a query by hand.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.dialects.postgresql import JSONB

from scheduler.lifecycle import EvaluationState, ShardState
from scheduler.store.clock import UtcDateTime

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(constraint_name)s",
    }
)
"""Every constraint has a name by rule, because SQLite can only drop what has one."""

Identifier = BigInteger().with_variant(Integer, "sqlite")
"""Row ids: SQLite numbers rows by itself only in a column of the type INTEGER."""

Json = JSON().with_variant(JSONB, "postgresql")
Digest = String(64)

LARGEST_FINITE = "1.7976931348623157e308"
"""Largest float64. PostgreSQL sorts NaN above infinity, so one BETWEEN keeps out NaN and both infinities."""


def _one_of(column: str, values: Iterable[StrEnum | str]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(str(value)) for value in values)})", name=column)


checkpoints = Table(
    "checkpoints",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("digest", Digest, nullable=False, unique=True),
    Column("uri", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("step", BigInteger),
    Column("description", Json, nullable=False),
    Column("tags", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("is_noise_floor", Boolean, nullable=False, server_default=false()),
)

datasets = Table(
    "datasets",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("digest", Digest, nullable=False, unique=True),
    Column("uri", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("num_images", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

protocols = Table(
    "protocols",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("fingerprint", Digest, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("spec", Json, nullable=False),
    Column("dataset_id", ForeignKey("datasets.id"), nullable=False),
    Column("extractor", Text, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("num_samples", Integer, nullable=False),
    Column("num_reconstructions", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)


def _lease_columns() -> list[Column[object]]:
    """Who holds a row and until when. The token rises with each claim and is never set back."""
    return [
        Column("lease_owner", Text),
        Column("lease_token", Integer, nullable=False),
        Column("lease_expires_at", UtcDateTime),
        Column("attempts", Integer, nullable=False),
    ]


def _troubled_since() -> Column[object]:
    """Since when its surroundings keep a row from being worked on, attempt after attempt; null while they do not."""
    return Column("troubled_since", UtcDateTime)


def _turn() -> Column[int]:
    """Place in the order of fair shares: of equal priority, the lowest first."""
    return Column("turn", BigInteger, nullable=False, server_default="0")


reference_sets = Table(
    "reference_sets",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("key", Digest, nullable=False, unique=True),
    Column("protocol_id", ForeignKey("protocols.id"), nullable=False),
    Column("state", String(16), nullable=False),
    Column("error", Text),
    *_lease_columns(),
    Column("file_key", Text),
    Column("file_digest", Digest),
    Column("submitted_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    _troubled_since(),
    _one_of("state", [state for state in EvaluationState if state is not EvaluationState.CANCELLED]),
    Index("state", "state"),
)

evaluations = Table(
    "evaluations",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("checkpoint_id", ForeignKey("checkpoints.id"), nullable=False),
    Column("protocol_id", ForeignKey("protocols.id"), nullable=False),
    Column("reference_id", ForeignKey("reference_sets.id"), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("error", Text),
    *_lease_columns(),
    Column("pictures_key", Text),
    Column("pictures_digest", Digest),
    Column("submitted_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("influence_key", Text),
    Column("influence_digest", Digest),
    _turn(),
    # Once more beside `scores`: the order of a leaderboard is then an index, and so is who may be tied with its best. A noise
    # floor has no place in it.
    Column("fid", Double),
    Column("fid_std_error", Double),
    _troubled_since(),
    UniqueConstraint("checkpoint_id", "protocol_id"),
    _one_of("state", EvaluationState),
    Index("state", "state", "reference_id"),
    Index("leaderboard", "state", "protocol_id", "fid", "id", "fid_std_error"),
    Index("finished_at", "state", "protocol_id", "finished_at"),
)

shards = Table(
    "shards",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("evaluation_id", ForeignKey("evaluations.id")),
    Column("reference_id", ForeignKey("reference_sets.id")),
    Column("number", Integer, nullable=False),
    Column("start", Integer, nullable=False),
    Column("stop", Integer, nullable=False),
    Column("forward_passes", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    *_lease_columns(),
    Column("not_before", UtcDateTime),
    Column("images_done", Integer, nullable=False),
    Column("seconds", Double),
    Column("file_key", Text),
    Column("file_digest", Digest),
    Column("error", Text),
    Column("finished_at", UtcDateTime),
    _turn(),
    _troubled_since(),
    UniqueConstraint("evaluation_id", "number"),
    UniqueConstraint("reference_id", "number"),
    _one_of("state", ShardState),
    CheckConstraint("(evaluation_id IS NULL) <> (reference_id IS NULL)", name="one_owner"),
    CheckConstraint("start >= 0 AND start < stop", name="range"),
    Index("claim_reference", "state", "reference_id"),
    Index("finished_at", "finished_at"),
)
# A claim walks this one: the best shard is its first entry, however many wait behind it.
Index(
    "claim_evaluation",
    shards.c.state,
    shards.c.priority.desc(),
    shards.c.turn,
    shards.c.evaluation_id,
    shards.c.number,
)

scores = Table(
    "scores",
    metadata,
    Column("evaluation_id", ForeignKey("evaluations.id"), primary_key=True),
    Column("metric", String(64), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("value", Double),
    Column("std_error", Double),
    Column("num_images", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("reason", Text),
    Column("components", Json, nullable=False),
    Column("warnings", Json, nullable=False),
    Column("bias", Double),
    _one_of("kind", ["finite", "nan", "inf", "not_applicable"]),
    CheckConstraint("(kind = 'finite') = (value IS NOT NULL)", name="value_if_finite"),
    CheckConstraint(f"value BETWEEN -{LARGEST_FINITE} AND {LARGEST_FINITE}", name="value_is_finite"),
    CheckConstraint(f"std_error BETWEEN 0 AND {LARGEST_FINITE}", name="std_error_is_finite"),
    CheckConstraint(f"bias BETWEEN -{LARGEST_FINITE} AND {LARGEST_FINITE}", name="bias_is_finite"),
)

imported_references = Table(
    "imported_references",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("digest", Digest, nullable=False),
    Column("extractor", Json, nullable=False),
    Column("num_images", Integer),
    Column("has_spatial", Boolean, nullable=False),
    Column("source", Text, nullable=False),
    Column("file_key", Text, nullable=False),
    Column("file_digest", Digest, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("digest", "digest"),
)

refusals = Table(
    "refusals",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("evaluation_id", ForeignKey("evaluations.id")),
    Column("reference_id", ForeignKey("reference_sets.id")),
    Column("host", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    UniqueConstraint("evaluation_id", "host"),
    UniqueConstraint("reference_id", "host"),
    CheckConstraint("(evaluation_id IS NULL) <> (reference_id IS NULL)", name="one_owner"),
)

events = Table(
    "events",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("action", String(64), nullable=False),
    Column("evaluation_id", ForeignKey("evaluations.id")),
    Column("reference_id", ForeignKey("reference_sets.id")),
    Column("shard_id", ForeignKey("shards.id")),
    Column("worker", Text),
    Column("detail", Json, nullable=False),
    Index("evaluation_id", "evaluation_id"),
    Index("reference_id", "reference_id"),
)

workers = Table(
    "workers",
    metadata,
    Column("worker", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("device", Text, nullable=False),
    Column("threads", Integer, nullable=False),
    Column("versions", Json, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("heartbeat_at", UtcDateTime, nullable=False),
    Column("retired_at", UtcDateTime),
    Column("images_done", BigInteger, nullable=False),
    Column("busy_seconds", Double, nullable=False),
    Column("memory_bytes", BigInteger),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("owner", Text, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)
