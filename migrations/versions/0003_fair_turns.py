"""Turns, which give submissions equal shares, and the memory of a worker's device.

Revision ID: 0003_fair_turns
Revises: 0001_initial
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003_fair_turns"
down_revision = "0001_initial"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Plain ALTER TABLE, which SQLite knows for this: copying a table of millions of shards would take minutes.
    for table in ("evaluations", "shards"):
        op.add_column(table, sa.Column("turn", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("workers", sa.Column("memory_bytes", sa.BigInteger()))
    op.drop_index("ix_shards_claim_evaluation", "shards")
    op.create_index(
        "ix_shards_claim_evaluation", "shards", ["state", sa.text("priority DESC"), "turn", "evaluation_id", "number"]
    )


def downgrade() -> None:
    op.drop_index("ix_shards_claim_evaluation", "shards")
    op.drop_column("workers", "memory_bytes")
    for table in ("shards", "evaluations"):
        op.drop_column(table, "turn")
    op.create_index(
        "ix_shards_claim_evaluation", "shards", ["state", sa.text("priority DESC"), "evaluation_id", "number"]
    )
