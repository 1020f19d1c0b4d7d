"""Noise floors, which stand on a leaderboard without a rank, and references that are imported.

Revision ID: 0005_noise_floors
Revises: 0004_leaderboard_reach
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005_noise_floors"
down_revision = "0004_leaderboard_reach"
branch_labels = None
depends_on = None

# Written out, not imported: this file must make the same tables for ever.
IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)

# Metrics of the leaderboard after `fid`, each with what follows its value.
METRICS = (
    ("rfid", ("std_error", "bias")),
    ("mse", ("std_error",)),
    ("cross_entropy", ("std_error",)),
    ("psnr", ("std_error",)),
    ("kl", ("std_error",)),
)

HEAD = """
CREATE VIEW leaderboard AS
SELECT
    e.id AS evaluation,
    ranked.rank AS rank,
    c.name AS checkpoint,
    c.step AS step,
    p.name AS protocol,
"""

FACTS = """    p.num_samples AS num_samples,
    p.num_reconstructions AS num_reconstructions,
    p.seed AS seed,
    p.extractor AS extractor,
    d.name AS dataset,
    c.tags AS tags,
    p.fingerprint AS fingerprint,
    e.finished_at AS finished_at"""

JOINS = """
FROM evaluations e
JOIN checkpoints c ON c.id = e.checkpoint_id
JOIN protocols p ON p.id = e.protocol_id
JOIN datasets d ON d.id = p.dataset_id
LEFT JOIN (
    SELECT id, RANK() OVER (PARTITION BY protocol_id ORDER BY fid) AS rank
    FROM evaluations
    WHERE state = 'finished' AND fid IS NOT NULL
) ranked ON ranked.id = e.id
WHERE e.state = 'finished'
"""

SCORES_LONG = """
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
    s.bias AS bias,
    s.num_images AS num_images,
    s.kind AS kind,
    s.reason AS reason,
    s.components AS components,
    s.warnings AS warnings,
    d.name AS dataset,
    c.tags AS tags,
    p.fingerprint AS fingerprint,
    e.finished_at AS finished_at{more}
FROM scores s
JOIN evaluations e ON e.id = s.evaluation_id
JOIN checkpoints c ON c.id = e.checkpoint_id
JOIN protocols p ON p.id = e.protocol_id
JOIN datasets d ON d.id = p.dataset_id
WHERE e.state = 'finished'
"""

NOISE_FLOOR = ",\n    c.is_noise_floor AS noise_floor"


def upgrade() -> None:
    _drop_views()
    op.add_column("checkpoints", sa.Column("is_noise_floor", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "imported_references",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("extractor", JSON, nullable=False),
        sa.Column("num_images", sa.Integer()),
        sa.Column("has_spatial", sa.Boolean(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("file_key", sa.Text(), nullable=False),
        sa.Column("file_digest", sa.String(64), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_imported_references"),
        sa.UniqueConstraint("name", name="uq_imported_references_name"),
    )
    op.create_index("ix_imported_references_digest", "imported_references", ["digest"])
    # The FID of a noise floor stands in `scores` alone, and so outside of the order of the ranks.
    own_fid = f"CASE WHEN c.is_noise_floor THEN {_score('fid', 'value')} ELSE e.fid END"
    op.execute(_leaderboard(own_fid, FACTS + NOISE_FLOOR))
    op.execute(SCORES_LONG.format(more=NOISE_FLOOR))


def downgrade() -> None:
    _drop_views()
    op.drop_table("imported_references")
    op.drop_column("checkpoints", "is_noise_floor")
    op.execute(_leaderboard("e.fid", FACTS))
    op.execute(SCORES_LONG.format(more=""))


def _drop_views() -> None:
    op.execute("DROP VIEW scores_long")
    op.execute("DROP VIEW leaderboard")


def _leaderboard(fid: str, facts: str) -> str:
    metrics = [("fid", fid), *((f"fid_{column}", _score("fid", column)) for column in ("std_error", "bias"))]
    for metric, further in METRICS:
        metrics.append((metric, _score(metric, "value")))
        metrics += [(f"{metric}_{column}", _score(metric, column)) for column in further]
    columns = "".join(f"    {expression} AS {name},\n" for name, expression in metrics)
    return "".join((HEAD, columns, facts, JOINS))


def _score(metric: str, column: str) -> str:
    return f"(SELECT s.{column} FROM scores s WHERE s.evaluation_id = e.id AND s.metric = '{metric}')"  # noqa: S608
