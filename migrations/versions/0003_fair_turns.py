"""Turns, which give submissions equal shares; the memory of a worker's device; and leaderboards that stay fast when they grow.

Revision ID: 0003_fair_turns
Revises: 0002_influence
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003_fair_turns"
down_revision = "0002_influence"
branch_labels = None
depends_on = None

# Metrics of the leaderboard after `fid`, each with what follows its value.
METRICS = (
    ("rfid", ("std_error", "bias")),
    ("mse", ("std_error",)),
    ("cross_entropy", ("std_error",)),
    ("psnr", ("std_error",)),
    ("kl", ("std_error",)),
)

FACTS = """    p.num_samples AS num_samples,
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
"""

RANKED_HEAD = """
CREATE VIEW leaderboard AS
SELECT
    e.id AS evaluation,
    ranked.rank AS rank,
    c.name AS checkpoint,
    c.step AS step,
    p.name AS protocol,
    e.fid AS fid,
"""

RANKED_JOIN = """LEFT JOIN (
    SELECT id, RANK() OVER (PARTITION BY protocol_id ORDER BY fid) AS rank
    FROM evaluations
    WHERE state = 'finished' AND fid IS NOT NULL
) ranked ON ranked.id = e.id
WHERE e.state = 'finished'
"""


def upgrade() -> None:
    # Plain ALTER TABLE, which SQLite knows for this: copying a table of millions of shards would take minutes.
    for table in ("evaluations", "shards"):
        op.add_column(table, sa.Column("turn", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("workers", sa.Column("memory_bytes", sa.BigInteger()))
    op.drop_index("ix_shards_claim_evaluation", "shards")
    op.create_index(
        "ix_shards_claim_evaluation", "shards", ["state", sa.text("priority DESC"), "turn", "evaluation_id", "number"]
    )
    op.execute("DROP VIEW leaderboard")
    op.add_column("evaluations", sa.Column("fid", sa.Double()))
    op.execute(
        "UPDATE evaluations SET fid ="
        " (SELECT s.value FROM scores s WHERE s.evaluation_id = evaluations.id AND s.metric = 'fid')"
        " WHERE state = 'finished'"
    )
    op.drop_index("ix_evaluations_leaderboard", "evaluations")
    op.create_index("ix_evaluations_leaderboard", "evaluations", ["state", "protocol_id", "fid", "id"])
    op.create_index("ix_evaluations_finished_at", "evaluations", ["state", "protocol_id", "finished_at"])
    op.execute(ranked_by_evaluation())


def downgrade() -> None:
    op.execute("DROP VIEW leaderboard")
    op.drop_index("ix_evaluations_finished_at", "evaluations")
    op.drop_index("ix_evaluations_leaderboard", "evaluations")
    op.drop_index("ix_shards_claim_evaluation", "shards")
    op.drop_column("evaluations", "fid")
    op.drop_column("workers", "memory_bytes")
    for table in ("shards", "evaluations"):
        op.drop_column(table, "turn")
    op.create_index("ix_evaluations_leaderboard", "evaluations", ["protocol_id", "state"])
    op.create_index(
        "ix_shards_claim_evaluation", "shards", ["state", sa.text("priority DESC"), "evaluation_id", "number"]
    )
    op.execute(ranked_by_score())


def ranked_by_evaluation() -> str:
    """Ranks by one index of `evaluations`, and reads the scores of the rows that come out: not of all that were ranked."""
    metrics = [(f"fid_{column}", _score("fid", column)) for column in ("std_error", "bias")]
    for metric, further in METRICS:
        metrics.append((metric, _score(metric, "value")))
        metrics += [(f"{metric}_{column}", _score(metric, column)) for column in further]
    columns = "".join(f"    {expression} AS {name},\n" for name, expression in metrics)
    return "".join((RANKED_HEAD, columns, FACTS, RANKED_JOIN))


def _score(metric: str, column: str) -> str:
    return f"(SELECT s.{column} FROM scores s WHERE s.evaluation_id = e.id AND s.metric = '{metric}')"  # noqa: S608


def ranked_by_score() -> str:
    """As the revision before has it."""
    columns, joins = "", ""
    for metric, further in (("fid", ("std_error", "bias")), *METRICS):
        columns += f"    {metric}.value AS {metric},\n"
        columns += "".join(f"    {metric}.{column} AS {metric}_{column},\n" for column in further)
        joins += f"LEFT JOIN scores {metric} ON {metric}.evaluation_id = e.id AND {metric}.metric = '{metric}'\n"
    rank = (
        "    CASE WHEN fid.value IS NOT NULL THEN\n        RANK() OVER (\n            PARTITION BY e.protocol_id\n"
        "            ORDER BY CASE WHEN fid.value IS NULL THEN 1 ELSE 0 END, fid.value\n        )\n    END AS rank,\n"
    )
    return (
        f"\nCREATE VIEW leaderboard AS\nSELECT\n    e.id AS evaluation,\n{rank}    c.name AS checkpoint,\n"
        f"    c.step AS step,\n    p.name AS protocol,\n{columns}{FACTS}{joins}WHERE e.state = 'finished'\n"
    )
