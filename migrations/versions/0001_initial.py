"""Everything a first evaluation needs: tables, and the two public views.

Revision ID: 0001_initial
Revises: nothing
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001_initial"
down_revision = None
branch_labels = None
depends_on = None

# Written out, not imported: this file must make the same tables for ever.
SHARD_STATES = "'queued', 'running', 'finished', 'failed', 'cancelled'"
REFERENCE_STATES = "'queued', 'running', 'finalising', 'finished', 'failed'"
EVALUATION_STATES = f"{REFERENCE_STATES}, 'cancelled'"
LARGEST_FINITE = "1.7976931348623157e308"

IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)
DIGEST = sa.String(64)

VIEW_LEADERBOARD = """
CREATE VIEW leaderboard AS
SELECT
    e.id AS evaluation,
    CASE WHEN fid.value IS NOT NULL THEN
        RANK() OVER (
            PARTITION BY e.protocol_id
            ORDER BY CASE WHEN fid.value IS NULL THEN 1 ELSE 0 END, fid.value
        )
    END AS rank,
    c.name AS checkpoint,
    c.step AS step,
    p.name AS protocol,
    fid.value AS fid,
    fid.std_error AS fid_std_error,
    rfid.value AS rfid,
    mse.value AS mse,
    mse.std_error AS mse_std_error,
    cross_entropy.value AS cross_entropy,
    cross_entropy.std_error AS cross_entropy_std_error,
    psnr.value AS psnr,
    psnr.std_error AS psnr_std_error,
    kl.value AS kl,
    kl.std_error AS kl_std_error,
    p.num_samples AS num_samples,
    p.num_reconstructions AS num_reconstructions,
    p.seed AS seed,
    p.extractor AS extractor,
    d.name AS dataset,
    c.tags AS tags,
    p.fingerprint AS fingerprint,
    e.finished_at AS finished_at
FROM evaluations e
JOIN checkpoints c ON c.id = e.checkpoint_id
JOIN protocols p ON p.id = e.protocol_id
JOIN datasets d ON d.id = p.dataset_id
LEFT JOIN scores fid ON fid.evaluation_id = e.id AND fid.metric = 'fid'
LEFT JOIN scores rfid ON rfid.evaluation_id = e.id AND rfid.metric = 'rfid'
LEFT JOIN scores mse ON mse.evaluation_id = e.id AND mse.metric = 'mse'
LEFT JOIN scores cross_entropy ON cross_entropy.evaluation_id = e.id AND cross_entropy.metric = 'cross_entropy'
LEFT JOIN scores psnr ON psnr.evaluation_id = e.id AND psnr.metric = 'psnr'
LEFT JOIN scores kl ON kl.evaluation_id = e.id AND kl.metric = 'kl'
WHERE e.state = 'finished'
"""

VIEW_SCORES_LONG = """
CREATE VIEW scores_long AS
SELECT
    e.id AS evaluation,
    c.name AS checkpoint,
    c.step AS step,
    p.name AS protocol,
    s.metric AS metric,
    s.version AS version,
    s.value AS value,
    s.std_error AS std_error,
    s.num_images AS num_images,
    s.kind AS kind,
    s.reason AS reason,
    s.components AS components,
    s.warnings AS warnings,
    d.name AS dataset,
    c.tags AS tags,
    p.fingerprint AS fingerprint,
    e.finished_at AS finished_at
FROM scores s
JOIN evaluations e ON e.id = s.evaluation_id
JOIN checkpoints c ON c.id = e.checkpoint_id
JOIN protocols p ON p.id = e.protocol_id
JOIN datasets d ON d.id = p.dataset_id
WHERE e.state = 'finished'
"""


def upgrade() -> None:
    _create_inputs()
    _create_work()
    _create_results()
    _create_processes()
    op.execute(VIEW_LEADERBOARD)
    op.execute(VIEW_SCORES_LONG)


def downgrade() -> None:
    op.execute("DROP VIEW scores_long")
    op.execute("DROP VIEW leaderboard")
    for table in ("leases", "workers", "events", "scores", "shards", "evaluations", "reference_sets", "protocols"):
        op.drop_table(table)
    op.drop_table("datasets")
    op.drop_table("checkpoints")


def _create_inputs() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("digest", DIGEST, nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("step", sa.BigInteger()),
        sa.Column("description", JSON, nullable=False),
        sa.Column("tags", JSON, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_checkpoints"),
        sa.UniqueConstraint("digest", name="uq_checkpoints_digest"),
    )
    op.create_table(
        "datasets",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("digest", DIGEST, nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("num_images", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_datasets"),
        sa.UniqueConstraint("digest", name="uq_datasets_digest"),
    )
    op.create_table(
        "protocols",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("fingerprint", DIGEST, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("spec", JSON, nullable=False),
        sa.Column("dataset_id", IDENTIFIER, nullable=False),
        sa.Column("extractor", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("num_samples", sa.Integer(), nullable=False),
        sa.Column("num_reconstructions", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_protocols"),
        sa.UniqueConstraint("fingerprint", name="uq_protocols_fingerprint"),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name="fk_protocols_dataset_id"),
    )


def _lease_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("lease_owner", sa.Text()),
        sa.Column("lease_token", sa.Integer(), nullable=False),
        sa.Column("lease_expires_at", TIME),
        sa.Column("attempts", sa.Integer(), nullable=False),
    ]


def _create_work() -> None:
    op.create_table(
        "reference_sets",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("key", DIGEST, nullable=False),
        sa.Column("protocol_id", IDENTIFIER, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("error", sa.Text()),
        *_lease_columns(),
        sa.Column("file_key", sa.Text()),
        sa.Column("file_digest", DIGEST),
        sa.Column("submitted_at", TIME, nullable=False),
        sa.Column("started_at", TIME),
        sa.Column("finished_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_reference_sets"),
        sa.UniqueConstraint("key", name="uq_reference_sets_key"),
        sa.ForeignKeyConstraint(["protocol_id"], ["protocols.id"], name="fk_reference_sets_protocol_id"),
        sa.CheckConstraint(f"state IN ({REFERENCE_STATES})", name="ck_reference_sets_state"),
    )
    op.create_index("ix_reference_sets_state", "reference_sets", ["state"])
    op.create_table(
        "evaluations",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("checkpoint_id", IDENTIFIER, nullable=False),
        sa.Column("protocol_id", IDENTIFIER, nullable=False),
        sa.Column("reference_id", IDENTIFIER, nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("error", sa.Text()),
        *_lease_columns(),
        sa.Column("pictures_key", sa.Text()),
        sa.Column("pictures_digest", DIGEST),
        sa.Column("submitted_at", TIME, nullable=False),
        sa.Column("started_at", TIME),
        sa.Column("finished_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_evaluations"),
        sa.UniqueConstraint("checkpoint_id", "protocol_id", name="uq_evaluations_checkpoint_id_protocol_id"),
        sa.ForeignKeyConstraint(["checkpoint_id"], ["checkpoints.id"], name="fk_evaluations_checkpoint_id"),
        sa.ForeignKeyConstraint(["protocol_id"], ["protocols.id"], name="fk_evaluations_protocol_id"),
        sa.ForeignKeyConstraint(["reference_id"], ["reference_sets.id"], name="fk_evaluations_reference_id"),
        sa.CheckConstraint(f"state IN ({EVALUATION_STATES})", name="ck_evaluations_state"),
    )
    op.create_index("ix_evaluations_state", "evaluations", ["state", "reference_id"])
    op.create_index("ix_evaluations_leaderboard", "evaluations", ["protocol_id", "state"])
    op.create_table(
        "shards",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("evaluation_id", IDENTIFIER),
        sa.Column("reference_id", IDENTIFIER),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("stop", sa.Integer(), nullable=False),
        sa.Column("forward_passes", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        *_lease_columns(),
        sa.Column("not_before", TIME),
        sa.Column("images_done", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Double()),
        sa.Column("file_key", sa.Text()),
        sa.Column("file_digest", DIGEST),
        sa.Column("error", sa.Text()),
        sa.Column("finished_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_shards"),
        sa.UniqueConstraint("evaluation_id", "number", name="uq_shards_evaluation_id_number"),
        sa.UniqueConstraint("reference_id", "number", name="uq_shards_reference_id_number"),
        sa.ForeignKeyConstraint(["evaluation_id"], ["evaluations.id"], name="fk_shards_evaluation_id"),
        sa.ForeignKeyConstraint(["reference_id"], ["reference_sets.id"], name="fk_shards_reference_id"),
        sa.CheckConstraint(f"state IN ({SHARD_STATES})", name="ck_shards_state"),
        sa.CheckConstraint("(evaluation_id IS NULL) <> (reference_id IS NULL)", name="ck_shards_one_owner"),
        sa.CheckConstraint("start >= 0 AND start < stop", name="ck_shards_range"),
    )
    op.create_index(
        "ix_shards_claim_evaluation", "shards", ["state", sa.text("priority DESC"), "evaluation_id", "number"]
    )
    op.create_index("ix_shards_claim_reference", "shards", ["state", "reference_id"])
    op.create_index("ix_shards_finished_at", "shards", ["finished_at"])


def _create_results() -> None:
    op.create_table(
        "scores",
        sa.Column("evaluation_id", IDENTIFIER, nullable=False),
        sa.Column("metric", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("value", sa.Double()),
        sa.Column("std_error", sa.Double()),
        sa.Column("num_images", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("components", JSON, nullable=False),
        sa.Column("warnings", JSON, nullable=False),
        sa.PrimaryKeyConstraint("evaluation_id", "metric", name="pk_scores"),
        sa.ForeignKeyConstraint(["evaluation_id"], ["evaluations.id"], name="fk_scores_evaluation_id"),
        sa.CheckConstraint("kind IN ('finite', 'nan', 'inf', 'not_applicable')", name="ck_scores_kind"),
        sa.CheckConstraint("(kind = 'finite') = (value IS NOT NULL)", name="ck_scores_value_if_finite"),
        # PostgreSQL sorts NaN above infinity, so BETWEEN keeps out all three.
        sa.CheckConstraint(f"value BETWEEN -{LARGEST_FINITE} AND {LARGEST_FINITE}", name="ck_scores_value_is_finite"),
        sa.CheckConstraint(f"std_error BETWEEN 0 AND {LARGEST_FINITE}", name="ck_scores_std_error_is_finite"),
    )


def _create_processes() -> None:
    op.create_table(
        "events",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("evaluation_id", IDENTIFIER),
        sa.Column("reference_id", IDENTIFIER),
        sa.Column("shard_id", IDENTIFIER),
        sa.Column("worker", sa.Text()),
        sa.Column("detail", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sa.ForeignKeyConstraint(["evaluation_id"], ["evaluations.id"], name="fk_events_evaluation_id"),
        sa.ForeignKeyConstraint(["reference_id"], ["reference_sets.id"], name="fk_events_reference_id"),
        sa.ForeignKeyConstraint(["shard_id"], ["shards.id"], name="fk_events_shard_id"),
    )
    op.create_index("ix_events_evaluation_id", "events", ["evaluation_id"])
    op.create_index("ix_events_reference_id", "events", ["reference_id"])
    op.create_table(
        "workers",
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("threads", sa.Integer(), nullable=False),
        sa.Column("versions", JSON, nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("heartbeat_at", TIME, nullable=False),
        sa.Column("retired_at", TIME),
        sa.Column("images_done", sa.BigInteger(), nullable=False),
        sa.Column("busy_seconds", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("worker", name="pk_workers"),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
