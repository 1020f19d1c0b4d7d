"""What Alembic runs around a migration. `scheduler.store.schema` is the only caller and brings an open transaction.

No alembic.ini, no logging configuration, no offline mode: a migration is one transaction on one connection.
"""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    # SQLite cannot alter a table in place: Alembic then copies it.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
