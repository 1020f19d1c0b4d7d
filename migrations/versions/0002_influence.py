"""How sure a score is: its bias, and a file with what each image does to it.

Revision ID: 0002_influence
Revises: 0001_initial
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002_influence"
down_revision = "0001_initial"
branch_labels = None
depends_on = None

# Written out, not imported: this file must make the same tables for ever.
LARGEST_FINITE = "1.7976931348623157e308"
DIGEST = sa.String(64)

NEW_LEADERBOARD = """
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
    fid.bias AS fid_bias,
    rfid.value AS rfid,
    rfid.std_error AS rfid_std_error,
    rfid.bias AS rfid_bias,
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

NEW_SCORES_LONG = """
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
    e.finished_at AS finished_at
FROM scores s
JOIN evaluations e ON e.id = s.evaluation_id
JOIN checkpoints c ON c.id = e.checkpoint_id
JOIN protocols p ON p.id = e.protocol_id
JOIN datasets d ON d.id = p.dataset_id
WHERE e.state = 'finished'
"""


OLD_LEADERBOARD = """
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

OLD_SCORES_LONG = """
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
    _drop_views()
    op.add_column("evaluations", sa.Column("influence_key", sa.Text()))
    op.add_column("evaluations", sa.Column("influence_digest", DIGEST))
    # In SQL, because SQLite takes a check with a new column, and none for a table that is there.
    number = sa.Double().compile(dialect=op.get_bind().dialect)
    op.execute(
        f"ALTER TABLE scores ADD COLUMN bias {number}"
        f" CONSTRAINT ck_scores_bias_is_finite CHECK (bias BETWEEN -{LARGEST_FINITE} AND {LARGEST_FINITE})"
    )
    op.execute(NEW_LEADERBOARD)
    op.execute(NEW_SCORES_LONG)


def downgrade() -> None:
    _drop_views()
    op.drop_column("scores", "bias")
    op.drop_column("evaluations", "influence_digest")
    op.drop_column("evaluations", "influence_key")
    op.execute(OLD_LEADERBOARD)
    op.execute(OLD_SCORES_LONG)


def _drop_views() -> None:
    # PostgreSQL keeps a column that a view uses, and SQLite does not rename or drop around one.
    op.execute("DROP VIEW scores_long")
    op.execute("DROP VIEW leaderboard")
