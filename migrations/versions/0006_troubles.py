"""Since when a shard or a finalisation waits for its surroundings, and which machines cannot do a piece of work.

Revision ID: 0006_troubles
Revises: 0005_noise_floors
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006_troubles"
down_revision = "0005_noise_floors"
branch_labels = None
depends_on = None

# Written out, not imported: this file must make the same tables for ever.
IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)

WAITING = ("shards", "reference_sets", "evaluations")


def upgrade() -> None:
    for table in WAITING:
        op.add_column(table, sa.Column("troubled_since", TIME))
    op.create_table(
        "refusals",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("evaluation_id", IDENTIFIER),
        sa.Column("reference_id", IDENTIFIER),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_refusals"),
        sa.ForeignKeyConstraint(["evaluation_id"], ["evaluations.id"], name="fk_refusals_evaluation_id"),
        sa.ForeignKeyConstraint(["reference_id"], ["reference_sets.id"], name="fk_refusals_reference_id"),
        sa.UniqueConstraint("evaluation_id", "host", name="uq_refusals_evaluation_id_host"),
        sa.UniqueConstraint("reference_id", "host", name="uq_refusals_reference_id_host"),
        sa.CheckConstraint("(evaluation_id IS NULL) <> (reference_id IS NULL)", name="ck_refusals_one_owner"),
    )


def downgrade() -> None:
    op.drop_table("refusals")
    for table in WAITING:
        op.drop_column(table, "troubled_since")
