"""The standard error of the FID beside it, so that an index tells which rows of a leaderboard may be tied with its best.

Revision ID: 0004_leaderboard_reach
Revises: 0003_fair_turns
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004_leaderboard_reach"
down_revision = "0003_fair_turns"
branch_labels = None
depends_on = None

INDEX = "ix_evaluations_leaderboard"


def upgrade() -> None:
    op.add_column("evaluations", sa.Column("fid_std_error", sa.Double()))
    op.execute(
        "UPDATE evaluations SET fid_std_error ="
        " (SELECT s.std_error FROM scores s WHERE s.evaluation_id = evaluations.id AND s.metric = 'fid')"
        " WHERE state = 'finished' AND fid IS NOT NULL"
    )
    op.drop_index(INDEX, "evaluations")
    op.create_index(INDEX, "evaluations", ["state", "protocol_id", "fid", "id", "fid_std_error"])


def downgrade() -> None:
    op.drop_index(INDEX, "evaluations")
    op.drop_column("evaluations", "fid_std_error")
    op.create_index(INDEX, "evaluations", ["state", "protocol_id", "fid", "id"])
